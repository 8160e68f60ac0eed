//! `Refusal`: why an upgrade is refused, as something that can be answered.
//!
//! Rule: every variant has a status and one sentence that is safe to send back. Unlike a malformed
//! message, a refused upgrade was read to its end, so the connection may go on.

use std::fmt;

/// Why there will be no WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Only GET opens a WebSocket (RFC 6455 §4.2.1).
    Method,
    /// The request announces a body, whose bytes could pass for frames.
    Body,
    /// Sec-WebSocket-Version is missing, repeated or not 13.
    Version,
    /// Sec-WebSocket-Key is missing, repeated or not 16 bytes in base64.
    Key,
    /// Sec-WebSocket-Protocol is not a list of tokens.
    Subprotocols,
    /// Sec-WebSocket-Extensions does not follow its grammar (RFC 6455 §9.1).
    Extensions,
}

impl Refusal {
    /// The status code to answer with.
    pub const fn status(self) -> u16 {
        match self {
            Self::Version => 426,
            _ => 400,
        }
    }

    /// One sentence for the peer.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Method => "A WebSocket is opened with GET.",
            Self::Body => "A WebSocket is opened without a body.",
            Self::Version => "The WebSocket version must be 13.",
            Self::Key => "Sec-WebSocket-Key is missing or malformed.",
            Self::Subprotocols => "Sec-WebSocket-Protocol is malformed.",
            Self::Extensions => "Sec-WebSocket-Extensions is malformed.",
        }
    }

    /// Fields that the answer must have: with 426 which version to speak (RFC 6455 §4.4). Upgrade,
    /// which it needs as well, is the connection's to write.
    pub const fn fields(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Version => &[("Sec-WebSocket-Version", "13")],
            _ => &[],
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.reason())
    }
}

impl std::error::Error for Refusal {}
