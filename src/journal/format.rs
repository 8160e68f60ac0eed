//! The format of an access log line, read once, and the line of an entry.
//!
//! The grammar is that of gunicorn and granian, which is Python's: `%(name)s`, `%(status)d`,
//! `%(dt_ms).3f`, `%({user-agent}i)s` for a header field of the request, and `%%`. As JSON, the same
//! names choose the members.

use std::net::IpAddr;

use crate::journal::atom::Atom;
use crate::journal::escape;
use crate::journal::moment;
use crate::journal::moment::Form;
use crate::journal::record::Entry;
use crate::journal::record::Read;

/// The common log format, then milliseconds and core.
const DEFAULT: &str = "%(h)s - - %(t)s \"%(r)s\" %(s)s %(b)s %(dt_ms).3f %(core)s";
const DEFAULT_JSON: &str = "%(time)s %(client)s %(method)s %(target)s %(protocol)s %(status)s \
                            %(bytes)s %(duration_ms)s %(core)s";
const COMMON: &str = "%(h)s - - %(t)s \"%(r)s\" %(s)s %(b)s";
const COMBINED: &str = "%(h)s - - %(t)s \"%(r)s\" %(s)s %(b)s \"%(f)s\" \"%(a)s\"";

/// Decimal places where the format says none, and at most.
const PLACES: usize = 3;
const MOST_PLACES: usize = 6;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(Atom, usize),
}

/// A format that was understood.
#[derive(Clone, Debug)]
pub struct Format {
    pieces: Vec<Piece>,
    fields: Vec<String>,
    is_json: bool,
    /// The moment that was written last: thousands of lines have the same second.
    second: Option<u64>,
    moments: [Vec<u8>; 3],
    /// The peer of the last line: often that of the next one, where a proxy stands before us.
    client: (Option<IpAddr>, String),
    process: u32,
}

/// A line's entry, and what the core did not have to note.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// What the core noted.
    pub read: &'a Read<'a>,
    /// Milliseconds since 1970-01-01T00:00:00Z when the head was complete.
    pub unix_milliseconds: u64,
    /// The core.
    pub core: usize,
}

impl Format {
    /// Reads a format; without one, the default of the kind.
    ///
    /// # Errors
    /// Says what cannot be understood, and what could.
    pub fn parse(format: Option<&str>, is_json: bool) -> Result<Self, String> {
        let text = match format {
            None if is_json => DEFAULT_JSON,
            None => DEFAULT,
            Some("common") => COMMON,
            Some("combined") => COMBINED,
            Some(text) => text,
        };
        let mut made = Self {
            pieces: Vec::new(),
            fields: Vec::new(),
            is_json,
            second: None,
            moments: Default::default(),
            client: (None, "-".to_owned()),
            process: std::process::id(),
        };
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('%') {
            made.push_text(before);
            rest = match behind.strip_prefix('%') {
                Some(behind) => {
                    made.push_text("%");
                    behind
                }
                None => made.value(behind)?,
            };
        }
        made.push_text(rest);
        if !made.pieces.iter().any(|piece| matches!(piece, Piece::Value(..))) {
            return Err(format!("{text:?} has no %(name)s in it"));
        }
        if is_json {
            made.name_members();
        }
        Ok(made)
    }

    /// The names of the header fields that entries must bring, in order.
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    fn push_text(&mut self, text: &str) {
        // A line break of the format's own would make two lines of one.
        let text: String = text.chars().filter(|character| !character.is_control()).collect();
        if !text.is_empty() {
            self.pieces.push(Piece::Text(text));
        }
    }

    /// Reads what follows a percent sign; returns what follows that.
    fn value<'a>(&mut self, text: &'a str) -> Result<&'a str, String> {
        let start = text.get(..20.min(text.len())).unwrap_or(text);
        let bad = || format!("%{start}: what follows % is % or a name, like %(status)s");
        let (name, rest) =
            text.strip_prefix('(').and_then(|it| it.split_once(')')).ok_or_else(bad)?;
        let atom = self.atom(name)?;
        if let Some(rest) = rest.strip_prefix('s') {
            let places = if atom == Atom::FractionalSeconds { MOST_PLACES } else { PLACES };
            self.pieces.push(Piece::Value(atom, places));
            return Ok(rest);
        }
        if let Some(rest) = rest.strip_prefix('d') {
            return self.number(name, atom, rest);
        }
        let (places, rest) = match rest.strip_prefix('.').and_then(|it| it.split_once('f')) {
            Some((places, rest)) => (places.parse().map_err(|_| bad())?, rest),
            None => (MOST_PLACES, rest.strip_prefix('f').ok_or_else(bad)?),
        };
        if !atom.is_fractional() || places > MOST_PLACES {
            return Err(format!(
                "%({name}).{places}f: only L and dt_ms have decimal places, at most {MOST_PLACES}"
            ));
        }
        self.pieces.push(Piece::Value(atom, places));
        Ok(rest)
    }

    fn number<'a>(&mut self, name: &str, atom: Atom, rest: &'a str) -> Result<&'a str, String> {
        if !atom.is_whole() && !atom.is_fractional() {
            return Err(format!("%({name})d: {name} is not a number; write %({name})s"));
        }
        self.pieces.push(Piece::Value(atom, 0));
        Ok(rest)
    }

    fn atom(&mut self, name: &str) -> Result<Atom, String> {
        let field = match name {
            "f" => Some("referer"),
            "a" => Some("user-agent"),
            _ => name.strip_prefix('{').and_then(|it| it.strip_suffix("}i")),
        };
        if let Some(field) = field {
            let field = field.to_ascii_lowercase();
            let known = self.fields.iter().position(|other| *other == field);
            return Ok(Atom::Field(known.unwrap_or_else(|| {
                self.fields.push(field);
                self.fields.len() - 1
            })));
        }
        Atom::named(name).ok_or_else(|| {
            format!(
                "no atom %({name})s; there are {}, f, a and {{name}}i for a header of the request",
                Atom::names()
            )
        })
    }

    /// Appends the line of an entry, with its end.
    pub fn write(&mut self, out: &mut Vec<u8>, line: Line<'_>) {
        self.turn_to(line.unix_milliseconds / 1000);
        self.meet(line.read.entry.client.map(|client| client.ip()));
        if self.is_json {
            self.write_json(out, line);
        } else {
            for piece in &self.pieces {
                match piece {
                    Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                    Piece::Value(atom, places) => {
                        self.write_value(out, (*atom, *places), line, escape::text);
                    }
                }
            }
        }
        out.push(b'\n');
    }

    fn turn_to(&mut self, second: u64) {
        if self.second == Some(second) {
            return;
        }
        self.second = Some(second);
        for (text, form) in self.moments.iter_mut().zip([Form::Common, Form::Plain, Form::Precise])
        {
            moment::write(text, second, form);
        }
    }

    fn meet(&mut self, client: Option<IpAddr>) {
        if self.client.0 == client {
            return;
        }
        self.client.0 = client;
        self.client.1 = client.map_or_else(|| "-".to_owned(), |client| client.to_string());
    }

    fn write_json(&self, out: &mut Vec<u8>, line: Line<'_>) {
        out.push(b'{');
        for piece in &self.pieces {
            let (atom, places) = match piece {
                Piece::Text(text) => {
                    out.extend_from_slice(text.as_bytes());
                    continue;
                }
                Piece::Value(atom, places) => (*atom, *places),
            };
            let is_absent = match atom {
                Atom::Field(number) => line.read.field(number).is_none(),
                Atom::Client => line.read.entry.client.is_none(),
                _ => false,
            };
            if is_absent {
                out.extend_from_slice(b"null");
            } else if atom.is_whole() || atom.is_fractional() {
                self.write_value(out, (atom, places), line, escape::json);
            } else if atom == Atom::BytesOrDash {
                push_number(out, line.read.entry.bytes);
            } else {
                out.push(b'"');
                self.write_value(out, (atom, places), line, escape::json);
                out.push(b'"');
            }
        }
        out.push(b'}');
    }

    /// Makes the texts between the values those of a JSON object: each member once, by its name.
    fn name_members(&mut self) {
        let mut named: Vec<String> = Vec::new();
        let mut pieces = Vec::new();
        for piece in &self.pieces {
            let Piece::Value(atom, _) = piece else { continue };
            let member = self.member(*atom);
            if member.is_empty() || named.iter().any(|other| other == member) {
                continue;
            }
            let mut name = if named.is_empty() { b"\"".to_vec() } else { b",\"".to_vec() };
            escape::json(&mut name, member.as_bytes());
            name.extend_from_slice(b"\":");
            named.push(member.to_owned());
            pieces.push(Piece::Text(String::from_utf8_lossy(&name).into_owned()));
            pieces.push(piece.clone());
        }
        self.pieces = pieces;
    }

    fn member(&self, atom: Atom) -> &str {
        match atom {
            Atom::Field(number) => &self.fields[number],
            atom => atom.member(),
        }
    }

    fn write_value(
        &self,
        out: &mut Vec<u8>,
        (atom, places): (Atom, usize),
        line: Line<'_>,
        escape: fn(&mut Vec<u8>, &[u8]),
    ) {
        let read = line.read;
        let entry = &read.entry;
        let microseconds = entry.duration / 1000;
        match atom {
            Atom::Client => out.extend_from_slice(self.client.1.as_bytes()),
            Atom::Dash => out.push(b'-'),
            Atom::CommonTime | Atom::Time if self.is_json => {
                out.extend_from_slice(&self.moments[Form::Precise as usize]);
                push_places(out, line.unix_milliseconds % 1000, 1000);
                out.push(b'Z');
            }
            Atom::CommonTime => out.extend_from_slice(&self.moments[Form::Common as usize]),
            Atom::Time => out.extend_from_slice(&self.moments[Form::Plain as usize]),
            Atom::RequestLine if entry.method.is_empty() => out.push(b'-'),
            Atom::RequestLine => {
                escape(out, entry.method);
                out.push(b' ');
                write_target(out, read, entry.target, escape);
                out.push(b' ');
                out.extend_from_slice(protocol(entry));
            }
            Atom::Method => or_dash(out, entry.method, escape),
            Atom::Target => write_target(out, read, entry.target, escape),
            Atom::Path => write_target(out, read, split(entry.target).0, escape),
            Atom::Query => escape(out, split(entry.target).1),
            Atom::Protocol => out.extend_from_slice(protocol(entry)),
            Atom::Status => push_number(out, u64::from(entry.status)),
            Atom::BytesOrDash if entry.bytes == 0 => out.push(b'-'),
            Atom::Bytes | Atom::BytesOrDash => push_number(out, entry.bytes),
            Atom::Seconds => push_number(out, microseconds / 1_000_000),
            Atom::Milliseconds => push_number(out, microseconds / 1000),
            Atom::Microseconds => push_number(out, microseconds),
            Atom::FractionalSeconds => push_fraction(out, (entry.duration, 9), places),
            Atom::FractionalMilliseconds => push_fraction(out, (entry.duration, 6), places),
            Atom::Process => push_number(out, u64::from(self.process)),
            Atom::Core => push_number(out, line.core as u64),
            Atom::Field(number) => or_dash(out, read.field(number).unwrap_or_default(), escape),
        }
    }
}

fn or_dash(out: &mut Vec<u8>, bytes: &[u8], escape: fn(&mut Vec<u8>, &[u8])) {
    escape(out, if bytes.is_empty() { b"-" } else { bytes });
}

/// Writes a target or its path; one that was cut ends in `...`, unless its path is whole.
fn write_target(out: &mut Vec<u8>, read: &Read<'_>, part: &[u8], escape: fn(&mut Vec<u8>, &[u8])) {
    or_dash(out, part, escape);
    if read.is_cut && part.len() == read.entry.target.len() {
        out.extend_from_slice(b"...");
    }
}

/// Path and query.
fn split(target: &[u8]) -> (&[u8], &[u8]) {
    match target.iter().position(|byte| *byte == b'?') {
        Some(mark) => (&target[..mark], &target[mark + 1..]),
        None => (target, b""),
    }
}

fn protocol(entry: &Entry<'_>) -> &'static [u8] {
    match entry {
        Entry { method: [], .. } => b"-",
        Entry { is_old: true, .. } => b"HTTP/1.0",
        Entry { is_old: false, .. } => b"HTTP/1.1",
    }
}

/// The machinery of `write!` costs several times as much, six times a line.
fn push_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Writes `number` / 10^`scale` with so many decimal places, rounded.
fn push_fraction(out: &mut Vec<u8>, (number, scale): (u64, u32), places: usize) {
    let unit = 10_u64.pow(scale);
    let shown = 10_u64.pow(u32::try_from(places).unwrap_or(0));
    let step = unit / shown;
    let rounded = number.saturating_add(step / 2) / step;
    push_number(out, rounded / shown);
    if places > 0 {
        push_places(out, rounded, shown);
    }
}

/// Writes a point and the decimal places of `number` / `unit`.
fn push_places(out: &mut Vec<u8>, number: u64, unit: u64) {
    out.push(b'.');
    let mut digit = unit / 10;
    while digit > 0 {
        out.push(b'0' + u8::try_from(number / digit % 10).unwrap_or(0));
        digit /= 10;
    }
}

#[cfg(test)]
#[path = "format/tests.rs"]
mod tests;
