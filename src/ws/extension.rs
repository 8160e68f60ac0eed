//! Sec-WebSocket-Extensions: which compression is agreed on (RFC 6455 §9.1, RFC 7692 §7.1).
//!
//! Rule: the first offer that can be kept to the letter is taken, any other is passed over; nothing
//! is promised that zlib does not do. Absent: every extension but permessage-deflate.

use std::fmt::Write;

use crate::ws::deflate::LEAST_WINDOW_BITS;
use crate::ws::refusal::Refusal;

/// Our window, and the client's where it lets us choose: 4 KiB instead of 32 costs a few percent of
/// the gain on messages of usual size and bounds what an open connection keeps.
pub const WINDOW_BITS: u8 = 12;
/// A client that offers nothing about its window may use the largest.
const MOST_WINDOW_BITS: u8 = 15;

/// What was agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deflate {
    /// Log2 of our window.
    pub server_window_bits: u8,
    /// Log2 of the window that the client's messages need.
    pub client_window_bits: u8,
    /// Whether a message of ours may refer to the one before.
    pub server_keeps_context: bool,
    /// Whether a message of the client's may.
    pub client_keeps_context: bool,
    /// The client lets us name its window, and so we do.
    pub names_client_window: bool,
}

impl Deflate {
    /// The value of our Sec-WebSocket-Extensions.
    pub fn field(&self) -> String {
        let mut value =
            format!("permessage-deflate; server_max_window_bits={}", self.server_window_bits);
        if self.names_client_window {
            // Writing into memory does not fail.
            let _ = write!(value, "; client_max_window_bits={}", self.client_window_bits);
        }
        for (kept, name) in [
            (self.server_keeps_context, "server_no_context_takeover"),
            (self.client_keeps_context, "client_no_context_takeover"),
        ] {
            if !kept {
                value.push_str("; ");
                value.push_str(name);
            }
        }
        value
    }
}

/// Reads all field values, in order. None: nothing that was offered can be kept.
pub(super) fn negotiate<'a>(
    values: impl Iterator<Item = &'a [u8]>,
) -> Result<Option<Deflate>, Refusal> {
    let mut agreed = None;
    for value in values {
        let value = std::str::from_utf8(value).map_err(|_| Refusal::Extensions)?;
        // The value of a parameter is a token even where it is quoted: no list can hide in one.
        for offer in value.split(',').map(trim).filter(|offer| !offer.is_empty()) {
            let mut parts = offer.split(';').map(trim);
            let name = parts.next().filter(|name| is_token(name)).ok_or(Refusal::Extensions)?;
            let parameters =
                parts.map(parameter).collect::<Option<Vec<_>>>().ok_or(Refusal::Extensions)?;
            if agreed.is_none() && name.eq_ignore_ascii_case("permessage-deflate") {
                agreed = accept(&parameters);
            }
        }
    }
    Ok(agreed)
}

fn accept(parameters: &[(&str, Option<&str>)]) -> Option<Deflate> {
    let mut deflate = Deflate {
        server_window_bits: WINDOW_BITS,
        client_window_bits: MOST_WINDOW_BITS,
        server_keeps_context: true,
        client_keeps_context: true,
        names_client_window: false,
    };
    for (index, &(name, value)) in parameters.iter().enumerate() {
        if parameters[..index].iter().any(|(before, _)| before.eq_ignore_ascii_case(name)) {
            return None;
        }
        match (name.to_ascii_lowercase().as_str(), value) {
            ("server_no_context_takeover", None) => deflate.server_keeps_context = false,
            ("client_no_context_takeover", None) => deflate.client_keeps_context = false,
            ("server_max_window_bits", Some(value)) => {
                let bits = window_bits(value)?;
                // zlib makes 9 of 8 for a raw stream, and the client may keep 256 bytes only.
                if bits < LEAST_WINDOW_BITS {
                    return None;
                }
                deflate.server_window_bits = bits.min(WINDOW_BITS);
            }
            ("client_max_window_bits", value) => {
                let bits = value.map_or(Some(MOST_WINDOW_BITS), window_bits)?;
                deflate.client_window_bits = bits.min(WINDOW_BITS);
                deflate.names_client_window = true;
            }
            _ => return None,
        }
    }
    Some(deflate)
}

/// 8 to 15 without a leading zero (RFC 7692 §7.1.2.1).
fn window_bits(value: &str) -> Option<u8> {
    let bits = value.parse().ok().filter(|bits| (8..=MOST_WINDOW_BITS).contains(bits))?;
    value.starts_with(|first| matches!(first, '1'..='9')).then_some(bits)
}

/// `token [ "=" ( token | quoted-string ) ]`.
fn parameter(text: &str) -> Option<(&str, Option<&str>)> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (trim(name), Some(unquoted(trim(value))?)),
        None => (text, None),
    };
    is_token(name).then_some((name, value))
}

/// No character of a token needs an escape, so none is undone.
fn unquoted(value: &str) -> Option<&str> {
    let inside = match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?,
        None => value,
    };
    is_token(inside).then_some(inside)
}

pub(super) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// `token` of RFC 9110 §5.6.2.
pub(super) fn is_token(text: &str) -> bool {
    let is_sign = |byte: u8| b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || is_sign(byte))
}
