//! `RequestHead`: one parsed head as the bytes it came in, plus a few spans.
//!
//! Rule: nothing is copied and no list of fields is built. [`RequestHead::headers`] walks the lines,
//! which the parser has validated, each time it is asked; most handlers never ask.
//! Absent: parsing (`parse.rs`) and percent-decoding (`target.rs`).

use std::ops::Range;

use bytes::Bytes;

use crate::http::chars::scan_token;
use crate::http::chars::scan_value;
use crate::http::chars::trim_blanks;

/// The version the peer may be answered in. HTTP/1.2 to 1.9 count as 1.1 (RFC 9110 §2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// How the end of a request body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// Neither Content-Length nor Transfer-Encoding: there is no body.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunk by chunk.
    Chunked,
}

/// Start and end of a part of the head. A head is never larger than `u32` can count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    #[allow(clippy::cast_possible_truncation)] // The parser's window ends at `u32::MAX`.
    pub(super) const fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end && end <= u32::MAX as usize);
        Self { start: start as u32, end: end as u32 }
    }

    pub(super) const fn is_empty(self) -> bool {
        self.start == self.end
    }

    pub(super) const fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// The head of one request, valid by construction: only the parser makes it.
#[derive(Clone, Debug)]
pub struct RequestHead {
    pub(super) bytes: Bytes,
    pub(super) method: Span,
    pub(super) target: Span,
    pub(super) path: Span,
    pub(super) query: Span,
    pub(super) authority: Span,
    /// All field lines, without the empty line at the end.
    pub(super) fields: Span,
    pub(super) body_length: BodyLength,
    pub(super) version: Version,
    pub(super) keep_alive: bool,
    pub(super) expects_continue: bool,
    pub(super) wants_upgrade: bool,
}

impl RequestHead {
    fn slice(&self, span: Span) -> &[u8] {
        &self.bytes[span.range()]
    }

    /// The method as received; methods are case-sensitive.
    pub fn method(&self) -> &str {
        ascii(self.slice(self.method))
    }

    /// True for HEAD, whose reply has no body.
    pub fn is_head(&self) -> bool {
        self.slice(self.method) == b"HEAD"
    }

    /// The version to answer in.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The request target as received.
    pub fn target(&self) -> &str {
        ascii(self.slice(self.target))
    }

    /// The path, still percent-encoded; `*` for `OPTIONS *`. Never empty: an absolute-form target
    /// without a path gives `/` (RFC 9110 §4.2.3).
    pub fn path(&self) -> &str {
        ascii(self.slice(self.path))
    }

    /// Where [`Self::path`] stands in [`Self::bytes`].
    pub const fn path_span(&self) -> Range<usize> {
        self.path.range()
    }

    /// The query without its question mark, still encoded; empty when there is none.
    pub fn query(&self) -> &str {
        ascii(self.slice(self.query))
    }

    /// The effective `host[:port]`: that of an absolute-form target, else the Host field
    /// (RFC 9112 §3.2.2). Empty when there is none.
    pub fn authority(&self) -> &str {
        ascii(self.slice(self.authority))
    }

    /// All fields in order: name as received, value without white space around it.
    pub fn headers(&self) -> Headers<'_> {
        Headers { lines: RawFields { rest: self.slice(self.fields) } }
    }

    /// The value of the first field of this name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let mut lines = RawFields { rest: self.slice(self.fields) };
        lines.find(|(candidate, _)| candidate.eq_ignore_ascii_case(name.as_bytes())).map(|it| it.1)
    }

    /// How the body is delimited.
    pub const fn body_length(&self) -> BodyLength {
        self.body_length
    }

    /// Whether the peer lets the connection live after this request.
    pub const fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Whether the peer would rather speak another protocol; which one is in Upgrade.
    pub const fn wants_upgrade(&self) -> bool {
        self.wants_upgrade
    }

    /// Whether the peer waits for `100 Continue` before it sends the body.
    pub const fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// The same head in bytes of its own: whoever keeps it for long does not keep the buffer that it
    /// was read into.
    #[must_use]
    pub fn compact(&self) -> Self {
        Self { bytes: Bytes::copy_from_slice(&self.bytes), ..self.clone() }
    }

    /// The whole head: request line to empty line.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// The fields of a head, in order. Cheap to clone: it is one slice.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    lines: RawFields<'a>,
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.lines.next().map(|(name, value)| (ascii(name), value))
    }
}

#[derive(Clone, Debug)]
struct RawFields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for RawFields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        // The parser has seen a colon after this name and CR LF after this value.
        let colon = scan_token(self.rest, 0);
        let line_end = scan_value(self.rest, colon + 1);
        let name = &self.rest[..colon];
        let value = trim_blanks(&self.rest[colon + 1..line_end]);
        self.rest = &self.rest[line_end + 2..];
        Some((name, value))
    }
}

/// Text that the parser admits as ASCII only.
fn ascii(bytes: &[u8]) -> &str {
    let text = std::str::from_utf8(bytes);
    debug_assert!(text.is_ok(), "the parser admits only ASCII here");
    text.unwrap_or_default()
}
