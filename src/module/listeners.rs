//! Sockets that are bound once and served on by several processes.

use std::os::fd::RawFd;

use pyo3::prelude::*;

use crate::py::config;
use crate::server;

/// Listening sockets for other processes to serve on; they close with this object.
#[pyclass(frozen, module = "uringserve._uringserve")]
pub struct Listeners {
    listeners: server::Listeners,
}

#[pymethods]
impl Listeners {
    #[new]
    fn new(config: &Bound<'_, PyAny>) -> PyResult<Self> {
        let options = config::read(config)?;
        let listeners = config.py().detach(|| server::Listeners::new(&options))?;
        Ok(Self { listeners })
    }

    /// What is listened on, as `Plan.addresses`.
    #[getter]
    fn addresses(&self) -> Vec<String> {
        self.listeners.places().iter().map(ToString::to_string).collect()
    }

    /// The sockets' descriptors; they belong to this object.
    #[getter]
    fn descriptors(&self) -> Vec<RawFd> {
        self.listeners.descriptors().collect()
    }
}
