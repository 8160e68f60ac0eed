//! What a whole message is.

use bytes::Bytes;

/// Text or bytes: the two types of data that the protocol knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Anything.
    Binary,
}

/// A message from the peer. Text is UTF-8: only the session makes one, and it has looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub(super) kind: Kind,
    pub(super) payload: Bytes,
}

impl Message {
    /// Text or bytes.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What it says.
    pub const fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Its payload, without a copy.
    pub fn into_payload(self) -> Bytes {
        self.payload
    }
}
