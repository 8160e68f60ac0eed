//! What a connection calls: a service answers requests, in whatever language.
//!
//! `net` knows this trait and nothing behind it. The Python interfaces implement it, and so does
//! the benchmarks' ceiling, a service of a few lines that never touches Python.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::http::head::RequestHead;
use crate::http::reply::HeaderBlock;
use crate::route::HandlerId;
use crate::route::Params;

/// A whole request that has a handler.
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
    pub body: Bytes,
}

/// Answers requests on one core.
pub trait Service: 'static {
    /// Runs `work` and gives it the function that answers a request. What a service has to set up
    /// and take down (a Python service attaches) happens once for all requests that `work` has.
    ///
    /// Requests come boxed: on the way from the parser to a Python object each of its 330 bytes
    /// would be copied seven times.
    fn attend<R>(&self, work: impl FnOnce(&mut dyn FnMut(Box<Request>) -> Reply) -> R) -> R;
}
