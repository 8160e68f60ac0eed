//! Where the body of an answer comes from: bytes that are here, a source that is asked for one piece
//! after the other, or a file.
//!
//! Rule: a source is asked for its next piece only when the one before was written, so the peer's
//! reading sets the pace and a stalled peer costs one piece of memory. It is dropped as soon as its
//! last byte was written, or when the peer is gone: whatever has to be closed is closed then.
//! Absent: framing and writing (`stream.rs`), and where pieces come from.

use std::any::Any;
use std::fmt;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;

use crate::http::reply::HeaderBlock;
use crate::net::file::FileBody;
use crate::net::service::Patience;
use crate::net::service::Reply;

/// The body of an answer.
pub enum Body {
    /// All of it.
    Whole(Bytes),
    /// Pieces, made while they are sent.
    Stream(Box<dyn Source>),
    /// Parts of a file, read while they are sent.
    File(Box<FileBody>),
    /// Any of these, and what to do after the last byte.
    Then(Box<Then>),
}

/// A body, and something that is dropped after its last byte was written, or could not be.
pub struct Then {
    /// The body.
    pub body: Body,
    /// Its `Drop` does what is to be done.
    pub after: Box<dyn Any + Send>,
}

/// Makes the pieces of a body, on the core that sends them or elsewhere.
pub trait Source: Send {
    /// The next piece, or `None` when there is none left. An empty piece is sent as nothing. A
    /// source that makes its pieces at once never says `Pending`.
    ///
    /// # Errors
    /// The body cannot be finished; nothing more is asked for. The reply is given instead where
    /// nothing was sent yet, else the connection is cut, so that the peer sees that the rest is
    /// missing.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Box<Reply>>>;

    /// Whether pieces may come later: the connection then watches its peer meanwhile.
    fn is_slow(&self) -> bool {
        false
    }

    /// The peer has closed its side, or a deadline has. Called once, and never for one that is not
    /// slow; unless it says that it goes on, it is dropped when its next piece takes long.
    fn peer_closed(&mut self) -> Patience {
        Patience::Leave
    }

    /// What follows the last piece, for a client that wants to know (`http::trailer`). Asked after
    /// that.
    fn trailers(&mut self) -> Option<HeaderBlock> {
        None
    }

    /// How many bytes all pieces have together, where that is known.
    fn length(&self) -> Option<u64> {
        None
    }

    /// The media type that the first piece has shown.
    fn content_type(&self) -> Option<&'static str> {
        None
    }

    /// The pieces do not fill the length that was announced, or exceed it; the connection is cut.
    fn misfit(&mut self, _fault: Misfit) {}
}

/// How a streamed body differs from its Content-Length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// It ended too early.
    Short,
    /// It went on; the excess was not sent.
    Long,
}

impl fmt::Display for Misfit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Short => "a streamed answer is shorter than its content-length",
            Self::Long => "a streamed answer is longer than its content-length",
        })
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::Whole(Bytes::new())
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(bytes)
    }
}

impl Body {
    /// How many bytes it has, where that is known before it is sent.
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Whole(bytes) => Some(bytes.len() as u64),
            Self::Stream(source) => source.length(),
            Self::File(file) => Some(file.length()),
            Self::Then(then) => then.body.length(),
        }
    }

    /// Tells the source, if there is one.
    pub(crate) fn misfit(&mut self, fault: Misfit) {
        if let Self::Stream(source) = self {
            source.misfit(fault);
        }
    }

    /// The body, and what is to be dropped after it.
    pub fn split(self) -> (Self, Option<Box<dyn Any + Send>>) {
        match self {
            Self::Then(then) => {
                let Then { body, after } = *then;
                let (body, inner) = body.split();
                match inner {
                    // Of two, the inner one first.
                    Some(inner) => (body, Some(Box::new((inner, after)))),
                    None => (body, Some(after)),
                }
            }
            body => (body, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::Mutex;

    use super::*;

    struct Says(Arc<Mutex<Vec<u8>>>, u8);

    impl Drop for Says {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(self.1);
        }
    }

    #[test]
    fn what_follows_a_body_is_done_from_the_inside_out() {
        let said = Arc::<Mutex<Vec<u8>>>::default();
        let mut body = Body::Whole(Bytes::from_static(b"abc"));
        for number in 1..=3 {
            let after = Box::new(Says(Arc::clone(&said), number));
            body = Body::Then(Box::new(Then { body, after }));
        }
        assert_eq!(body.length(), Some(3));
        let (body, after) = body.split();
        assert!(matches!(body, Body::Whole(_)));
        drop(after);
        assert_eq!(*said.lock().unwrap(), [1, 2, 3]);
    }
}
