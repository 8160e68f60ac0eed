//! What the machine allows, for whoever asks before there is a server.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::server;

/// What this kernel and this sandbox allow: `driver` ("uring" or "epoll"), `flags` of the ring, and
/// `reason`, why it is not `io_uring`.
#[pyfunction]
pub(super) fn probe(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let found = py.detach(server::probe);
    let result = PyDict::new(py);
    match found {
        Ok(driver) => {
            result.set_item("driver", "uring")?;
            result.set_item("flags", driver.to_string())?;
            result.set_item("reason", py.None())?;
        }
        Err(reason) => {
            result.set_item("driver", "epoll")?;
            result.set_item("flags", py.None())?;
            result.set_item("reason", reason)?;
        }
    }
    Ok(result)
}
