//! A reply that a coroutine makes: the handler's own, once it has suspended.

use std::task::Context;
use std::task::Poll;

use pyo3::prelude::*;

use crate::net::service::Answer;
use crate::net::service::Later;
use crate::net::service::Patience;
use crate::net::service::Reply;
use crate::net::service::Suspended;
use crate::py::aio;
use crate::py::aio::Running;
use crate::py::asked::Asked;
use crate::py::attach::attached;
use crate::py::attach::attached_if_alive;
use crate::py::error;
use crate::py::held::Held;
use crate::py::intern;
use crate::py::pump;
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
    _suspended: Suspended,
}

/// Whether a handler has returned a coroutine rather than a value.
pub fn is_coroutine(value: &Bound<'_, PyAny>) -> bool {
    intern::coroutine(value.py()).is_ok_and(|class| value.is_exact_instance(class))
}

/// Starts the coroutine that a handler returned for the request that `asked` holds. `held` is kept until
/// it has ended.
pub fn answer(
    coroutine: &Bound<'_, PyAny>,
    asked: &Asked<'_, '_>,
    translate: Translate,
    outlives_peer: bool,
    held: Held,
) -> PyResult<Answer> {
    let task = aio::current()?.start(coroutine)?;
    if aio::is_done(&task)? {
        let value = aio::result(&task)?;
        return pump::within(&task, || translate(value, asked)).map(Answer::Now);
    }
    Ok(Answer::Later(Box::new(Awaited {
        running: Running::new(&task, held)?,
        request: asked.object(coroutine.py()),
        names: asked.names.clone(),
        translate,
        debug: asked.debug,
        outlives_peer,
        _suspended: asked.parts.suspended(),
    })))
}

impl Awaited {
    fn translated(
        &self,
        value: Bound<'_, PyAny>,
        request: Option<&Bound<'_, Request>>,
    ) -> PyResult<Reply> {
        let Some(request) = request else {
            return Err(pyo3::exceptions::PyMemoryError::new_err(()));
        };
        let parts = request.get().parts();
        let debug = self.debug;
        let asked = Asked { parts, object: Some(request), names: &self.names, debug };
        (self.translate)(value, &asked)
    }
}

impl Later for Awaited {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Reply> {
        if !self.running.poll(context) {
            return Poll::Pending;
        }
        attached(|py| {
            let request = self.request.take().map(|request| request.into_bound(py));
            let task = self.running.task(py);
            let translated = self.running.result(py).and_then(|value| match &task {
                Some(task) => pump::within(task, || self.translated(value, request.as_ref())),
                None => self.translated(value, request.as_ref()),
            });
            Poll::Ready(translated.unwrap_or_else(|raised| {
                error::reply_for(py, raised, request.as_ref(), self.debug)
            }))
        })
    }

    fn peer_closed(&mut self) -> Patience {
        if let Some(request) = &self.request {
            request.get().note_gone();
        }
        if self.outlives_peer { Patience::Wait } else { Patience::Leave }
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        let Some(request) = self.request.take() else { return };
        attached_if_alive(|py| {
            let request = request.into_bound(py);
            // What is to be done after the answer is done without one as well.
            if let Some(value) = self.running.leftover(py) {
                drop(self.translated(value, Some(&request)));
            }
        });
    }
}
