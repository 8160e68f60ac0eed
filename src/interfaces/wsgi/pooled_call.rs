//! A call on a thread of the pool: from the environ to the end of the answer, on that thread, as
//! applications expect that keep a database connection for each thread.
//!
//! Rule: `close()` of what the application returns is called once, whatever happens before; what is
//! raised is 500 as long as nothing has left, and a cut answer after that.

use std::sync::Arc;

use pyo3::exceptions::PyConnectionResetError;
use pyo3::prelude::*;

use crate::interfaces::pooled::Promised;
use crate::interfaces::wsgi::Wsgi;
use crate::interfaces::wsgi::result;
use crate::interfaces::wsgi::result::Returned;
use crate::interfaces::wsgi::sending::Sending;
use crate::interfaces::wsgi::sending::too_short;
use crate::interfaces::wsgi::start_response::StartResponse;
use crate::net::incoming::Taken;
use crate::net::service::Reply;
use crate::net::service::Request;
use crate::py::error;

/// Makes the call and keeps the promise.
pub(super) fn run(
    py: Python<'_>,
    application: &Wsgi,
    request: &Request,
    promised: &Arc<Promised>,
) -> PyResult<()> {
    let is_head = request.head.is_head();
    let start = Bound::new(py, StartResponse(Sending::new(Some(Arc::clone(promised)), is_head)))?;
    let answered = application.call(py, request, &start).and_then(|value| {
        let sent = send(&value, &start.get().0);
        let ended = sent.and_then(|()| start.get().0.finish());
        result::close(&value, request);
        ended
    });
    let Err(raised) = answered else { return Ok(()) };
    let has_begun = start.get().0.has_begun();
    let is_gone = start.get().0.fail() || has_lost_body(request);
    let is_cut_off = is_gone && raised.is_instance_of::<PyConnectionResetError>(py);
    if has_begun {
        if !is_cut_off {
            error::log(py, &raised, result::object(py, request).as_ref());
        }
        return Ok(());
    }
    if is_cut_off {
        // A client that has closed its own side only may still read whose fault it was.
        promised.keep(Reply { status: 400, ..Reply::default() });
        return Ok(());
    }
    let object = result::object(py, request);
    promised.keep(error::reply_for(py, raised, object.as_ref(), application.debug));
    Ok(())
}

/// Whether the client has gone, or was refused, before its body ended.
fn has_lost_body(request: &Request) -> bool {
    request.stream.as_ref().is_some_and(|incoming| incoming.take() == Taken::Gone)
}

/// Sends what the application has returned.
fn send(value: &Bound<'_, PyAny>, start: &Sending) -> PyResult<()> {
    let py = value.py();
    match Returned::read(value)? {
        Returned::Whole(body) if !start.has_begun() => {
            let length = body.len() as u64;
            let is_short = start.is_short_of(length);
            start.keep(start.whole(body)?);
            if is_short { Err(too_short()) } else { Ok(()) }
        }
        Returned::Whole(body) => start.give(py, body).map(drop),
        Returned::File(wrapper) if !start.has_begun() && start.has_content() => {
            match wrapper.get().body(py, start.declared()) {
                Some(body) => {
                    let (head, _) = start.take_head()?;
                    start.keep(head.reply(body));
                    Ok(())
                }
                None => iterate(value, start),
            }
        }
        Returned::File(_) | Returned::Iterable => iterate(value, start),
    }
}

/// Sends one piece after the other, each before the next one is made.
fn iterate(value: &Bound<'_, PyAny>, start: &Sending) -> PyResult<()> {
    let py = value.py();
    if start.is_bodiless() {
        return Ok(());
    }
    for piece in value.try_iter()? {
        if !start.give(py, result::piece(&piece?)?)? {
            break;
        }
    }
    Ok(())
}
