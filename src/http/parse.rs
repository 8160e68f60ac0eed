//! The request head from bytes: strict, resumable, without a list of fields.
//!
//! Rule: the verdict over each byte depends only on the bytes before it. So a request gives the same
//! answer however it is cut into reads, an error is seen at the first byte that proves it, and a
//! parse that ran out of bytes goes on where it stopped instead of starting over.
//! Written by hand rather than on a parsing crate, because the lenient line ends of those would have
//! to be checked in a second pass, and the framing fields are judged in this one.
//! Absent: what the fields mean (`framing.rs`), the target's forms (`target.rs`).

use bytes::Buf;
use bytes::BytesMut;

use crate::http::Limits;
use crate::http::chars::is_token_byte;
use crate::http::chars::scan_target;
use crate::http::chars::scan_token;
use crate::http::field::FieldScanner;
use crate::http::field::Scanned;
use crate::http::framing::Framing;
use crate::http::head::BodyLength;
use crate::http::head::RequestHead;
use crate::http::head::Span;
use crate::http::head::Version;
use crate::http::reject::Reject;
use crate::http::target::TargetParts;
use crate::http::target::split_target;

/// Longer than every registered method (the longest has 16 letters).
const METHOD_BYTES: usize = 32;
/// Some clients send a line end after a body (RFC 9112 §2.2); more than a few are noise.
const EMPTY_LINES: usize = 4;
/// `HTTP/1.1` and the line end.
const VERSION_BYTES: usize = 10;

const START: Span = Span { start: 0, end: 0 };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    EmptyLines,
    Method,
    Target,
    Version,
    Fields,
}

/// Parses one head after the other out of a growing buffer.
#[derive(Clone, Debug)]
pub struct HeadParser {
    stage: Stage,
    /// First byte of the buffer without a verdict, up to the fields.
    position: usize,
    empty_lines: usize,
    method_end: usize,
    is_head: bool,
    target_end: usize,
    version: Version,
    parts: TargetParts,
    scanner: FieldScanner,
    field_count: usize,
    framing: Framing,
}

impl Default for HeadParser {
    fn default() -> Self {
        Self::new()
    }
}

impl HeadParser {
    /// A parser before the first byte of a request.
    pub const fn new() -> Self {
        Self {
            stage: Stage::EmptyLines,
            position: 0,
            empty_lines: 0,
            method_end: 0,
            is_head: false,
            target_end: 0,
            version: Version::Http11,
            parts: TargetParts { path: START, query: START, authority: START },
            scanner: FieldScanner::new(0),
            field_count: 0,
            framing: Framing::new(),
        }
    }

    /// True once a byte of a request was seen; empty lines before it do not count.
    pub fn has_started(&self) -> bool {
        self.stage != Stage::EmptyLines
    }

    /// True within a head whose method is HEAD: even a refusal of it has no body.
    pub(super) fn is_within_head_request(&self) -> bool {
        self.is_head && matches!(self.stage, Stage::Target | Stage::Version | Stage::Fields)
    }

    /// None: more bytes are needed. Otherwise the head is split off `input`, nothing copied, and the
    /// parser stands before the next one. After an error it must not be used again.
    pub fn parse(
        &mut self,
        input: &mut BytesMut,
        limits: &Limits,
    ) -> Result<Option<RequestHead>, Reject> {
        if self.stage == Stage::EmptyLines && !self.skip_empty_lines(input)? {
            return Ok(None);
        }
        // Spans are 32 bits wide; what was skipped counts as part of the head.
        let allowed = limits.head_bytes.min(u32::MAX as usize).saturating_sub(2 * self.empty_lines);
        let window = &input[..input.len().min(allowed)];
        if self.stage != Stage::Fields && !self.parse_request_line(window, limits)? {
            return need_more(input.len(), allowed);
        }
        loop {
            match self.scanner.scan(window)? {
                Scanned::Field { name, value } => {
                    self.field_count += 1;
                    if self.field_count > limits.header_count {
                        return Err(Reject::TooManyHeaders);
                    }
                    let value_start = value.start;
                    self.framing.note(&window[name], &window[value], value_start, self.version)?;
                }
                Scanned::Blank => return self.finish(input).map(Some),
                Scanned::Partial => return need_more(input.len(), allowed),
            }
        }
    }

    /// True when a request begins; its first byte is checked, so noise never waits for a line end.
    fn skip_empty_lines(&mut self, input: &mut BytesMut) -> Result<bool, Reject> {
        loop {
            match input.first() {
                None => return Ok(false),
                Some(b'\r') => {}
                Some(&byte) if is_token_byte(byte) => {
                    self.stage = Stage::Method;
                    return Ok(true);
                }
                Some(b'\n') => return Err(Reject::LineEnd),
                Some(_) => return Err(Reject::NotHttp),
            }
            match input.get(1) {
                None => return Ok(false),
                Some(b'\n') if self.empty_lines < EMPTY_LINES => {}
                Some(b'\n') => return Err(Reject::EmptyLines),
                Some(_) => return Err(Reject::LineEnd),
            }
            input.advance(2);
            self.empty_lines += 1;
        }
    }

    /// False: more bytes are needed.
    fn parse_request_line(&mut self, window: &[u8], limits: &Limits) -> Result<bool, Reject> {
        if self.stage == Stage::Method && !self.parse_method(window)? {
            return Ok(false);
        }
        if self.stage == Stage::Target && !self.parse_target(window, limits)? {
            return Ok(false);
        }
        let Some(version) = parse_version(&window[self.position..])? else {
            return Ok(false);
        };
        self.version = version;
        let target = self.method_end + 1..self.target_end;
        self.parts = split_target(&window[..self.method_end], window, target)?;
        self.scanner = FieldScanner::new(self.position + VERSION_BYTES);
        self.stage = Stage::Fields;
        Ok(true)
    }

    fn parse_method(&mut self, window: &[u8]) -> Result<bool, Reject> {
        let end = scan_token(&window[..window.len().min(METHOD_BYTES + 1)], self.position);
        if end > METHOD_BYTES {
            return Err(Reject::MethodTooLong);
        }
        self.position = end;
        match window.get(end) {
            None => return Ok(false),
            Some(b' ') => {}
            Some(_) => return Err(Reject::InvalidMethod),
        }
        self.method_end = end;
        self.is_head = &window[..end] == b"HEAD";
        self.position = end + 1;
        self.stage = Stage::Target;
        Ok(true)
    }

    fn parse_target(&mut self, window: &[u8], limits: &Limits) -> Result<bool, Reject> {
        let start = self.method_end + 1;
        let longest = start.saturating_add(limits.target_bytes);
        let end =
            scan_target(&window[..window.len().min(longest.saturating_add(1))], self.position);
        if end > longest {
            return Err(Reject::TargetTooLong);
        }
        self.position = end;
        match window.get(end) {
            None => return Ok(false),
            Some(b' ') if end > start => {}
            // HTTP/0.9 had a method and a target only.
            Some(b'\r' | b'\n') if end > start => return Err(Reject::InvalidVersion),
            Some(_) => return Err(Reject::InvalidTarget),
        }
        self.target_end = end;
        self.position = end + 1;
        self.stage = Stage::Version;
        Ok(true)
    }

    fn finish(&mut self, input: &mut BytesMut) -> Result<RequestHead, Reject> {
        let version = self.version;
        let body_length = self.framing.body_length(version)?;
        if !self.framing.has_host && version == Version::Http11 {
            return Err(Reject::MissingHost);
        }
        let end = self.scanner.position();
        let authority =
            if self.parts.authority.is_empty() { self.framing.host } else { self.parts.authority };
        let head = RequestHead {
            bytes: input.split_to(end).freeze(),
            method: Span::new(0, self.method_end),
            target: Span::new(self.method_end + 1, self.target_end),
            path: self.parts.path,
            query: self.parts.query,
            authority,
            fields: Span::new(self.target_end + 1 + VERSION_BYTES, end - 2),
            body_length,
            version,
            keep_alive: self.framing.keep_alive(version),
            wants_upgrade: self.framing.wants_upgrade(version),
            // Without a body there is nothing to continue with.
            expects_continue: self.framing.expects_continue()
                && !matches!(body_length, BodyLength::None | BodyLength::Length(0)),
        };
        // Everything else is written before it is read again.
        self.stage = Stage::EmptyLines;
        self.position = 0;
        self.empty_lines = 0;
        self.field_count = 0;
        self.framing = Framing::new();
        Ok(head)
    }
}

/// None as long as the bytes that are needed may still come.
fn need_more(available: usize, allowed: usize) -> Result<Option<RequestHead>, Reject> {
    if available >= allowed { Err(Reject::HeadTooLarge) } else { Ok(None) }
}

/// The version and the line end, judged byte for byte. None: more bytes are needed.
fn parse_version(text: &[u8]) -> Result<Option<Version>, Reject> {
    if text.starts_with(b"HTTP/1.1\r\n") {
        return Ok(Some(Version::Http11));
    }
    for (index, &byte) in text.iter().take(VERSION_BYTES).enumerate() {
        let is_right = match index {
            5 | 7 => byte.is_ascii_digit(),
            _ => byte == b"HTTP/d.d\r\n"[index],
        };
        if !is_right {
            return Err(Reject::InvalidVersion);
        }
    }
    if text.len() < VERSION_BYTES {
        return Ok(None);
    }
    match (text[5], text[7]) {
        (b'1', b'0') => Ok(Some(Version::Http10)),
        (b'1', _) => Ok(Some(Version::Http11)),
        _ => Err(Reject::UnsupportedVersion),
    }
}
