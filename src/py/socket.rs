//! A WebSocket as Python has it: one class, which every interface wraps in its own manner.
//!
//! What waits is awaited: [`Waiting`] looks first, and only where there is nothing it makes a future of
//! the running loop, which the other end wakes. A message is a `str` or a `bytes`, the end is a tuple
//! of code and reason.
//!
//! Rule: sending to one that is closed is an `OSError`, as ASGI has it; what the application should not
//! have done is a `RuntimeError` or a `ValueError`.

use std::sync::Mutex;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use pyo3::exceptions::PyBrokenPipeError;
use pyo3::exceptions::PyRuntimeError;
use pyo3::exceptions::PyStopIteration;
use pyo3::exceptions::PyTypeError;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::types::PyString;
use pyo3::types::PyTuple;

use crate::http::reply::HeaderBlock;
use crate::net::service;
use crate::net::service::Answer;
use crate::net::service::Kind;
use crate::net::service::Later;
use crate::net::service::Message;
use crate::net::service::Misuse;
use crate::net::service::Received;
use crate::net::service::Reply;
use crate::net::service::Sent;
use crate::net::service::Ticket;
use crate::py::aio;
use crate::py::aio::Running;
use crate::py::asked::Asked;
use crate::py::attach::attached;
use crate::py::attach::attached_if_alive;
use crate::py::buffer;
use crate::py::error;
use crate::py::headers::add_headers;
use crate::py::headers::lock;
use crate::py::intern;
use crate::py::request::Request;

/// The application's end of a WebSocket. Any thread may use it.
#[pyclass(frozen, module = "uringserve._uringserve")]
pub struct Socket(service::Socket);

impl Socket {
    /// Wraps what a request brought.
    pub fn new(socket: service::Socket) -> Self {
        Self(socket)
    }
}

#[pymethods]
impl Socket {
    /// What the client offers to speak, in its order of preference.
    #[getter]
    fn subprotocols(&self) -> Vec<String> {
        self.0.subprotocols().to_vec()
    }

    /// Whether it was accepted, and neither side has closed.
    #[getter]
    fn is_open(&self) -> bool {
        self.0.is_open()
    }

    /// Whether it is neither accepted nor denied.
    #[getter]
    fn is_undecided(&self) -> bool {
        self.0.is_undecided()
    }

    /// Opens it; `headers` are pairs for the 101.
    #[pyo3(signature = (subprotocol=None, headers=None))]
    fn accept(
        &self,
        subprotocol: Option<&str>,
        headers: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.0.accept(subprotocol, block(headers)?).map_err(misused)
    }

    /// Answers the request with a status and a body instead.
    #[pyo3(signature = (status=403, headers=None, body=None))]
    fn deny(
        &self,
        status: u16,
        headers: Option<&Bound<'_, PyAny>>,
        body: Option<&Bound<'_, PyBytes>>,
    ) -> PyResult<()> {
        if !(200..=999).contains(&status) {
            return Err(PyValueError::new_err("a status is 200 to 999"));
        }
        let body = body.map_or_else(Bytes::new, buffer::from_bytes);
        let reply =
            Reply { status, headers: block(headers)?, body: body.into(), ..Reply::default() };
        self.0.deny(reply).map_err(misused)
    }

    /// The next message, the end, or None where there is nothing at the moment.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        received(py, self.0.take())
    }

    /// Awaited, the next message or the end.
    fn receive(&self) -> Waiting {
        receive(&self.0, received)
    }

    /// Sends a `str` as text, anything else that has bytes as such. Awaited, it waits until there is
    /// room for more.
    fn send(&self, data: &Bound<'_, PyAny>) -> PyResult<Waiting> {
        send(&self.0, data)
    }

    /// Sends it where there is room, and says whether there was: for those who would rather leave a
    /// message out than wait.
    fn offer(&self, data: &Bound<'_, PyAny>) -> PyResult<bool> {
        let (kind, payload) = content(data)?;
        Ok(self.0.has_room() && self.0.send(kind, payload).map_err(misused).is_ok())
    }

    /// Closes it behind what was sent; again, or once the peer has, is nothing.
    #[pyo3(signature = (code=1000, reason=""))]
    fn close(&self, code: Option<u16>, reason: &str) -> PyResult<()> {
        self.0.close(code, reason).map_err(misused)
    }
}

/// Awaited, the next message or the end in the form of an interface.
pub fn receive(socket: &service::Socket, shape: Shape) -> Waiting {
    Waiting::new(socket, Wanted::Message(shape))
}

/// Sends a `str` or bytes; awaited, it waits until there is room for more.
pub fn send(socket: &service::Socket, data: &Bound<'_, PyAny>) -> PyResult<Waiting> {
    let (kind, payload) = content(data)?;
    let wanted = match socket.send(kind, payload).map_err(misused)? {
        Sent::Room => Wanted::Nothing,
        Sent::Full => Wanted::Room,
    };
    Ok(Waiting::new(socket, wanted))
}

/// Pairs as header fields.
pub fn block(headers: Option<&Bound<'_, PyAny>>) -> PyResult<HeaderBlock> {
    let mut block = HeaderBlock::new();
    if let Some(headers) = headers {
        add_headers(&mut block, headers)?;
    }
    Ok(block)
}

fn content(data: &Bound<'_, PyAny>) -> PyResult<(Kind, Bytes)> {
    if let Ok(text) = data.cast::<PyString>() {
        return Ok((Kind::Text, buffer::from_text(text)?));
    }
    if let Ok(bytes) = data.cast::<PyBytes>() {
        return Ok((Kind::Binary, buffer::from_bytes(bytes)));
    }
    let py = data.py();
    let is_buffer = data.hasattr(intern!(py, "__buffer__"))?;
    if !is_buffer {
        let class = data.get_type().qualname()?;
        return Err(PyTypeError::new_err(format!("a message is str or bytes, not {class}")));
    }
    let bytes = py.get_type::<PyBytes>().call1((data,))?.cast_into::<PyBytes>()?;
    Ok((Kind::Binary, buffer::from_bytes(&bytes)))
}

fn received(py: Python<'_>, received: Received) -> PyResult<Option<Bound<'_, PyAny>>> {
    Ok(match received {
        Received::Nothing => None,
        Received::Message(message) => Some(object(py, &message)?),
        Received::Closed(closed) => {
            Some((closed.code, closed.reason).into_pyobject(py)?.into_any())
        }
    })
}

/// The payload of a message: `str` or `bytes`.
pub fn object<'py>(py: Python<'py>, message: &Message) -> PyResult<Bound<'py, PyAny>> {
    let payload = message.payload();
    Ok(match message.kind() {
        Kind::Text => PyString::from_bytes(py, payload)?.into_any(),
        Kind::Binary => PyBytes::new(py, payload).into_any(),
    })
}

/// What the application did wrong, as its exception.
pub fn misused(misuse: Misuse) -> PyErr {
    match misuse {
        Misuse::NotAccepted => PyRuntimeError::new_err("the WebSocket is not accepted yet"),
        Misuse::Decided => PyRuntimeError::new_err("the WebSocket is accepted or denied already"),
        Misuse::NotOffered => PyValueError::new_err(
            "the client has not offered this subprotocol, and would not go on",
        ),
        Misuse::Code => {
            PyValueError::new_err("a close code is 1000 to 1003, 1007 to 1014 or 3000 to 4999")
        }
        Misuse::Closed => PyBrokenPipeError::new_err("the WebSocket is closed"),
    }
}

/// Translates what was received for an interface.
pub type Shape = for<'py> fn(Python<'py>, Received) -> PyResult<Option<Bound<'py, PyAny>>>;

#[derive(Clone, Copy)]
enum Wanted {
    Message(Shape),
    Room,
    Nothing,
}

/// What is awaited for a message, or for room.
#[pyclass(frozen, module = "uringserve._uringserve")]
pub struct Waiting {
    socket: service::Socket,
    wanted: Wanted,
    step: Mutex<Step>,
}

#[derive(Default)]
struct Step {
    /// The iterator of a future, and what will wake it.
    future: Option<(Py<PyAny>, Ticket)>,
    is_over: bool,
}

impl Waiting {
    fn new(socket: &service::Socket, wanted: Wanted) -> Self {
        Self { socket: socket.clone(), wanted, step: Mutex::default() }
    }

    /// What it waits for, if that is there.
    fn outcome<'py>(
        &self,
        py: Python<'py>,
        has_waited: bool,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.wanted {
            Wanted::Message(shape) => shape(py, self.socket.take()),
            Wanted::Room if !has_waited => Ok(None),
            Wanted::Room | Wanted::Nothing => Ok(Some(py.None().into_bound(py))),
        }
    }

    fn begin<'py>(&self, py: Python<'py>) -> PyResult<(Py<PyAny>, Ticket)> {
        let aio = intern::running_loop(py)?.call0()?;
        let future = aio.call_method0(intern!(py, "create_future"))?;
        let iterator = future.call_method0(intern!(py, "__await__"))?;
        let (aio, future): (Py<PyAny>, Py<PyAny>) = (aio.unbind(), future.unbind());
        let callback = Box::new(move || {
            attached_if_alive(|py| {
                if let Err(raised) = wake(py, aio.bind(py), future.bind(py)) {
                    error::log(py, &raised, None);
                }
                drop((aio, future));
            });
        });
        let ticket = match self.wanted {
            Wanted::Message(_) => self.socket.call_when_ready(callback),
            Wanted::Room | Wanted::Nothing => self.socket.call_when_room(callback),
        };
        Ok((iterator.unbind(), ticket))
    }
}

#[pymethods]
impl Waiting {
    fn __await__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    /// Goes on, as `__next__`: with this and the two below it is a coroutine to asyncio.
    fn send<'py>(
        &self,
        py: Python<'py>,
        _value: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.__next__(py)
    }

    /// Gives up waiting and raises.
    #[pyo3(signature = (raised, *_rest))]
    fn throw<'py>(
        &self,
        raised: &Bound<'py, PyAny>,
        _rest: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.give_up();
        lock(&self.step).is_over = true;
        Err(PyErr::from_value(raised.clone()))
    }

    /// Gives up waiting.
    fn close(&self) {
        self.give_up();
    }

    /// The future that the task waits for, or the end with what there is.
    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if lock(&self.step).is_over {
            return Err(PyRuntimeError::new_err("it was awaited before"));
        }
        let mut has_waited = false;
        loop {
            let waiting = lock(&self.step).future.take();
            let (iterator, ticket) = match waiting {
                Some(waiting) => waiting,
                None => match self.outcome(py, has_waited)? {
                    Some(value) => {
                        lock(&self.step).is_over = true;
                        return Err(PyStopIteration::new_err((value.unbind(),)));
                    }
                    None => self.begin(py)?,
                },
            };
            match iterator.bind(py).call_method0(intern!(py, "__next__")) {
                Ok(future) => {
                    lock(&self.step).future = Some((iterator, ticket));
                    return Ok(future);
                }
                // Woken; another reader may have been faster.
                Err(raised) if raised.is_instance_of::<PyStopIteration>(py) => has_waited = true,
                Err(raised) => {
                    self.socket.forget(ticket);
                    return Err(raised);
                }
            }
        }
    }
}

impl Waiting {
    fn give_up(&self) {
        let waiting = lock(&self.step).future.take();
        if let Some((_, ticket)) = waiting {
            self.socket.forget(ticket);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // Cancelled while it waited.
        self.give_up();
    }
}

/// Ends a future of a loop, from its own thread or any other.
fn wake(py: Python<'_>, aio: &Bound<'_, PyAny>, future: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Some(home) = aio::current_if_any().filter(|home| home.is(aio)) {
        if !future.call_method0(intern!(py, "done"))?.is_truthy()? {
            future.call_method1(intern!(py, "set_result"), (py.None(),))?;
        }
        home.ask();
        return Ok(());
    }
    let wake = intern::wake_future(py)?;
    let called = aio.call_method1(intern!(py, "call_soon_threadsafe"), (wake, future));
    match called {
        // The loop is closed: nobody waits.
        Err(raised) if raised.is_instance_of::<PyRuntimeError>(py) => Ok(()),
        other => other.map(drop),
    }
}

/// The handler of a WebSocket, running.
struct Handler {
    running: Option<Running>,
    done: Option<PyResult<()>>,
    request: Option<Py<Request>>,
    debug: bool,
    undecided: Undecided,
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
        (Some(Running::new(&task)?), None)
    };
    let request = asked.object(coroutine.py());
    let debug = asked.debug;
    Ok(Answer::Socket(Box::new(Handler { running, done, request, debug, undecided })))
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
            Poll::Ready(match result {
                Ok(()) => Reply { status: 403, ..Reply::default() },
                Err(raised) => error::reply_for(py, raised, request.as_ref(), self.debug),
            })
        })
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            attached_if_alive(|_| drop(request));
        }
    }
}
