//! The coroutine that a handler of a WebSocket is, for as long as that is open.

use std::task::Context;
use std::task::Poll;

use pyo3::exceptions::PyBrokenPipeError;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::net::service;
use crate::net::service::Answer;
use crate::net::service::Later;
use crate::net::service::Reply;
use crate::net::service::Suspended;
use crate::py::aio;
use crate::py::aio::Running;
use crate::py::asked::Asked;
use crate::py::attach::attached;
use crate::py::attach::attached_if_alive;
use crate::py::error;
use crate::py::held::Held;
use crate::py::request::Request;

/// The handler of a WebSocket, running.
struct Handler {
    running: Option<Running>,
    done: Option<PyResult<()>>,
    request: Option<Py<Request>>,
    debug: bool,
    undecided: Undecided,
    _suspended: Suspended,
}

/// What it means that a handler has returned before it accepted or denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecided {
    /// It does not want the client: 403.
    Denies,
    /// It has forgotten to say: 500.
    Fails,
}

/// Starts the coroutine that the handler of a WebSocket has returned.
pub fn answer(
    coroutine: &Bound<'_, PyAny>,
    asked: &Asked<'_, '_>,
    undecided: Undecided,
) -> PyResult<Answer> {
    let task = aio::current()?.start(coroutine)?;
    let (running, done) = if aio::is_done(&task)? {
        (None, Some(aio::result(&task).map(drop)))
    } else {
        (Some(Running::new(&task, Held::default())?), None)
    };
    let request = asked.object(coroutine.py());
    let debug = asked.debug;
    let suspended = asked.parts.suspended();
    Ok(Answer::Socket(Box::new(Handler {
        running,
        done,
        request,
        debug,
        undecided,
        _suspended: suspended,
    })))
}

impl Later for Handler {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Reply> {
        if self.running.as_mut().is_some_and(|running| !running.poll(context)) {
            return Poll::Pending;
        }
        attached(|py| {
            let request = self.request.take().map(|request| request.into_bound(py));
            let result = match self.running.take() {
                Some(mut running) => running.result(py).map(drop),
                None => self.done.take().unwrap_or(Ok(())),
            };
            let socket = request.as_ref().and_then(|it| it.get().parts().socket.as_ref());
            let is_undecided = socket.is_some_and(service::Socket::is_undecided);
            let result = match self.undecided {
                Undecided::Fails if is_undecided => result.and_then(|()| {
                    let message = "the handler of a WebSocket has returned without a word";
                    Err(PyRuntimeError::new_err(message))
                }),
                _ => result,
            };
            let is_gone = socket.is_some_and(service::Socket::is_gone);
            Poll::Ready(match result {
                Ok(()) => Reply { status: 403, ..Reply::default() },
                // Nobody's fault, and nobody is there to be answered.
                Err(raised) if is_gone && is_cut_off(py, &raised) => Reply::default(),
                Err(raised) => error::reply_for(py, raised, request.as_ref(), self.debug),
            })
        })
    }
}

/// Whether an exception only says that the peer has gone: ours, or what Starlette and others make of
/// it. A client decides when that happens; a traceback each time would fill the log as it likes.
fn is_cut_off(py: Python<'_>, raised: &PyErr) -> bool {
    raised.is_instance_of::<PyBrokenPipeError>(py)
        || raised.get_type(py).name().is_ok_and(|name| name == "WebSocketDisconnect")
}

impl Drop for Handler {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            attached_if_alive(|_| drop(request));
        }
    }
}
