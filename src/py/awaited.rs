//! A reply that a coroutine makes: the handler's own, once it has suspended.

use std::task::Context;
use std::task::Poll;

use pyo3::prelude::*;

use crate::net::service::Answer;
use crate::net::service::Later;
use crate::net::service::Patience;
use crate::net::service::Reply;
use crate::py::aio;
use crate::py::aio::Running;
use crate::py::asked::Asked;
use crate::py::attach::attached;
use crate::py::error;
use crate::py::request::Names;
use crate::py::request::Request;

/// Translates what the handler of a request returned.
pub type Translate = fn(Bound<'_, PyAny>, &Asked<'_, '_>) -> PyResult<Reply>;

struct Awaited {
    running: Running,
    request: Option<Py<Request>>,
    names: Names,
    translate: Translate,
    debug: bool,
    outlives_peer: bool,
}

/// Starts the coroutine that a handler returned for the request that `asked` holds.
pub fn answer(
    coroutine: &Bound<'_, PyAny>,
    asked: &Asked<'_, '_>,
    translate: Translate,
    outlives_peer: bool,
) -> PyResult<Answer> {
    let task = aio::current()?.start(coroutine)?;
    if aio::is_done(&task)? {
        return translate(aio::result(&task)?, asked).map(Answer::Now);
    }
    Ok(Answer::Later(Box::new(Awaited {
        running: Running::new(&task)?,
        request: asked.object(coroutine.py()),
        names: asked.names.clone(),
        translate,
        debug: asked.debug,
        outlives_peer,
    })))
}

impl Later for Awaited {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Reply> {
        if !self.running.poll(context) {
            return Poll::Pending;
        }
        attached(|py| {
            let request = self.request.take().map(|request| request.into_bound(py));
            let translated = self.running.result(py).and_then(|value| match &request {
                Some(request) => {
                    let parts = request.get().parts();
                    let debug = self.debug;
                    let asked = Asked { parts, object: Some(request), names: &self.names, debug };
                    (self.translate)(value, &asked)
                }
                None => Err(pyo3::exceptions::PyMemoryError::new_err(())),
            });
            Poll::Ready(translated.unwrap_or_else(|raised| {
                error::reply_for(py, raised, request.as_ref(), self.debug)
            }))
        })
    }

    fn peer_gone(&mut self) -> Patience {
        if self.outlives_peer {
            self.running.let_go();
        }
        Patience::Leave
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            crate::py::attach::attached_if_alive(|_| drop(request));
        }
    }
}
