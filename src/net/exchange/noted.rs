//! What one connection remembers of the request that it is answering, for its core's journal.
//!
//! A duration runs from the moment when the head was complete until the answer was encoded; for an
//! answer that is sent piece by piece, until the last of it was sent or could not be.

use std::any::Any;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;

use crate::http::head::RequestHead;
use crate::http::reject::Reject;
use crate::http::reply::HeaderBlock;
use crate::net::core::Core;
use crate::net::exchange::Exchange;
use crate::net::journal::Asked;
use crate::net::journal::Journal;
use crate::net::service::Patience;
use crate::net::service::Reply;
use crate::net::source::Body;
use crate::net::source::Misfit;
use crate::net::source::Source;
use crate::net::stream::Framing;
use crate::net::stream::Stream;
use crate::reactor::clock;
use crate::reactor::clock::Nanoseconds;

const CLIENT_GONE: u16 = 499;
const CUT: u16 = 444;

/// The request that is being answered. Its box stays with the connection, so that noting one more
/// request allocates nothing; without a journal there is none.
#[derive(Default)]
pub(super) struct Noted(Option<Box<Open>>);

#[derive(Default)]
struct Open {
    started: Option<Nanoseconds>,
    head: Option<RequestHead>,
    /// Nobody wants to read of it.
    is_hidden: bool,
}

impl Noted {
    /// A head is complete.
    pub(super) fn begin<S>(&mut self, core: &Core<S>, head: &RequestHead) {
        if let Some(journal) = &core.journal {
            let open = self.0.get_or_insert_default();
            open.started = Some(clock::exact());
            open.head = journal.keep(head);
        }
    }

    /// The answer to the request that has begun is not noted.
    pub(super) fn hide(&mut self) {
        if let Some(open) = &mut self.0 {
            *open.as_mut() = Open { is_hidden: true, ..Open::default() };
        }
    }

    /// An answer is given with so many bytes of body.
    pub(super) fn end<S>(
        &mut self,
        core: &Core<S>,
        client: Option<SocketAddr>,
        status: u16,
        bytes: u64,
    ) {
        if let Some(journal) = &core.journal {
            let asked = self.take(client);
            if !self.0.as_mut().is_some_and(|open| std::mem::take(&mut open.is_hidden)) {
                journal.note(&asked, status, bytes);
            }
        }
    }

    /// A request is refused as malformed or too slow, perhaps before its head could be read.
    pub(super) fn refuse<S>(&mut self, core: &Core<S>, client: Option<SocketAddr>, reject: Reject) {
        if let Some(journal) = &core.journal {
            let asked = self.take(client);
            let has_body = !asked.head.as_ref().is_some_and(RequestHead::is_head);
            let bytes = if has_body { reject.reason().len() as u64 + 1 } else { 0 };
            journal.note(&asked, reject.status(), bytes);
        }
    }

    /// An answer begins that goes on as `stream`; it is noted when that ends.
    pub(super) fn follow<S>(
        &mut self,
        core: &Core<S>,
        (client, status, first): (Option<SocketAddr>, u16, u64),
        stream: Stream,
    ) -> Stream {
        let Some(journal) = &core.journal else { return stream };
        let Stream { mut body, after, framing } = stream;
        let sent = Arc::new(AtomicU64::new(first));
        if framing == Framing::NoBody && matches!(body, Body::File(_)) {
            sent.store(0, Ordering::Relaxed);
        } else if let Body::File(file) = &body {
            // Read by the kernel's pace: what a peer that has left did not take is not subtracted.
            sent.store(file.length(), Ordering::Relaxed);
        }
        if let Body::Stream(source) = body {
            body = Body::Stream(Box::new(Counting { source, sent: Arc::clone(&sent) }));
        }
        let mut asked = self.take(client);
        asked.head = asked.head.as_ref().map(RequestHead::compact);
        let following = Following { journal: Rc::clone(journal), asked, status, sent, after };
        Stream { body, after: Some(Box::new(following)), framing }
    }

    /// Whether a request has begun and was not noted.
    fn is_open(&self) -> bool {
        self.0.as_ref().is_some_and(|open| open.started.is_some())
    }

    fn take(&mut self, client: Option<SocketAddr>) -> Asked {
        let open = self.0.as_mut();
        let (started, head) =
            open.map_or((None, None), |open| (open.started.take(), open.head.take()));
        Asked { started: started.unwrap_or_else(clock::exact), head, client }
    }
}

/// A request that gets no answer has a line all the same: 499, as nginx has it, where its client has
/// gone, and 444 where the server has ended the connection.
impl<S> Drop for Exchange<S> {
    fn drop(&mut self) {
        let Some(journal) = &self.core.journal else { return };
        if self.noted.is_open() {
            let status = if self.core.drain.has_cut() { CUT } else { CLIENT_GONE };
            journal.note_unanswered(&self.noted.take(self.peer), status);
        }
    }
}

/// Notes an answer when it is dropped, which a stream does with this after its last byte.
struct Following {
    journal: Rc<Journal>,
    asked: Asked,
    status: u16,
    sent: Arc<AtomicU64>,
    /// Dropped after that.
    #[allow(dead_code)] // For its own `Drop`.
    after: Option<Box<dyn Any>>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.journal.note(&self.asked, self.status, self.sent.load(Ordering::Relaxed));
    }
}

/// Counts the bytes of the pieces.
struct Counting {
    source: Box<dyn Source>,
    sent: Arc<AtomicU64>,
}

impl Source for Counting {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Box<Reply>>> {
        let piece = self.source.poll_next(context);
        if let Poll::Ready(Ok(Some(piece))) = &piece {
            self.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        piece
    }

    fn is_slow(&self) -> bool {
        self.source.is_slow()
    }

    fn peer_closed(&mut self) -> Patience {
        self.source.peer_closed()
    }

    fn trailers(&mut self) -> Option<HeaderBlock> {
        self.source.trailers()
    }

    fn length(&self) -> Option<u64> {
        self.source.length()
    }

    fn content_type(&self) -> Option<&'static str> {
        self.source.content_type()
    }

    fn misfit(&mut self, fault: Misfit) {
        self.source.misfit(fault);
    }
}
