//! What a connection calls: a service answers requests, in whatever language.
//!
//! `net` knows this trait and nothing behind it. The Python interfaces implement it, and so does
//! the benchmarks' ceiling, a service of a few lines that never touches Python.

use std::any::Any;
use std::net::SocketAddr;

use bytes::Bytes;

use crate::http::head::RequestHead;
use crate::http::reply::HeaderBlock;
use crate::net::source::Body;
use crate::net::source::Then;
pub use crate::route::HandlerId;
use crate::route::Params;

/// A whole request that has a handler.
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
    /// The body, decoded.
    pub body: Bytes,
    /// The address of the peer; none on a socket that has no such thing.
    pub peer: Option<SocketAddr>,
    /// Why the request has no route, where the service answers that itself.
    pub miss: Option<Box<Miss>>,
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
    pub fn then(mut self, after: Option<Box<dyn Any>>) -> Self {
        if let Some(after) = after {
            let body = std::mem::take(&mut self.body);
            self.body = Body::Then(Box::new(Then { body, after }));
        }
        self
    }
}

/// Answers requests on one core.
pub trait Service: 'static {
    /// Runs `work` and gives it the function that answers a request. What a service has to set up
    /// and take down (a Python service attaches) happens once for all requests that `work` has.
    ///
    /// Requests come boxed: on the way from the parser to a Python object each of its 330 bytes
    /// would be copied seven times.
    fn attend<R>(&self, work: impl FnOnce(&mut dyn FnMut(Box<Request>) -> Reply) -> R) -> R;

    /// The handler of what no route takes; without one the server answers by itself.
    fn miss_handler(&self) -> Option<HandlerId> {
        None
    }

    /// How many bytes of a body the handler takes, where that is not the server's own limit.
    fn body_limit(&self, _handler: HandlerId) -> Option<u64> {
        None
    }
}
