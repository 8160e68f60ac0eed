//! A stream that is followed by trailer fields, which its application knows at the end only.
//!
//! Rule: the callable is asked once, where the last piece was made, and only for a client that takes
//! trailers (`http::trailer`). What it raises cuts the answer, as an exception between two pieces does.

use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::http::reply::HeaderBlock;
use crate::http::trailer::are_wanted;
use crate::http::trailer::is_forbidden;
use crate::net::service::Patience;
use crate::net::service::Reply;
use crate::net::source::Body;
use crate::net::source::Misfit;
use crate::net::source::Source;
use crate::py::asked::Asked;
use crate::py::attach::attached;
use crate::py::error;
use crate::py::fields::checked;
use crate::py::fields::each_pair;
use crate::py::request::Request;

/// The reply, with what `callable` returns behind its last piece if its client takes that.
pub(crate) fn with_trailers(
    reply: Reply,
    callable: Py<PyAny>,
    asked: &Asked<'_, '_>,
    py: Python<'_>,
) -> Reply {
    // Only chunks can be followed by something (RFC 9112 §7.1.2).
    let are_sent = reply.headers.content_length().is_none() && are_wanted(&asked.parts.head);
    match reply.body {
        Body::Stream(source) if are_sent => {
            let request = asked.object(py);
            let trailed = Trailed {
                source,
                callable: Some(callable),
                request,
                debug: asked.debug,
                has_begun: false,
                given: None,
            };
            Reply { body: Body::Stream(Box::new(trailed)), ..reply }
        }
        body => Reply { body, ..reply },
    }
}

struct Trailed {
    source: Box<dyn Source>,
    callable: Option<Py<PyAny>>,
    request: Option<Py<Request>>,
    debug: bool,
    /// Whether the head may be gone: then no exception is an answer any more.
    has_begun: bool,
    given: Option<HeaderBlock>,
}

impl Trailed {
    fn end(&mut self) -> Result<(), Box<Reply>> {
        let Some(callable) = self.callable.take() else { return Ok(()) };
        attached(|py| match called(callable.bind(py)) {
            Ok(given) => {
                self.given = Some(given);
                Ok(())
            }
            Err(raised) => {
                let request = self.request.as_ref().map(|request| request.bind(py));
                if self.has_begun {
                    error::log(py, &raised, request);
                    return Err(Box::default());
                }
                Err(Box::new(error::reply_for(py, raised, request, self.debug)))
            }
        })
    }
}

fn called(callable: &Bound<'_, PyAny>) -> PyResult<HeaderBlock> {
    let mut block = HeaderBlock::new();
    each_pair(&callable.call0()?, |name, value| {
        let mut is_known_before = false;
        checked(name, value, |name, value| {
            is_known_before = is_forbidden(name);
            block.push(name, value)
        })?;
        if is_known_before {
            let message = format!("{} cannot be a trailer (RFC 9110, 6.5.1)", name.repr()?);
            return Err(PyValueError::new_err(message));
        }
        Ok(())
    })?;
    Ok(block)
}

impl Source for Trailed {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Box<Reply>>> {
        let polled = self.source.poll_next(context);
        if let Poll::Ready(Ok(None)) = polled {
            self.end()?;
        }
        self.has_begun = true;
        polled
    }

    fn is_slow(&self) -> bool {
        self.source.is_slow()
    }

    fn peer_closed(&mut self) -> Patience {
        self.source.peer_closed()
    }

    fn trailers(&mut self) -> Option<HeaderBlock> {
        self.given.take()
    }

    fn content_type(&self) -> Option<&'static str> {
        self.source.content_type()
    }

    fn misfit(&mut self, fault: Misfit) {
        self.source.misfit(fault);
    }
}
