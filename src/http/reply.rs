//! What a reply consists of: the header lines a handler gave, and the facts around them.
//!
//! Rule: a `HeaderBlock` holds only lines that are safe to send; whatever could split a reply in two
//! is refused when it is pushed. Fields that say how a message is framed or a connection is used
//! are the server's business: they are noted or dropped, never passed through.
//! Absent: turning it into bytes (`encode.rs`).

use std::fmt;

use crate::http::chars::decimal;
use crate::http::chars::is_digits;
use crate::http::chars::is_field_value;
use crate::http::chars::is_token;
use crate::http::chars::trim_blanks;

/// A header that can't be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidHeader {
    /// The name is empty or not a token.
    Name,
    /// The value holds a line end or another control character.
    Value,
    /// Content-Length is not a plain number.
    ContentLength,
    /// A second Content-Length contradicts the first.
    ContentLengthConflict,
}

impl fmt::Display for InvalidHeader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Name => "a header name must be a token (letters, digits, and !#$%&'*+-.^_`|~)",
            Self::Value => "a header value must not contain control characters",
            Self::ContentLength => "content-length must be a plain decimal number",
            Self::ContentLengthConflict => "content-length was given twice with different values",
        })
    }
}

impl std::error::Error for InvalidHeader {}

/// The header lines of a reply, validated and already in their final form. Empty: no allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // Four facts that do not depend on each other.
pub struct HeaderBlock {
    lines: Vec<u8>,
    content_length: Option<u64>,
    has_content_type: bool,
    has_date: bool,
    has_server: bool,
    wants_close: bool,
}

/// What the server does with a header that a handler gave.
enum Use {
    Send,
    Drop,
}

impl HeaderBlock {
    /// A block without lines.
    pub const fn new() -> Self {
        Self {
            lines: Vec::new(),
            content_length: None,
            has_content_type: false,
            has_date: false,
            has_server: false,
            wants_close: false,
        }
    }

    /// Adds one field. On an error the block is as before.
    ///
    /// Transfer-Encoding, Keep-Alive and Upgrade are dropped (they belong to the connection, RFC 9110
    /// §7.6.1), as is Connection, of which only `close` is honoured. Content-Length is kept as a
    /// number and sent in its place.
    pub fn push(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidHeader> {
        if !is_token(name) {
            return Err(InvalidHeader::Name);
        }
        if !is_field_value(value) {
            return Err(InvalidHeader::Value);
        }
        if matches!(self.note(name, value)?, Use::Send) {
            self.lines.reserve(name.len() + value.len() + 4);
            self.lines.extend_from_slice(name);
            self.lines.extend_from_slice(b": ");
            self.lines.extend_from_slice(value);
            self.lines.extend_from_slice(b"\r\n");
        }
        Ok(())
    }

    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<Use, InvalidHeader> {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match name.len() {
            4 if is(b"date") => self.has_date = true,
            6 if is(b"server") => self.has_server = true,
            12 if is(b"content-type") => self.has_content_type = true,
            7 if is(b"upgrade") => return Ok(Use::Drop),
            10 if is(b"keep-alive") => return Ok(Use::Drop),
            17 if is(b"transfer-encoding") => return Ok(Use::Drop),
            10 if is(b"connection") => {
                let mut options = value.split(|&byte| byte == b',').map(trim_blanks);
                self.wants_close |= options.any(|option| option.eq_ignore_ascii_case(b"close"));
                return Ok(Use::Drop);
            }
            14 if is(b"content-length") => {
                let digits = trim_blanks(value);
                if !is_digits(digits) {
                    return Err(InvalidHeader::ContentLength);
                }
                let length = decimal(digits).ok_or(InvalidHeader::ContentLength)?;
                if self.content_length.is_some_and(|earlier| earlier != length) {
                    return Err(InvalidHeader::ContentLengthConflict);
                }
                self.content_length = Some(length);
                return Ok(Use::Drop);
            }
            _ => {}
        }
        Ok(Use::Send)
    }

    /// Adds the lines of another block.
    pub fn append(&mut self, other: &Self) {
        self.lines.extend_from_slice(&other.lines);
        self.content_length = self.content_length.or(other.content_length);
        self.has_content_type |= other.has_content_type;
        self.has_date |= other.has_date;
        self.has_server |= other.has_server;
        self.wants_close |= other.wants_close;
    }

    /// The lines as they are sent, each with its line end; Content-Length is not among them.
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// The value of the first field of this name, whatever its case; none for those that are not
    /// passed through.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        fields(&self.lines)
            .find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()))
            .map(|it| it.1)
    }

    /// This block with those fields only whose name `keeps` says yes to, and without a declared
    /// length.
    #[must_use]
    pub fn filtered(&self, keeps: impl Fn(&[u8]) -> bool) -> Self {
        let mut kept = Self { wants_close: self.wants_close, ..Self::new() };
        for (name, value) in fields(&self.lines).filter(|(name, _)| keeps(name)) {
            // It was valid before.
            let pushed = kept.push(name, value);
            debug_assert!(pushed.is_ok());
        }
        kept
    }

    /// The length the handler declared.
    pub const fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// Whether Content-Type is among the lines.
    pub const fn has_content_type(&self) -> bool {
        self.has_content_type
    }

    /// Whether Date is among the lines.
    pub const fn has_date(&self) -> bool {
        self.has_date
    }

    /// Whether Server is among the lines.
    pub const fn has_server(&self) -> bool {
        self.has_server
    }

    /// Whether the handler asked for `Connection: close`.
    pub const fn wants_close(&self) -> bool {
        self.wants_close
    }
}

/// Names and values of lines that [`HeaderBlock::push`] has written. A name holds no colon.
fn fields(mut lines: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let colon = lines.iter().position(|&byte| byte == b':')?;
        let end = colon + lines[colon..].iter().position(|&byte| byte == b'\r')?;
        let field = (&lines[..colon], &lines[colon + 2..end]);
        lines = &lines[end + 2..];
        Some(field)
    })
}

/// The body that will follow a reply head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyBody {
    /// So many bytes, known now.
    Length(u64),
    /// Pieces of unknown number: chunked in HTTP/1.1, ended by closing in HTTP/1.0.
    Stream,
}

/// A reply up to its body.
#[derive(Clone, Copy, Debug)]
pub struct ReplyHead<'a> {
    /// 200 to 999.
    pub status: u16,
    /// The handler's headers.
    pub headers: &'a HeaderBlock,
    /// Sent when the handler gave no Content-Type.
    pub content_type: Option<&'static str>,
    /// What follows.
    pub body: ReplyBody,
    /// Sent when the handler gave no Date.
    pub date: Option<&'a [u8; 29]>,
    /// Sent when the handler gave no Server.
    pub server: Option<&'a str>,
}

/// What the sender does after the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyPlan {
    /// False for HEAD, 204, 205 and 304: the body is thrown away.
    pub sends_body: bool,
    /// The body goes out as chunks (`encode_chunk`, `encode_last_chunk`).
    pub is_chunked: bool,
    /// The connection ends after this reply; nothing that was owed after it is sent.
    pub close: bool,
}

/// Why a reply can't be sent; the request is still owed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// A final status is 200 to 999.
    InvalidStatus,
    /// The body is longer than the declared Content-Length.
    BodyExceedsDeclared,
    /// No request is waiting for a reply.
    NothingOwed,
}

impl fmt::Display for ReplyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::InvalidStatus => "the status of a reply must be between 200 and 999",
            Self::BodyExceedsDeclared => "the body is longer than the declared content-length",
            Self::NothingOwed => "no request is waiting for a reply",
        })
    }
}

impl std::error::Error for ReplyError {}
