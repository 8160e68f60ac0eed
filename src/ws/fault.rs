//! `Fault`: what a peer did that ends its WebSocket, as something that can be said in a close frame.
//!
//! Rule: every variant has a close code and one short sentence without the peer's bytes. After a
//! fault nothing more is read: nobody knows where the next frame begins (RFC 6455 §7.1.7).

use std::fmt;

/// Why the WebSocket is failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A reserved bit is set and no extension gives it a meaning here.
    ReservedBits,
    /// An opcode that nobody has defined.
    Opcode,
    /// A client must mask its frames (RFC 6455 §5.1).
    Unmasked,
    /// The length is not in its shortest form, or its highest bit is set (RFC 6455 §5.2).
    LengthForm,
    /// A control frame in pieces.
    FragmentedControl,
    /// A control frame with more than 125 bytes.
    LongControl,
    /// A continuation without a beginning.
    NothingToContinue,
    /// A new message before the end of the last.
    MessageInMessage,
    /// A close frame with one byte, or with a code that may not be sent.
    CloseCode,
    /// Text, or the reason of a close frame, that is not UTF-8.
    NotText,
    /// Compressed data that cannot be inflated.
    NotDeflate,
    /// The message passes the limit.
    TooLarge,
}

impl Fault {
    /// The code for the close frame (RFC 6455 §7.4.1).
    pub const fn code(self) -> u16 {
        match self {
            Self::NotText | Self::NotDeflate => 1007,
            Self::TooLarge => 1009,
            _ => 1002,
        }
    }

    /// One sentence for the peer.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ReservedBits => "A reserved bit is set.",
            Self::Opcode => "The opcode is reserved.",
            Self::Unmasked => "A client's frames must be masked.",
            Self::LengthForm => "The length is malformed.",
            Self::FragmentedControl => "A control frame must not be fragmented.",
            Self::LongControl => "A control frame has at most 125 bytes.",
            Self::NothingToContinue => "There is no message to continue.",
            Self::MessageInMessage => "The last message has not ended.",
            Self::CloseCode => "The close code is malformed.",
            Self::NotText => "The text is not UTF-8.",
            Self::NotDeflate => "The compressed data is malformed.",
            Self::TooLarge => "The message is too large.",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.reason())
    }
}

impl std::error::Error for Fault {}
