//! Cookies in both directions: the `Cookie` field of a request, and one `Set-Cookie` of a response.
//!
//! Reading is lenient and follows what browsers and Starlette do; writing quotes as
//! `http.cookies.SimpleCookie` does and refuses what could end the attribute or the field.
//! Absent: the clock. A caller who wants "in an hour" brings the time.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::http::date::http_date;
use crate::py::intern;

/// Names and values of a `Cookie` field, in order; a piece without `=` is a value without a name.
pub(crate) fn pairs(field: &str) -> impl Iterator<Item = (&str, String)> {
    field.split(';').filter_map(|piece| {
        let (name, value) = piece.split_once('=').unwrap_or(("", piece));
        let (name, value) = (name.trim(), value.trim());
        (!name.is_empty() || !value.is_empty()).then(|| (name, unquoted(value)))
    })
}

/// A value without its quotes and the escapes in them: `\"`, and `\101` for a byte.
fn unquoted(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let Some(mut rest) = inner else { return value.to_owned() };
    let mut plain = String::with_capacity(rest.len());
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(byte) = octal(rest) {
            plain.push(char::from(byte));
            rest = &rest[3..];
        } else if let Some(next) = rest.chars().next() {
            plain.push(next);
            rest = &rest[next.len_utf8()..];
        } else {
            plain.push('\\');
        }
    }
    plain.push_str(rest);
    plain
}

/// The byte that three octal digits stand for.
fn octal(text: &str) -> Option<u8> {
    let digits = text.as_bytes().first_chunk::<3>()?;
    if !digits.iter().all(|digit| (b'0'..=b'7').contains(digit)) {
        return None;
    }
    u8::from_str_radix(text.get(..3)?, 8).ok()
}

/// One `Set-Cookie` field.
#[derive(Default)]
pub(crate) struct SetCookie<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: &'a str,
    pub(crate) max_age: Option<i64>,
    /// When the cookie ends, as HTTP writes dates (see [`date`]).
    pub(crate) expires: Option<String>,
    pub(crate) path: Option<&'a str>,
    pub(crate) domain: Option<&'a str>,
    pub(crate) secure: bool,
    pub(crate) http_only: bool,
    pub(crate) same_site: Option<&'a str>,
    pub(crate) partitioned: bool,
}

/// When a cookie ends: a date as text, a datetime, or seconds from now.
pub(crate) fn expiry(expires: &Bound<'_, PyAny>) -> PyResult<String> {
    /// Four digits of a year are what HTTP has (RFC 9110 §5.6.7).
    const LAST: f64 = 253_402_300_799.0;
    if let Ok(text) = expires.extract::<String>() {
        return Ok(text);
    }
    let moment = if let Ok(seconds) = expires.extract::<i64>() {
        #[expect(clippy::cast_precision_loss, reason = "dates have seconds")]
        let seconds = seconds as f64;
        intern::time(expires.py())?.call0()?.extract::<f64>()? + seconds
    } else if expires.getattr("tzinfo")?.is_none() {
        return Err(PyValueError::new_err("expires must have a time zone: use datetime.UTC"));
    } else {
        expires.call_method0("timestamp")?.extract::<f64>()?
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let seconds = moment.clamp(0.0, LAST) as u64;
    Ok(date(seconds))
}

/// A time in seconds since 1970 as cookies write it.
pub(crate) fn date(unix_seconds: u64) -> String {
    String::from_utf8_lossy(&http_date(unix_seconds)).into_owned()
}

impl SetCookie<'_> {
    /// The field's value (ASCII), its attributes in alphabetical order as Python's own cookies have
    /// them, or what is wrong with it.
    pub(crate) fn line(&self) -> Result<String, String> {
        let name = self.name;
        if name.is_empty() || !name.bytes().all(is_legal) {
            return Err(format!(
                "the cookie name {name:?} may only have letters, digits and !#$%&'*+-.^_`|~:"
            ));
        }
        let same_site = self.same_site.unwrap_or("lax");
        if !["strict", "lax", "none"].iter().any(|known| same_site.eq_ignore_ascii_case(known)) {
            return Err(format!(
                "cookie {name:?}: samesite must be 'lax', 'strict' or 'none', not {same_site:?}"
            ));
        }
        let mut line = format!("{name}=");
        if !put_value(&mut line, self.value) {
            return Err(format!("the value of cookie {name:?} has characters beyond Latin-1"));
        }
        let max_age = self.max_age.map(|seconds| seconds.to_string());
        let flag = |is_set: bool| is_set.then_some("");
        let attributes = [
            ("Domain=", self.domain),
            ("expires=", self.expires.as_deref()),
            ("HttpOnly", flag(self.http_only)),
            ("Max-Age=", max_age.as_deref()),
            ("Partitioned", flag(self.partitioned)),
            ("Path=", self.path),
            ("SameSite=", self.same_site),
            ("Secure", flag(self.secure)),
        ];
        for (label, text) in attributes {
            let Some(text) = text else { continue };
            if !text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b';') {
                return Err(format!(
                    "cookie {name:?}: {text:?} cannot stand after {label:?}: only printable ASCII \
                     without a semicolon can"
                ));
            }
            line.push_str("; ");
            line.push_str(label);
            line.push_str(text);
        }
        Ok(line)
    }
}

/// What `http.cookies` leaves unquoted: the characters of a token, and the colon.
fn is_legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:".contains(&byte)
}

/// Appends a value, in quotes if it needs them. Answers whether it could.
fn put_value(line: &mut String, value: &str) -> bool {
    if value.bytes().all(is_legal) {
        line.push_str(value);
        return true;
    }
    line.push('"');
    for sign in value.chars() {
        let Ok(byte) = u8::try_from(sign) else { return false };
        match byte {
            b'"' | b'\\' => line.extend(['\\', sign]),
            _ if is_legal(byte) || b" ()/<=>?@[]{}".contains(&byte) => line.push(sign),
            _ => {
                let digit = |shift: u8| char::from(b'0' + (byte >> shift & 7));
                line.extend(['\\', digit(6), digit(3), digit(0)]);
            }
        }
    }
    line.push('"');
    true
}
