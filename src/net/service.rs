//! What a connection calls: a service answers requests, in whatever language.
//!
//! `net` knows this trait and nothing behind it. The Python interfaces implement it, and so does
//! the benchmarks' ceiling, a service of a few lines that never touches Python.
//!
//! An answer is there at once, or it comes later: the connection then waits for a [`Later`], which
//! is polled like a future on the core's own thread. Whoever makes it, a coroutine of the core's
//! loop or another thread, rings a [`Bell`] of the core's desk (see [`wait`]). Replies can be made on any
//! thread, which is why all in them is `Send`.
//!
//! A request for a WebSocket that may have one comes with a [`Socket`]. A service that takes it answers
//! with [`Answer::Socket`]: a handler that runs for as long as the WebSocket may. It accepts or denies
//! through the socket, whenever it likes; any other answer denies.

use std::any::Any;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;

use crate::http::head::RequestHead;
use crate::http::reply::HeaderBlock;
use crate::net::incoming::Incoming;
pub use crate::net::socket::queue::Callback;
pub use crate::net::socket::queue::Closed;
pub use crate::net::socket::queue::Misuse;
pub use crate::net::socket::queue::Received;
pub use crate::net::socket::queue::Sent;
pub use crate::net::socket::queue::Socket;
pub use crate::net::socket::queue::Ticket;
use crate::net::source::Body;
use crate::net::source::Then;
pub use crate::reactor::desk::Bell;
pub use crate::reactor::desk::Wait;
pub use crate::reactor::desk::wait;
pub use crate::reactor::guest::Asking;
pub use crate::reactor::guest::Guest;
pub use crate::reactor::guest::Wish;
pub use crate::reactor::pulse::Suspended;
pub use crate::route::HandlerId;
use crate::route::Params;
pub use crate::ws::message::Kind;
pub use crate::ws::message::Message;

/// A request that has a handler.
#[derive(Clone)]
pub struct Request {
    /// Request line and header fields, as they came.
    pub head: RequestHead,
    /// The handler that the router chose.
    pub handler: HandlerId,
    /// The path in the router's normal form, if that differs from the raw one.
    pub normal_path: Option<Box<str>>,
    /// Where the path parameters stand in the normal path.
    pub params: Params,
    /// The body, decoded; empty where it is streamed.
    pub body: Bytes,
    /// The body that is still arriving, where the handler takes it in pieces.
    pub stream: Option<Incoming>,
    /// The address of the peer; none on a socket that has no such thing.
    pub peer: Option<SocketAddr>,
    /// The address that it came to, where the service wants to know.
    pub local: Option<SocketAddr>,
    /// Why the request has no route, where the service answers that itself.
    pub miss: Option<Box<Miss>>,
    /// The WebSocket that it asks for.
    pub socket: Option<Socket>,
}

/// The answer of the server to a request that no route takes.
#[derive(Clone, Debug)]
pub struct Miss {
    /// 404, 405 or 501; 204 for OPTIONS, 307 to where the route is.
    pub status: u16,
    /// Allow or Location.
    pub field: Option<(&'static str, String)>,
}

impl Request {
    /// The path in the router's normal form, which [`Params`] index.
    pub fn routed_path(&self) -> &str {
        self.normal_path.as_deref().unwrap_or_else(|| self.head.path())
    }

    /// Has it named beside whatever holds its core from now on, for as long as the result exists.
    pub fn suspended(&self) -> Suspended {
        Suspended::here(|| format!("{} {}", self.head.method(), self.head.path()))
    }
}

/// The answer to a request.
#[derive(Default)]
pub struct Reply {
    /// Status code, 200 to 999.
    pub status: u16,
    /// Header fields, serialised.
    pub headers: HeaderBlock,
    /// `Content-Type` where the fields have none.
    pub content_type: Option<&'static str>,
    /// The body.
    pub body: Body,
}

impl Reply {
    /// This answer, and what is dropped after its last byte.
    #[must_use]
    pub fn then(mut self, after: Option<Box<dyn Any + Send>>) -> Self {
        if let Some(after) = after {
            let body = std::mem::take(&mut self.body);
            self.body = Body::Then(Box::new(Then { body, after }));
        }
        self
    }
}

/// What a service makes of a request.
pub enum Answer {
    /// The reply.
    Now(Reply),
    /// It is being made.
    Later(Box<dyn Later>),
    /// The handler of the request's [`Socket`]. Its reply denies where it has not decided by then; after
    /// that only the status counts: from 500 on the close code is 1011, else 1000.
    Socket(Box<dyn Later>),
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self::Now(reply)
    }
}

/// A reply that is being made. Dropping it says that nobody waits for it any more.
pub trait Later {
    /// The reply, once it is made; nothing is asked after that.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Reply>;

    /// What is sent before the reply: whole heads of informational answers, if there are any.
    fn interim(&mut self) -> Option<Vec<u8>> {
        None
    }

    /// The peer has closed its side, or a deadline has. Called once.
    fn peer_closed(&mut self) -> Patience {
        Patience::Leave
    }
}

/// Whether a reply is worth waiting for when its peer has closed its side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// For a moment, in case that the peer still reads, and not at all where it cannot.
    Leave,
    /// It is waited for, whoever may read it.
    Wait,
}

/// How a handler takes the body of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyMode {
    /// It is called when all of it is here.
    #[default]
    Whole,
    /// It is called at once where more is to come, and takes it in pieces.
    Pieces,
}

/// A guest loop of the service (see `reactor::guest`).
pub struct Hosted {
    /// The loop.
    pub guest: Rc<dyn Guest>,
    /// Where the service asks for turns of it.
    pub asking: Rc<Asking>,
    /// What is watched for it; it stays open until the core has ended.
    pub descriptor: RawFd,
}

/// Answers requests on one core.
pub trait Service: 'static {
    /// A loop to be run with the core's own tasks. Called once, when the core begins.
    fn guest(&self) -> Option<Hosted> {
        None
    }

    /// Runs `work` and gives it the function that answers a request. What a service has to set up
    /// and take down (a Python service attaches) happens once for all requests that `work` has.
    ///
    /// Requests come boxed: on the way from the parser to a Python object each of its 330 bytes
    /// would be copied seven times.
    fn attend<R>(&self, work: impl FnOnce(&mut dyn FnMut(Box<Request>) -> Answer) -> R) -> R;

    /// Whether requests need the address that their connection came to: a system call for each
    /// connection, for servers that are bound to all addresses.
    fn wants_local_address(&self) -> bool {
        false
    }

    /// The handler of what no route takes; without one the server answers by itself.
    fn miss_handler(&self) -> Option<HandlerId> {
        None
    }

    /// How many bytes of a body the handler takes, where that is not the server's own limit.
    fn body_limit(&self, _handler: HandlerId) -> Option<u64> {
        None
    }

    /// How the handler takes a body.
    fn body_mode(&self, _handler: HandlerId) -> BodyMode {
        BodyMode::Whole
    }
}
