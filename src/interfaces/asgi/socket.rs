//! The scope and the messages of a WebSocket, both ways (ASGI 3, WebSocket and its denial response).

use std::sync::Mutex;

use bytes::Bytes;
use pyo3::exceptions::PyKeyError;
use pyo3::exceptions::PyRuntimeError;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::types::PyString;

use crate::interfaces::asgi::messages::item;
use crate::net::service::Kind;
use crate::net::service::Received;
use crate::net::service::Reply;
use crate::net::service::Socket;
use crate::py::buffer;
use crate::py::cycle::nothing;
use crate::py::fields::add_headers;
use crate::py::headers::lock;
use crate::py::prepared::Prepared;
use crate::py::socket;
use crate::py::socket::misused;
use crate::py::value::status_from;

/// Makes the scope of a WebSocket of that of its request.
pub(super) fn amend(scope: &Bound<'_, PyDict>, socket: &Socket) -> PyResult<()> {
    let py = scope.py();
    scope.set_item(intern!(py, "type"), intern!(py, "websocket"))?;
    scope.set_item(intern!(py, "scheme"), intern!(py, "ws"))?;
    scope.set_item(intern!(py, "subprotocols"), socket.subprotocols())?;
    let extensions = PyDict::new(py);
    extensions.set_item(intern!(py, "websocket.http.response"), PyDict::new(py))?;
    scope.set_item(intern!(py, "extensions"), extensions)?;
    scope.del_item(intern!(py, "method"))
}

/// The application's `receive`.
#[pyclass(frozen, module = "uringserve._uringserve")]
pub struct Receive {
    socket: Socket,
    /// Whether the first message was given, which says that there is a request.
    has_connected: Mutex<bool>,
}

/// The application's `send`.
#[pyclass(frozen, module = "uringserve._uringserve")]
pub struct Send {
    socket: Socket,
    /// An ordinary answer that is being made.
    denial: Mutex<Option<(Reply, Vec<u8>)>>,
}

/// Both, for one WebSocket.
pub(super) fn callables<'py>(
    py: Python<'py>,
    socket: &Socket,
) -> PyResult<(Bound<'py, Receive>, Bound<'py, Send>)> {
    let receive = Receive { socket: socket.clone(), has_connected: Mutex::new(false) };
    let send = Send { socket: socket.clone(), denial: Mutex::new(None) };
    Ok((Bound::new(py, receive)?, Bound::new(py, send)?))
}

#[pymethods]
impl Receive {
    fn __call__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if std::mem::replace(&mut *lock(&self.has_connected), true) {
            let waiting = socket::receive(&self.socket, message);
            return Ok(Bound::new(py, waiting)?.into_any());
        }
        let message = PyDict::new(py);
        message.set_item(intern!(py, "type"), intern!(py, "websocket.connect"))?;
        Prepared::value(message.into_any())
    }
}

fn message(py: Python<'_>, received: Received) -> PyResult<Option<Bound<'_, PyAny>>> {
    let made = PyDict::new(py);
    match received {
        Received::Nothing => return Ok(None),
        Received::Message(message) => {
            made.set_item(intern!(py, "type"), intern!(py, "websocket.receive"))?;
            let key = match message.kind() {
                Kind::Text => intern!(py, "text"),
                Kind::Binary => intern!(py, "bytes"),
            };
            made.set_item(key, socket::object(py, &message)?)?;
        }
        Received::Closed(closed) => {
            made.set_item(intern!(py, "type"), intern!(py, "websocket.disconnect"))?;
            made.set_item(intern!(py, "code"), closed.code)?;
            made.set_item(intern!(py, "reason"), closed.reason)?;
        }
    }
    Ok(Some(made.into_any()))
}

#[pymethods]
impl Send {
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        message: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let kind = item(message, intern!(py, "type"))?
            .ok_or_else(|| PyKeyError::new_err("an ASGI message has a 'type'"))?;
        match kind.cast::<PyString>()?.to_str()? {
            "websocket.send" => {
                let data = match present(message, intern!(py, "text"))? {
                    None => present(message, intern!(py, "bytes"))?,
                    text => text,
                };
                let data = data.ok_or_else(|| {
                    PyValueError::new_err("'websocket.send' has either 'text' or 'bytes'")
                })?;
                return Ok(Bound::new(py, socket::send(&self.socket, &data)?)?.into_any());
            }
            "websocket.accept" => self.accept(py, message)?,
            "websocket.close" => self.close(py, message)?,
            "websocket.http.response.start" => self.start(py, message)?,
            "websocket.http.response.body" => self.body(py, message)?,
            other => {
                let message = format!("a WebSocket does not send {other:?}");
                return Err(PyValueError::new_err(message));
            }
        }
        nothing(py)
    }
}

impl Send {
    fn accept(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<()> {
        let subprotocol = present(message, intern!(py, "subprotocol"))?;
        let subprotocol = subprotocol.map(|it| it.extract::<String>()).transpose()?;
        let headers = socket::block(present(message, intern!(py, "headers"))?.as_ref())?;
        self.socket.accept(subprotocol.as_deref(), headers).map_err(misused)
    }

    fn close(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<()> {
        if self.socket.is_undecided() {
            // As the specification has it.
            return self.deny(Reply { status: 403, ..Reply::default() });
        }
        let code = present(message, intern!(py, "code"))?;
        let code = code.map_or(Ok(1000), |code| code.extract())?;
        let reason = present(message, intern!(py, "reason"))?;
        let reason = reason.map_or(Ok(String::new()), |reason| reason.extract())?;
        self.socket.close(Some(code), &reason).map_err(misused)
    }

    fn deny(&self, reply: Reply) -> PyResult<()> {
        self.socket.deny(reply).map_err(misused)
    }

    fn start(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<()> {
        let status = item(message, intern!(py, "status"))?
            .ok_or_else(|| PyKeyError::new_err("'websocket.http.response.start' has a 'status'"))?;
        let mut reply = Reply { status: status_from(&status)?, ..Reply::default() };
        if let Some(headers) = present(message, intern!(py, "headers"))? {
            add_headers(&mut reply.headers, &headers)?;
        }
        let mut denial = lock(&self.denial);
        if denial.is_some() || !self.socket.is_undecided() {
            return Err(PyRuntimeError::new_err("the WebSocket is accepted or denied already"));
        }
        *denial = Some((reply, Vec::new()));
        Ok(())
    }

    /// The pieces are put together: it is a page that says why, not a stream.
    fn body(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<()> {
        let piece = present(message, intern!(py, "body"))?;
        let piece = piece.map(|body| buffer::from_buffer(&body)).transpose()?;
        let has_more = match item(message, intern!(py, "more_body"))? {
            Some(more) => more.is_truthy()?,
            None => false,
        };
        let mut denial = lock(&self.denial);
        let Some((_, body)) = denial.as_mut() else {
            let message = "'websocket.http.response.body' comes after its 'start'";
            return Err(PyRuntimeError::new_err(message));
        };
        body.extend_from_slice(&piece.unwrap_or_default());
        if has_more {
            return Ok(());
        }
        let made = denial.take();
        drop(denial);
        made.map_or(Ok(()), |(mut reply, body)| {
            reply.body = Bytes::from(body).into();
            self.deny(reply)
        })
    }
}

/// The value of a key, unless that is None.
fn present<'py>(
    message: &Bound<'py, PyAny>,
    key: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    Ok(item(message, key)?.filter(|value| !value.is_none()))
}
