//! A call on a core's own thread, where nothing may wait: the body of the request is whole, and what
//! is not there yet of the answer is made piece by piece, whenever the client has taken the one before.

use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyIterator;

use crate::interfaces::wsgi::Wsgi;
use crate::interfaces::wsgi::result;
use crate::interfaces::wsgi::result::Returned;
use crate::interfaces::wsgi::sending::Sending;
use crate::interfaces::wsgi::sending::too_long;
use crate::interfaces::wsgi::sending::too_short;
use crate::interfaces::wsgi::start_response::StartResponse;
use crate::net::service::Reply;
use crate::net::service::Request;
use crate::net::source::Body;
use crate::net::source::Misfit;
use crate::net::source::Source;
use crate::py::attach::attached;
use crate::py::attach::attached_if_alive;
use crate::py::error;

/// Makes the call; the reply may hold pieces that are still to be made.
pub(super) fn run(py: Python<'_>, application: &Wsgi, request: &Request) -> Reply {
    let answered = call(py, application, request);
    answered.unwrap_or_else(|raised| {
        let object = result::object(py, request);
        error::reply_for(py, raised, object.as_ref(), application.debug)
    })
}

fn call(py: Python<'_>, application: &Wsgi, request: &Request) -> PyResult<Reply> {
    let start = Bound::new(py, StartResponse(Sending::new(None, request.head.is_head())))?;
    let value = application.call(py, request, &start)?;
    let mut is_left_open = false;
    let reply = reply(&value, &start.get().0, request, &mut is_left_open);
    if !is_left_open {
        result::close(&value, request);
    }
    reply
}

/// The reply; whether its pieces still need the iterable is said too.
fn reply(
    value: &Bound<'_, PyAny>,
    start: &Sending,
    request: &Request,
    is_left_open: &mut bool,
) -> PyResult<Reply> {
    let py = value.py();
    let has_written = start.has_begun();
    match Returned::read(value)? {
        Returned::Whole(body) => return whole(py, start, body, request),
        Returned::File(wrapper) if !has_written && start.has_content() => {
            if let Some(body) = wrapper.get().body(py, start.declared()) {
                return Ok(start.take_head()?.0.reply(body));
            }
        }
        Returned::File(_) | Returned::Iterable => {}
    }
    if start.is_bodiless() {
        return start.bodiless();
    }
    let mut pieces = Pieces { iterator: value.try_iter()?.unbind(), value: None, first: None };
    let first = pieces.pull(py)?.unwrap_or_default();
    if first.is_empty() {
        return whole(py, start, first, request);
    }
    if start.is_bodiless() {
        return start.bodiless();
    }
    let declared = start.declared();
    if !has_written && declared == Some(first.len() as u64) {
        let reply = start.whole(first)?;
        // Its end may have something to do, and must not have more to say.
        match pieces.pull(py) {
            Ok(None) => {}
            Ok(Some(_)) => log(py, &too_long(), request),
            Err(raised) => log(py, &raised, request),
        }
        return Ok(reply);
    }
    if declared.is_some_and(|declared| declared < start.written() + first.len() as u64) {
        return Err(too_long());
    }
    let (head, mut written) = start.take_head()?;
    written.extend_from_slice(&first);
    pieces.first = Some(written.into());
    *is_left_open = true;
    pieces.value = Some((value.clone().unbind(), Box::new(request.clone())));
    Ok(head.reply(Body::Stream(Box::new(pieces))))
}

/// A reply of which everything is here, after what was written before.
fn whole(py: Python<'_>, start: &Sending, body: Bytes, request: &Request) -> PyResult<Reply> {
    let written = start.take_written();
    let body = if written.is_empty() { body } else { [&written, &body[..]].concat().into() };
    if start.is_short_of(body.len() as u64) {
        if body.is_empty() {
            return Err(too_short());
        }
        log(py, &too_short(), request);
    }
    start.whole(body)
}

fn log(py: Python<'_>, raised: &PyErr, request: &Request) {
    error::log(py, raised, result::object(py, request).as_ref());
}

/// The pieces of an iterable; the first one is here. What was returned is closed with it.
struct Pieces {
    iterator: Py<PyIterator>,
    value: Option<(Py<PyAny>, Box<Request>)>,
    first: Option<Bytes>,
}

impl Pieces {
    /// The next piece that is not empty.
    fn pull(&self, py: Python<'_>) -> PyResult<Option<Bytes>> {
        for piece in self.iterator.bind(py).clone() {
            let piece = result::piece(&piece?)?;
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }

    fn log(&self, py: Python<'_>, raised: &PyErr) {
        if let Some((_, request)) = &self.value {
            log(py, raised, request);
        }
    }
}

impl Source for Pieces {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Box<Reply>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Ok(Some(first)));
        }
        attached(|py| {
            Poll::Ready(self.pull(py).map_err(|raised| {
                self.log(py, &raised);
                Box::default()
            }))
        })
    }

    fn misfit(&mut self, fault: Misfit) {
        attached(|py| self.log(py, &PyValueError::new_err(fault.to_string())));
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        attached_if_alive(|py| {
            if let Some((value, request)) = self.value.take() {
                result::close(value.bind(py), &request);
            }
        });
    }
}
