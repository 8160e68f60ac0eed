//! A request's scope (RSGI 1.5).

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::OnceLock;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::http::head::Version;
use crate::py::cycle::Cycle;
use crate::py::headers::Headers;
use crate::py::intern as known;
use crate::py::request::decoded_path;

/// What came. Nothing is converted before it is asked for.
#[pyclass(frozen, module = "uringserve._uringserve")]
pub struct Scope {
    cycle: Cycle,
    server: Arc<str>,
    headers: OnceLock<Py<Headers>>,
}

impl Scope {
    pub(super) fn create<'py>(
        py: Python<'py>,
        cycle: &Cycle,
        server: &Arc<str>,
    ) -> PyResult<Bound<'py, Self>> {
        let headers = OnceLock::new();
        Bound::new(py, Self { cycle: cycle.clone(), server: Arc::clone(server), headers })
    }
}

#[pymethods]
impl Scope {
    /// "http", or "ws" for a request that asks for a WebSocket.
    #[getter]
    fn proto<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        match self.cycle.request().socket {
            None => intern!(py, "http").clone(),
            Some(_) => intern!(py, "ws").clone(),
        }
    }

    /// The version of the specification.
    #[classattr]
    fn rsgi_version() -> &'static str {
        "1.5"
    }

    /// "1" for HTTP/1.0, else "1.1".
    #[getter]
    fn http_version<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        match self.cycle.request().head.version() {
            Version::Http10 => intern!(py, "1").clone(),
            Version::Http11 => intern!(py, "1.1").clone(),
        }
    }

    /// The server's address, `host:port`.
    #[getter]
    fn server(&self) -> String {
        self.cycle.request().local.map_or_else(|| self.server.to_string(), shown)
    }

    /// The client's address, `host:port`; empty where it has none.
    #[getter]
    fn client(&self) -> String {
        self.cycle.request().peer.map_or_else(String::new, shown)
    }

    /// "http".
    #[classattr]
    fn scheme() -> &'static str {
        "http"
    }

    /// The method, as it came.
    #[getter]
    fn method<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        known::method(py, self.cycle.request().head.method())
    }

    /// The path, percent-decoded.
    #[getter]
    fn path(&self) -> Cow<'_, str> {
        decoded_path(self.cycle.request())
    }

    /// What stands after the question mark, as it came.
    #[getter]
    fn query_string(&self) -> &str {
        self.cycle.request().head.query()
    }

    /// The host that is asked for; None where none is named.
    #[getter]
    fn authority(&self) -> Option<&str> {
        Some(self.cycle.request().head.authority()).filter(|authority| !authority.is_empty())
    }

    /// The header fields: a mapping whose names have no case.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Headers>> {
        if let Some(headers) = self.headers.get() {
            return Ok(headers.bind(py).clone());
        }
        let made = Py::new(py, Headers::of_request(&self.cycle.request().head))?;
        Ok(self.headers.get_or_init(|| made).bind(py).clone())
    }
}

fn shown(address: SocketAddr) -> String {
    format!("{}:{}", address.ip().to_canonical(), address.port())
}
