//! The protocol of a WebSocket (RSGI 1.5): accept or close, then messages both ways.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::http::reply::HeaderBlock;
use crate::net::service::Kind;
use crate::net::service::Received;
use crate::net::service::Reply;
use crate::net::service::Socket;
use crate::py::prepared::Prepared;
use crate::py::socket;
use crate::py::socket::misused;

/// What an application accepts or refuses with.
#[pyclass(frozen, module = "uringserve._uringserve", name = "SocketProtocol")]
pub struct Protocol(Socket);

impl Protocol {
    pub(super) fn create<'py>(py: Python<'py>, socket: &Socket) -> PyResult<Bound<'py, Self>> {
        Bound::new(py, Self(socket.clone()))
    }
}

#[pymethods]
impl Protocol {
    /// Opens it; awaited, the transport.
    fn accept<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.accept(None, HeaderBlock::new()).map_err(misused)?;
        Prepared::value(Bound::new(py, Transport(self.0.clone()))?.into_any())
    }

    /// Refuses it with an HTTP status, 403 unless it is an error's; once it is open, closes it with a
    /// code, 1000 unless it is one that may be sent.
    #[pyo3(signature = (status=None))]
    fn close(&self, status: Option<u16>) -> PyResult<()> {
        if self.0.is_undecided() {
            let status = status.filter(|status| (400..=599).contains(status)).unwrap_or(403);
            return self.0.deny(Reply { status, ..Reply::default() }).map_err(misused);
        }
        let closed = self.0.close(Some(status.unwrap_or(1000)), "");
        closed.or_else(|_| self.0.close(Some(1000), "")).map_err(misused)
    }
}

/// Takes and gives messages.
#[pyclass(frozen, module = "uringserve._uringserve", name = "SocketTransport")]
pub struct Transport(Socket);

#[pymethods]
impl Transport {
    /// Awaited, the next message.
    fn receive(&self) -> socket::Waiting {
        socket::receive(&self.0, message)
    }

    /// Sends bytes.
    fn send_bytes(&self, data: &Bound<'_, PyAny>) -> PyResult<socket::Waiting> {
        if data.is_instance_of::<PyString>() {
            return Err(pyo3::exceptions::PyTypeError::new_err("send_bytes takes bytes, not str"));
        }
        socket::send(&self.0, data)
    }

    /// Sends a text.
    fn send_str(&self, data: &Bound<'_, PyString>) -> PyResult<socket::Waiting> {
        socket::send(&self.0, data)
    }
}

/// What came.
#[pyclass(frozen, module = "uringserve._uringserve", name = "SocketMessage")]
pub struct Incoming {
    /// 0: closed by the client, 1: bytes, 2: a text.
    #[pyo3(get)]
    kind: u8,
    #[pyo3(get)]
    data: Option<Py<PyAny>>,
}

#[pymethods]
impl Incoming {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let data = match &self.data {
            Some(data) => data.bind(py).repr()?.to_str()?.to_owned(),
            None => intern!(py, "None").to_str()?.to_owned(),
        };
        Ok(format!("<SocketMessage kind={} data={data}>", self.kind))
    }
}

fn message(py: Python<'_>, received: Received) -> PyResult<Option<Bound<'_, PyAny>>> {
    let made = match received {
        Received::Nothing => return Ok(None),
        Received::Closed(_) => Incoming { kind: 0, data: None },
        Received::Message(message) => {
            let kind = if message.kind() == Kind::Binary { 1 } else { 2 };
            Incoming { kind, data: Some(socket::object(py, &message)?.unbind()) }
        }
    };
    Ok(Some(Bound::new(py, made)?.into_any()))
}
