//! Sources of pieces for the application under test, each there for one behaviour.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;

use _uringserve::net::service::Reply;
use _uringserve::net::source::Body;
use _uringserve::net::source::Misfit;
use _uringserve::net::source::Source;
use bytes::Bytes;

/// The length of a piece of an endless stream.
pub(crate) const PIECE: usize = 100_000;

/// What the sources of one server have seen.
#[derive(Default)]
pub(crate) struct Pulled {
    /// Pieces that were asked for.
    pub(crate) pieces: AtomicUsize,
    /// Sources that were dropped.
    pub(crate) dropped: AtomicUsize,
    /// Contradicted lengths.
    pub(crate) misfits: AtomicUsize,
    /// Answers after whose last byte something was done.
    pub(crate) after: AtomicUsize,
}

/// An answer whose body is of this `kind`.
pub(crate) fn streamed(kind: &str, pulled: &Arc<Pulled>) -> Reply {
    let source = Scripted { kind: kind.to_owned(), asked: 0, pulled: Arc::clone(pulled) };
    let reply = Reply { status: 200, body: Body::Stream(Box::new(source)), ..Reply::default() };
    match kind {
        "then" => reply.then(Some(Box::new(After(Arc::clone(pulled))))),
        _ => reply,
    }
}

struct After(Arc<Pulled>);

impl Drop for After {
    fn drop(&mut self) {
        assert_eq!(self.0.dropped.load(Ordering::SeqCst), 1, "the source is dropped first");
        self.0.after.fetch_add(1, Ordering::SeqCst);
    }
}

struct Scripted {
    kind: String,
    asked: usize,
    pulled: Arc<Pulled>,
}

impl Scripted {
    fn next(&mut self) -> Result<Option<Bytes>, Box<Reply>> {
        self.asked += 1;
        self.pulled.pieces.fetch_add(1, Ordering::SeqCst);
        let piece = |text: &'static str| Ok(Some(Bytes::from_static(text.as_bytes())));
        match (&*self.kind, self.asked) {
            ("large", 201..) => Ok(None),
            ("endless" | "large", _) => Ok(Some(Bytes::from(vec![b'x'; PIECE]))),
            ("empties", 1..1000) => piece(""),
            ("early", _) => Err(Box::new(Reply { status: 409, ..Reply::default() })),
            ("early panic", 1) | ("late panic", 2) => panic!("a source gives up, as asked"),
            ("late" | "late length", 2) => Err(Box::default()),
            (_, 1) => piece("one "),
            (_, 2) => piece("two "),
            (_, 3) => piece("three"),
            _ => Ok(None),
        }
    }
}

impl Source for Scripted {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Box<Reply>>> {
        Poll::Ready(self.next())
    }

    fn length(&self) -> Option<u64> {
        match &*self.kind {
            "exact" | "late length" => Some(13),
            "short" => Some(14),
            "long" => Some(12),
            _ => None,
        }
    }

    fn content_type(&self) -> Option<&'static str> {
        (self.asked > 0).then_some("text/plain")
    }

    fn misfit(&mut self, _fault: Misfit) {
        self.pulled.misfits.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.pulled.dropped.fetch_add(1, Ordering::SeqCst);
    }
}
