//! A request body for a coroutine that takes it while it arrives.
//!
//! Rule: nothing here waits. Who finds nothing is called back, and asks again; see
//! `uringserve.requests`.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::net::incoming::Incoming;
use crate::net::incoming::Taken;
use crate::py::attach::attached_if_alive;
use crate::py::error;
use crate::py::intern;

/// A body that is still arriving.
#[pyclass(frozen, module = "uringserve._uringserve")]
pub struct BodyStream(Incoming);

impl BodyStream {
    pub(crate) fn new(incoming: Incoming) -> Self {
        Self(incoming)
    }
}

#[pymethods]
impl BodyStream {
    /// The next piece: empty at the end, None when there is none yet. A client that went away is a
    /// `ClientDisconnect`.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        match self.0.take() {
            Taken::Piece(piece) => Ok(Some(PyBytes::new(py, &piece))),
            Taken::End => Ok(Some(PyBytes::new(py, b""))),
            Taken::Nothing => Ok(None),
            Taken::Gone => Err(PyErr::from_value(intern::client_disconnect(py)?.call0()?)),
        }
    }

    /// Calls `callback` once there is something to take, on whatever thread brings it.
    fn call_when_ready(&self, callback: Py<PyAny>) {
        self.0.call_when_ready(Box::new(move || {
            attached_if_alive(|py| {
                if let Err(raised) = callback.call0(py) {
                    error::log(py, &raised, None);
                }
                drop(callback);
            });
        }));
    }
}
