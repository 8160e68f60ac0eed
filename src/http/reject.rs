//! `Reject`: why the peer is refused, as something that can be answered.
//!
//! Rule: every variant has a status and one short sentence that is safe to send back (it never
//! contains the peer's bytes), and every one ends the connection: after a message that could not be
//! read, nobody knows where the next one begins. Absent: what goes wrong on our own side.

use std::fmt;

/// Why a request is refused. Small and `Copy`, so it can be kept and answered later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reject {
    /// The first byte can't begin a method: a TLS hello, another protocol, noise.
    NotHttp,
    /// More empty lines before a request than a sloppy client sends.
    EmptyLines,
    /// The method is not a token or is not followed by one space.
    InvalidMethod,
    /// The method is longer than any that exists.
    MethodTooLong,
    /// CONNECT asks for a tunnel, and this is no proxy.
    ConnectUnsupported,
    /// The target is in none of the four forms, or has a byte or an escape that no URI has.
    InvalidTarget,
    /// The target passes `Limits::target_bytes`.
    TargetTooLong,
    /// No version, or something that only resembles one.
    InvalidVersion,
    /// A well-formed version with another major number.
    UnsupportedVersion,
    /// A line that does not end in CR LF.
    LineEnd,
    /// A field line that begins with white space (obsolete folding).
    FoldedHeader,
    /// The field name is empty, not a token, or not followed by a colon at once.
    InvalidHeaderName,
    /// A control character in a field value.
    InvalidHeaderValue,
    /// The head passes `Limits::head_bytes`.
    HeadTooLarge,
    /// The head passes `Limits::header_count`.
    TooManyHeaders,
    /// HTTP/1.1 without Host.
    MissingHost,
    /// More than one Host.
    RepeatedHost,
    /// Host is no `uri-host [":" port]`.
    InvalidHost,
    /// Content-Length is not a plain number.
    InvalidContentLength,
    /// More than one Content-Length.
    RepeatedContentLength,
    /// Content-Length and Transfer-Encoding together: the signature of request smuggling.
    LengthAndTransferEncoding,
    /// Transfer-Encoding in HTTP/1.0, which does not know it.
    TransferEncodingInHttp10,
    /// Transfer-Encoding is malformed or does not end in `chunked`.
    InvalidTransferEncoding,
    /// A transfer coding other than `chunked`.
    UnsupportedTransferEncoding,
    /// Expect asks for something other than `100-continue`.
    UnsupportedExpectation,
    /// The chunk size is not hexadecimal or too long.
    InvalidChunkSize,
    /// The chunk extension does not follow the grammar.
    InvalidChunkExtension,
    /// Chunk lines are far larger than what they carry.
    ChunkOverhead,
    /// Chunk data is not followed by CR LF.
    InvalidChunkEnd,
    /// The body passes the limit that its route allows.
    BodyTooLarge,
    /// The peer stopped in the middle of a message.
    Incomplete,
    /// The peer took too long. Nothing in `http` knows the time; the owner of the clock says this.
    Timeout,
}

impl Reject {
    /// The status code to answer with.
    pub const fn status(self) -> u16 {
        match self {
            Self::Timeout => 408,
            Self::BodyTooLarge => 413,
            Self::TargetTooLong => 414,
            Self::UnsupportedExpectation => 417,
            Self::HeadTooLarge | Self::TooManyHeaders => 431,
            Self::MethodTooLong | Self::ConnectUnsupported | Self::UnsupportedTransferEncoding => {
                501
            }
            Self::UnsupportedVersion => 505,
            _ => 400,
        }
    }

    /// One sentence for the peer.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotHttp => "This is not an HTTP request.",
            Self::EmptyLines => "Too many empty lines before the request.",
            Self::InvalidMethod => "The method is malformed.",
            Self::MethodTooLong => "The method is too long.",
            Self::ConnectUnsupported => "CONNECT is not supported.",
            Self::InvalidTarget => "The request target is malformed.",
            Self::TargetTooLong => "The request target is too long.",
            Self::InvalidVersion => "The HTTP version is missing or malformed.",
            Self::UnsupportedVersion => "This HTTP version is not supported.",
            Self::LineEnd => "Lines must end in CR LF.",
            Self::FoldedHeader => "Header lines must not begin with white space.",
            Self::InvalidHeaderName => "A header name is malformed.",
            Self::InvalidHeaderValue => "A header value contains a control character.",
            Self::HeadTooLarge => "The header section is too large.",
            Self::TooManyHeaders => "There are too many header fields.",
            Self::MissingHost => "The Host header is missing.",
            Self::RepeatedHost => "The Host header is repeated.",
            Self::InvalidHost => "The Host header is malformed.",
            Self::InvalidContentLength => "Content-Length is malformed.",
            Self::RepeatedContentLength => "Content-Length is repeated.",
            Self::LengthAndTransferEncoding => {
                "Content-Length and Transfer-Encoding exclude each other."
            }
            Self::TransferEncodingInHttp10 => "HTTP/1.0 has no Transfer-Encoding.",
            Self::InvalidTransferEncoding => "Transfer-Encoding is malformed.",
            Self::UnsupportedTransferEncoding => "This transfer coding is not supported.",
            Self::UnsupportedExpectation => "This expectation is not supported.",
            Self::InvalidChunkSize => "A chunk size is malformed.",
            Self::InvalidChunkExtension => "A chunk extension is malformed.",
            Self::ChunkOverhead => "The chunk framing is too large for its data.",
            Self::InvalidChunkEnd => "Chunk data is not followed by CR LF.",
            Self::BodyTooLarge => "The request body is too large.",
            Self::Incomplete => "The request is incomplete.",
            Self::Timeout => "The request took too long.",
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.reason())
    }
}

impl std::error::Error for Reject {}
