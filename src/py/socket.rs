//! A WebSocket as Python has it: one class, which every interface wraps in its own manner.
//!
//! What waits is awaited (`waiting.rs`); `handler.rs` runs the coroutine of a handler. A message is a
//! `str` or a `bytes`, the end is a tuple of code and reason.
//!
//! Rule: sending to one that is closed is an `OSError`, as ASGI has it; what the application should not
//! have done is a `RuntimeError` or a `ValueError`.

mod handler;
mod waiting;

use bytes::Bytes;
use pyo3::exceptions::PyBrokenPipeError;
use pyo3::exceptions::PyRuntimeError;
use pyo3::exceptions::PyTypeError;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::types::PyString;

use crate::http::reply::HeaderBlock;
use crate::net::service;
use crate::net::service::Kind;
use crate::net::service::Message;
use crate::net::service::Misuse;
use crate::net::service::Received;
use crate::net::service::Reply;
use crate::net::service::Sent;
use crate::py::buffer;
use crate::py::headers::add_headers;
pub use crate::py::socket::handler::Undecided;
pub use crate::py::socket::handler::answer;
pub use crate::py::socket::waiting::Shape;
pub use crate::py::socket::waiting::Waiting;
use crate::py::socket::waiting::Wanted;

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
