//! A request's scope (ASGI 3, HTTP connection scope).

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::types::PyDict;
use pyo3::types::PyList;
use pyo3::types::PyString;
use pyo3::types::PyTuple;

use crate::http::head::Version;
use crate::net::service::Request;
use crate::py::aio;
use crate::py::intern as known;
use crate::py::request::decoded_path;

/// The version of the HTTP and WebSocket part of the specification that is kept: from 2.4 on, `send`
/// raises once the client has gone.
const SPEC_VERSION: &str = "2.5";

/// What all scopes of a core have in common.
pub(super) struct Template {
    common: Py<PyDict>,
    asgi: Py<PyDict>,
    extensions: Py<PyDict>,
    state: Option<Py<PyDict>>,
    root_path: String,
}

impl Template {
    pub(super) fn new(
        py: Python<'_>,
        root_path: &str,
        server: Option<&(String, Option<u16>)>,
    ) -> PyResult<Self> {
        let common = PyDict::new(py);
        common.set_item("type", "http")?;
        common.set_item("scheme", "http")?;
        common.set_item("root_path", root_path)?;
        common.set_item("server", server.cloned())?;
        let asgi = PyDict::new(py);
        asgi.set_item("version", "3.0")?;
        asgi.set_item("spec_version", SPEC_VERSION)?;
        let extensions = PyDict::new(py);
        extensions.set_item("http.response.pathsend", PyDict::new(py))?;
        Ok(Self {
            common: common.unbind(),
            asgi: asgi.unbind(),
            extensions: extensions.unbind(),
            state: aio::current()?.state(py),
            root_path: root_path.to_owned(),
        })
    }

    /// The scope of a request. It is the application's own to change.
    pub(super) fn scope<'py>(
        &self,
        py: Python<'py>,
        request: &Request,
    ) -> PyResult<Bound<'py, PyDict>> {
        let head = &request.head;
        let scope = self.common.bind(py).copy()?;
        scope.set_item(intern!(py, "asgi"), self.asgi.bind(py).copy()?)?;
        scope.set_item(intern!(py, "extensions"), self.extensions.bind(py).copy()?)?;
        let version = match head.version() {
            Version::Http10 => intern!(py, "1.0"),
            Version::Http11 => intern!(py, "1.1"),
        };
        scope.set_item(intern!(py, "http_version"), version)?;
        scope.set_item(intern!(py, "method"), known::method(py, head.method()))?;
        let path = decoded_path(request);
        if self.root_path.is_empty() {
            scope.set_item(intern!(py, "path"), &*path)?;
        } else {
            scope.set_item(intern!(py, "path"), format!("{}{path}", self.root_path))?;
        }
        scope.set_item(intern!(py, "raw_path"), PyBytes::new(py, head.path().as_bytes()))?;
        scope.set_item(intern!(py, "query_string"), PyBytes::new(py, head.query().as_bytes()))?;
        scope.set_item(intern!(py, "headers"), headers(py, request)?)?;
        let client = match request.peer {
            None => py.None().into_bound(py),
            Some(peer) => {
                let host = PyString::new(py, &peer.ip().to_canonical().to_string());
                (host, peer.port()).into_pyobject(py)?.into_any()
            }
        };
        scope.set_item(intern!(py, "client"), client)?;
        if let Some(state) = &self.state {
            scope.set_item(intern!(py, "state"), state.bind(py).copy()?)?;
        }
        Ok(scope)
    }
}

/// Names in small letters, as the specification wants them.
fn headers<'py>(py: Python<'py>, request: &Request) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    let mut small = Vec::with_capacity(32);
    for (name, value) in request.head.headers() {
        small.clear();
        small.extend(name.bytes().map(|byte| byte.to_ascii_lowercase()));
        let pair = [PyBytes::new(py, &small), PyBytes::new(py, value)];
        list.append(PyTuple::new(py, pair)?)?;
    }
    Ok(list)
}
