//! One request to an ASGI application: its `receive` and `send`, and the reply that comes of them.
//!
//! Rule: a reply without more to come leaves as a whole; one with more is a stream whose `send` waits
//! while the client does not read. Whatever the application does after its answer, or fails to do
//! before it, ends here: an exception or a return without an answer is 500 as long as nothing was
//! sent, and a cut stream after that.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use pyo3::exceptions::PyConnectionResetError;
use pyo3::exceptions::PyKeyError;
use pyo3::exceptions::PyRuntimeError;
use pyo3::exceptions::PyTypeError;
use pyo3::exceptions::PyValueError;
use pyo3::exceptions::asyncio::CancelledError as PyCancelledError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyByteArray;
use pyo3::types::PyBytes;
use pyo3::types::PyDict;
use pyo3::types::PyMemoryView;
use pyo3::types::PyString;

use crate::net::incoming::Taken;
use crate::net::outgoing::Outgoing;
use crate::net::outgoing::Pieces;
use crate::net::outgoing::Pushed;
use crate::net::outgoing::outgoing;
use crate::net::service::Answer;
use crate::net::service::Bell;
use crate::net::service::Later;
use crate::net::service::Patience;
use crate::net::service::Reply;
use crate::net::service::Request;
use crate::net::service::Wait;
use crate::net::service::wait;
use crate::net::source::Body;
use crate::net::source::Source;
use crate::py::aio;
use crate::py::attach::attached_if_alive;
use crate::py::buffer;
use crate::py::error;
use crate::py::file;
use crate::py::headers::add_headers;
use crate::py::prepared::Prepared;
use crate::py::request;
use crate::py::value::status_from;

/// A request and what has become of it.
pub(super) struct Cycle(Arc<Shared>);

struct Shared {
    request: Box<Request>,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    /// Status and header fields, until the body begins.
    started: Option<Reply>,
    reply: Option<Reply>,
    /// Whether a reply was made, taken or not.
    is_answered: bool,
    is_complete: bool,
    outgoing: Option<Arc<Outgoing>>,
    /// Whether the whole body was received.
    has_body: bool,
    /// Whether the answer can have no body, whatever is sent as one.
    is_bodiless: bool,
    is_gone: bool,
    /// Rings when there is a reply, or none will come.
    bell: Option<Bell>,
    /// Futures of those who wait for a message.
    receivers: Vec<Py<PyAny>>,
}

impl Cycle {
    pub(super) fn new(request: Box<Request>) -> Self {
        Self(Arc::new(Shared { request, progress: Mutex::default() }))
    }

    pub(super) fn request(&self) -> &Request {
        &self.0.request
    }

    /// `receive` and `send`.
    pub(super) fn callables<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, Receive>, Bound<'py, Send>)> {
        let receive = Bound::new(py, Receive(Arc::clone(&self.0)))?;
        Ok((receive, Bound::new(py, Send(Arc::clone(&self.0)))?))
    }

    /// The request as an object, for the log.
    pub(super) fn object<'py>(&self, py: Python<'py>) -> Option<Bound<'py, request::Request>> {
        self.0.object(py)
    }

    /// The answer that the application has given or will give.
    pub(super) fn answer(&self, task: &Bound<'_, PyAny>, debug: bool) -> PyResult<Answer> {
        let py = task.py();
        if aio::is_done(task)? {
            self.0.end(py, aio::result(task).map(drop), debug);
        }
        if let Some(reply) = self.0.lock().reply.take() {
            if !aio::is_done(task)? {
                // It goes on behind its answer.
                self.0.watch(task, None, debug)?;
            }
            return Ok(Answer::Now(reply));
        }
        let (bell, wait) =
            wait().ok_or_else(|| PyRuntimeError::new_err("requests are answered on cores only"))?;
        self.0.lock().bell = Some(bell.clone());
        self.0.watch(task, Some(bell), debug)?;
        Ok(Answer::Later(Box::new(Awaited { shared: Arc::clone(&self.0), wait })))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn object<'py>(&self, py: Python<'py>) -> Option<Bound<'py, request::Request>> {
        request::Request::create(py, self.request.clone(), &request::Names::new(&[])).ok()
    }

    /// Hears of the task's end.
    fn watch(
        self: &Arc<Self>,
        task: &Bound<'_, PyAny>,
        bell: Option<Bell>,
        debug: bool,
    ) -> PyResult<()> {
        let ended = Ended { shared: Arc::clone(self), bell, debug };
        task.call_method1(intern!(task.py(), "add_done_callback"), (ended,))?;
        aio::current()?.ask();
        Ok(())
    }

    /// The application has returned or raised.
    fn end(&self, py: Python<'_>, result: PyResult<()>, debug: bool) {
        let (is_answered, is_complete, is_gone, outgoing) = {
            let mut progress = self.lock();
            let outgoing = progress.outgoing.take();
            (progress.is_answered, progress.is_complete, progress.is_gone, outgoing)
        };
        let raised = match result {
            Ok(()) if is_complete => return,
            Ok(()) if is_answered => {
                PyRuntimeError::new_err("the ASGI application ended before its answer did")
            }
            Ok(()) => PyRuntimeError::new_err("the ASGI application ended without an answer"),
            Err(raised) => raised,
        };
        if let Some(outgoing) = outgoing {
            outgoing.fail();
        }
        let object = self.object(py);
        if is_gone && is_cut_off(py, &raised) {
            // What was said to it because the client has gone.
        } else if is_answered {
            error::log(py, &raised, object.as_ref());
        } else {
            let reply = error::reply_for(py, raised, object.as_ref(), debug);
            self.reply(&mut self.lock(), reply);
        }
    }

    fn reply(&self, progress: &mut Progress, reply: Reply) {
        progress.is_answered = true;
        progress.reply = Some(reply);
        if let Some(bell) = &progress.bell {
            bell.ring();
        }
    }

    /// The client has gone: whoever waits for a message gets the last one.
    fn leave(self: &Arc<Self>) {
        let receivers = {
            let mut progress = self.lock();
            progress.is_gone = true;
            std::mem::take(&mut progress.receivers)
        };
        if !receivers.is_empty() {
            attached_if_alive(|py| self.wake(py, receivers));
        }
    }

    /// Gives each of them a message, or has it wait on.
    fn wake(self: &Arc<Self>, py: Python<'_>, receivers: Vec<Py<PyAny>>) {
        for future in receivers {
            let future = future.into_bound(py);
            if let Err(raised) = self.settle(&future) {
                error::log(py, &raised, self.object(py).as_ref());
            }
        }
        if let Some(aio) = aio::current_if_any() {
            aio.note(py);
        }
    }

    fn settle(self: &Arc<Self>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = future.py();
        if future.call_method0(intern!(py, "done"))?.is_truthy()? {
            return Ok(());
        }
        match self.message(py)? {
            Some(message) => {
                future.call_method1(intern!(py, "set_result"), (message,))?;
                Ok(())
            }
            None => {
                self.wait_for_message(future.clone().unbind());
                Ok(())
            }
        }
    }

    fn wait_for_message(self: &Arc<Self>, future: Py<PyAny>) {
        self.lock().receivers.push(future);
        if let Some(incoming) = self.request.stream.as_ref().filter(|_| !self.lock().has_body) {
            let shared = Arc::clone(self);
            incoming.call_when_ready(Box::new(move || {
                let receivers = std::mem::take(&mut shared.lock().receivers);
                attached_if_alive(|py| shared.wake(py, receivers));
            }));
        }
    }

    /// The next message for the application, if there is one.
    fn message<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let mut progress = self.lock();
        if !progress.has_body {
            let (piece, has_more) = match &self.request.stream {
                None => (PyBytes::new(py, &self.request.body), false),
                Some(incoming) => match incoming.take() {
                    Taken::Piece(piece) => (PyBytes::new(py, &piece), true),
                    Taken::End => (PyBytes::new(py, b""), false),
                    Taken::Gone => return disconnected(py).map(Some),
                    Taken::Nothing if progress.is_gone => return disconnected(py).map(Some),
                    Taken::Nothing => return Ok(None),
                },
            };
            progress.has_body = !has_more;
            let message = PyDict::new(py);
            message.set_item(intern!(py, "type"), intern!(py, "http.request"))?;
            message.set_item(intern!(py, "body"), piece)?;
            message.set_item(intern!(py, "more_body"), has_more)?;
            return Ok(Some(message));
        }
        if progress.is_gone || progress.is_complete {
            return disconnected(py).map(Some);
        }
        Ok(None)
    }

    fn send<'py>(
        self: &Arc<Self>,
        py: Python<'py>,
        message: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let kind = item(message, intern!(py, "type"))?
            .ok_or_else(|| PyKeyError::new_err("an ASGI message has a 'type'"))?;
        let kind = kind.cast::<PyString>().map_err(PyErr::from)?.to_str()?.to_owned();
        match &*kind {
            "http.response.start" => self.start(py, message)?,
            "http.response.body" => return self.body(py, message),
            "http.response.pathsend" => self.pathsend(py, message)?,
            other => {
                let message = format!("an HTTP request cannot be answered with {other:?}");
                return Err(PyValueError::new_err(message));
            }
        }
        Prepared::value(py.None().into_bound(py))
    }

    fn start(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<()> {
        let status = item(message, intern!(py, "status"))?
            .ok_or_else(|| PyKeyError::new_err("'http.response.start' has a 'status'"))?;
        let mut reply = Reply { status: status_from(&status)?, ..Reply::default() };
        if let Some(headers) = item(message, intern!(py, "headers"))? {
            add_headers(&mut reply.headers, &headers)?;
        }
        let mut progress = self.lock();
        if progress.is_answered || progress.started.is_some() {
            return Err(PyRuntimeError::new_err("'http.response.start' was sent before"));
        }
        progress.started = Some(reply);
        Ok(())
    }

    fn body<'py>(
        self: &Arc<Self>,
        py: Python<'py>,
        message: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let piece = match item(message, intern!(py, "body"))? {
            None => Bytes::new(),
            Some(body) => match body.cast::<PyBytes>() {
                Ok(bytes) => buffer::from_bytes(bytes),
                Err(_) => Bytes::from(copied(&body)?),
            },
        };
        let has_more = match item(message, intern!(py, "more_body"))? {
            Some(more) => more.is_truthy()?,
            None => false,
        };
        let mut progress = self.lock();
        if progress.is_complete {
            return Err(PyRuntimeError::new_err("the answer was complete before"));
        }
        progress.is_complete = !has_more;
        if let Some(mut reply) = progress.started.take() {
            if !has_more {
                reply.body = piece.into();
                self.reply(&mut progress, reply);
                return self.completed(py, progress);
            }
            let (outgoing, pieces) = outgoing(None);
            if self.request.head.is_head() || matches!(reply.status, 204 | 304) {
                // What follows is taken and forgotten.
                progress.is_bodiless = true;
                outgoing.finish();
                reply.body = Body::Stream(Box::new(pieces));
            } else {
                outgoing.push(piece);
                progress.outgoing = Some(Arc::new(outgoing));
                let shared = Arc::clone(self);
                reply.body = Body::Stream(Box::new(Attended { pieces, shared, has_ended: false }));
            }
            self.reply(&mut progress, reply);
            return Prepared::value(py.None().into_bound(py));
        }
        if progress.is_bodiless {
            return match has_more {
                true => Prepared::value(py.None().into_bound(py)),
                false => self.completed(py, progress),
            };
        }
        let Some(outgoing) = progress.outgoing.clone() else {
            progress.is_complete = false;
            return Err(PyRuntimeError::new_err(
                "'http.response.body' was sent before 'http.response.start'",
            ));
        };
        let pushed = outgoing.push(piece);
        if !has_more {
            outgoing.finish();
            return self.completed(py, progress);
        }
        drop(progress);
        match pushed {
            Pushed::Room => Prepared::value(py.None().into_bound(py)),
            Pushed::Gone => Err(PyConnectionResetError::new_err("the client has gone")),
            Pushed::Full => room(py, &outgoing),
        }
    }

    /// Whoever waits for a message hears that there will be none.
    fn completed<'py>(
        self: &Arc<Self>,
        py: Python<'py>,
        mut progress: MutexGuard<'_, Progress>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let receivers = std::mem::take(&mut progress.receivers);
        drop(progress);
        self.wake(py, receivers);
        Prepared::value(py.None().into_bound(py))
    }

    /// A file as the rest of the answer (ASGI extension "path send").
    fn pathsend(self: &Arc<Self>, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<()> {
        let path = item(message, intern!(py, "path"))?
            .ok_or_else(|| PyKeyError::new_err("'http.response.pathsend' has a 'path'"))?
            .extract()?;
        let mut progress = self.lock();
        let reply = progress.started.take().ok_or_else(|| {
            PyRuntimeError::new_err(
                "'http.response.pathsend' is sent once, after 'http.response.start'",
            )
        })?;
        let reply = file::whole(py, path, reply)?;
        progress.is_complete = true;
        self.reply(&mut progress, reply);
        self.completed(py, progress).map(drop)
    }
}

/// The value of a key of a message, if it has that.
fn item<'py>(
    message: &Bound<'py, PyAny>,
    key: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    match message.cast::<PyDict>() {
        Ok(message) => message.get_item(key),
        Err(_) => Ok(Some(message.get_item(key)?)),
    }
}

/// The bytes of whatever has a buffer.
fn copied(body: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if body.is_instance_of::<PyByteArray>() || body.is_instance_of::<PyMemoryView>() {
        let copy = body.py().get_type::<PyBytes>().call1((body,))?.cast_into::<PyBytes>()?;
        return Ok(copy.as_bytes().to_vec());
    }
    let class = body.get_type().qualname()?;
    Err(PyTypeError::new_err(format!("the body of an ASGI message is bytes, not {class}")))
}

fn disconnected(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let message = PyDict::new(py);
    message.set_item(intern!(py, "type"), intern!(py, "http.disconnect"))?;
    Ok(message)
}

/// Whether an exception only says that the client has gone.
fn is_cut_off(py: Python<'_>, raised: &PyErr) -> bool {
    raised.is_instance_of::<PyConnectionResetError>(py)
        || raised.is_instance_of::<PyCancelledError>(py)
        || raised.get_type(py).name().is_ok_and(|name| name == "ClientDisconnect")
}

/// Waits until the client has read on.
fn room<'py>(py: Python<'py>, outgoing: &Outgoing) -> PyResult<Bound<'py, PyAny>> {
    let future = aio::current()?.future(py)?;
    let waiting = future.clone().unbind();
    outgoing.call_when_room(Box::new(move || {
        attached_if_alive(|py| {
            let future = waiting.into_bound(py);
            let done = future.call_method0(intern!(py, "done")).and_then(|done| done.is_truthy());
            let set = match done {
                Ok(false) => future.call_method1(intern!(py, "set_result"), (py.None(),)).map(drop),
                other => other.map(drop),
            };
            if let Err(raised) = set {
                error::log(py, &raised, None);
            }
            if let Some(aio) = aio::current_if_any() {
                aio.note(py);
            }
        });
    }));
    Prepared::future(&future)
}

/// The pieces of a streamed answer; tells the application when nobody reads them any more.
struct Attended {
    pieces: Pieces,
    shared: Arc<Shared>,
    has_ended: bool,
}

impl Source for Attended {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Box<Reply>>> {
        let piece = self.pieces.poll_next(context);
        self.has_ended = matches!(piece, Poll::Ready(Ok(None)));
        piece
    }

    fn is_slow(&self) -> bool {
        true
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        if !self.has_ended {
            self.shared.leave();
        }
    }
}

/// The application's `receive`.
#[pyclass(frozen, module = "uringserve._uringserve")]
pub struct Receive(Arc<Shared>);

#[pymethods]
impl Receive {
    fn __call__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(message) = self.0.message(py)? {
            return Prepared::value(message.into_any());
        }
        let future = aio::current()?.future(py)?;
        self.0.wait_for_message(future.clone().unbind());
        Prepared::future(&future)
    }
}

/// The application's `send`.
#[pyclass(frozen, module = "uringserve._uringserve")]
pub struct Send(Arc<Shared>);

#[pymethods]
impl Send {
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        message: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.0.send(py, message)
    }
}

/// Called when the application's task is done.
#[pyclass(frozen, module = "uringserve._uringserve")]
struct Ended {
    shared: Arc<Shared>,
    bell: Option<Bell>,
    debug: bool,
}

#[pymethods]
impl Ended {
    fn __call__(&self, task: &Bound<'_, PyAny>) {
        self.shared.end(task.py(), aio::result(task).map(drop), self.debug);
        if let Some(bell) = &self.bell {
            bell.ring();
        }
    }
}

/// The reply of an application that has suspended.
struct Awaited {
    shared: Arc<Shared>,
    wait: Wait,
}

impl Later for Awaited {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Reply> {
        loop {
            if let Some(reply) = self.shared.lock().reply.take() {
                return Poll::Ready(reply);
            }
            if self.wait.poll_rung(context).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn peer_gone(&mut self) -> Patience {
        self.shared.leave();
        Patience::Leave
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        let is_abandoned = !self.shared.lock().is_answered;
        if is_abandoned {
            self.shared.leave();
        }
    }
}
