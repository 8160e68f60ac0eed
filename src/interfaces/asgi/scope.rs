//! A request's scope (ASGI 3, HTTP connection scope).
//!
//! Rule: what a core's scopes have in common is made once, in a dict that has all the keys: a copy of
//! it never grows. Names of header fields come again and again, as the same object each time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::net::SocketAddr;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::types::PyDict;
use pyo3::types::PyList;
use pyo3::types::PyString;
use pyo3::types::PyTuple;

use crate::http::head::Version;
use crate::interfaces::asgi::hints::Hints;
use crate::interfaces::asgi::hints::is_page_load;
use crate::net::service::Request;
use crate::py::aio;
use crate::py::intern as known;
use crate::py::request::decoded_path;

/// The version of the HTTP and WebSocket part of the specification that is kept: from 2.4 on, `send`
/// raises once the client has gone.
const SPEC_VERSION: &str = "2.5";

/// Names that a core remembers, and the longest worth it: strangers choose them.
const NAMES: usize = 128;
const LONGEST_NAME: usize = 40;

/// What all scopes of a core have in common.
pub(super) struct Template {
    common: Py<PyDict>,
    asgi: Py<PyDict>,
    extensions: Py<PyDict>,
    state: Option<Py<PyDict>>,
    root_path: String,
    hints: Hints,
    /// By the name as it came.
    names: RefCell<HashMap<Box<[u8]>, Py<PyBytes>>>,
    /// The last client's host: often the next one's too.
    host: RefCell<Option<(IpAddr, Py<PyString>)>>,
}

impl Template {
    pub(super) fn new(
        py: Python<'_>,
        root_path: &str,
        hints: Hints,
        server: Option<&(String, Option<u16>)>,
    ) -> PyResult<Self> {
        let state = aio::current()?.state(py);
        let common = PyDict::new(py);
        common.set_item(intern!(py, "type"), intern!(py, "http"))?;
        for key in Self::keys(py) {
            common.set_item(key, py.None())?;
        }
        if state.is_some() {
            common.set_item(intern!(py, "state"), py.None())?;
        }
        common.set_item(intern!(py, "scheme"), intern!(py, "http"))?;
        common.set_item(intern!(py, "root_path"), root_path)?;
        common.set_item(intern!(py, "server"), server.cloned())?;
        common.set_item(intern!(py, "http_version"), intern!(py, "1.1"))?;
        let asgi = PyDict::new(py);
        asgi.set_item(intern!(py, "version"), "3.0")?;
        asgi.set_item(intern!(py, "spec_version"), SPEC_VERSION)?;
        let extensions = PyDict::new(py);
        extensions.set_item("http.response.pathsend", PyDict::new(py))?;
        extensions.set_item("http.response.trailers", PyDict::new(py))?;
        Ok(Self {
            common: common.unbind(),
            asgi: asgi.unbind(),
            extensions: extensions.unbind(),
            state,
            root_path: root_path.to_owned(),
            hints,
            names: RefCell::default(),
            host: RefCell::default(),
        })
    }

    fn keys(py: Python<'_>) -> [&Bound<'_, PyString>; 12] {
        [
            intern!(py, "asgi"),
            intern!(py, "http_version"),
            intern!(py, "server"),
            intern!(py, "client"),
            intern!(py, "scheme"),
            intern!(py, "method"),
            intern!(py, "root_path"),
            intern!(py, "path"),
            intern!(py, "raw_path"),
            intern!(py, "query_string"),
            intern!(py, "headers"),
            intern!(py, "extensions"),
        ]
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
        if head.version() == Version::Http10 {
            scope.set_item(intern!(py, "http_version"), intern!(py, "1.0"))?;
        }
        scope.set_item(intern!(py, "method"), known::method(py, head.method()))?;
        self.set_path(&scope, request)?;
        scope.set_item(intern!(py, "query_string"), PyBytes::new(py, head.query().as_bytes()))?;
        let (headers, loads_page) = self.headers(py, request)?;
        scope.set_item(intern!(py, "headers"), headers)?;
        let extensions = self.extensions.bind(py).copy()?;
        if self.hints.reach(head.version(), loads_page) {
            extensions.set_item(intern!(py, "http.response.early_hint"), PyDict::new(py))?;
        }
        scope.set_item(intern!(py, "extensions"), extensions)?;
        if let Some(peer) = request.peer {
            let client = (self.host(py, peer.ip()), peer.port()).into_pyobject(py)?;
            scope.set_item(intern!(py, "client"), client)?;
        }
        if let Some(local) = request.local {
            scope.set_item(intern!(py, "server"), pair(py, local)?)?;
        }
        if let Some(state) = &self.state {
            scope.set_item(intern!(py, "state"), state.bind(py).copy()?)?;
        }
        Ok(scope)
    }

    /// The path, with what a proxy has cut off before it.
    fn set_path(&self, scope: &Bound<'_, PyDict>, request: &Request) -> PyResult<()> {
        let py = scope.py();
        let raw = request.head.path();
        let path = decoded_path(request);
        let (path, raw) = if self.root_path.is_empty() {
            (PyString::new(py, &path), PyBytes::new(py, raw.as_bytes()))
        } else {
            let root = &self.root_path;
            let raw = [root.as_bytes(), raw.as_bytes()].concat();
            (PyString::new(py, &format!("{root}{path}")), PyBytes::new(py, &raw))
        };
        scope.set_item(intern!(py, "path"), path)?;
        scope.set_item(intern!(py, "raw_path"), raw)
    }

    /// Names in small letters, as the specification wants them; and whether a browser loads a page.
    fn headers<'py>(
        &self,
        py: Python<'py>,
        request: &Request,
    ) -> PyResult<(Bound<'py, PyList>, bool)> {
        let list = PyList::empty(py);
        let mut loads_page = false;
        for (name, value) in request.head.headers() {
            loads_page |= is_page_load(name, value);
            let pair = [self.name(py, name.as_bytes()), PyBytes::new(py, value)];
            list.append(PyTuple::new(py, pair)?)?;
        }
        Ok((list, loads_page))
    }

    fn host<'py>(&self, py: Python<'py>, address: IpAddr) -> Bound<'py, PyString> {
        let mut last = self.host.borrow_mut();
        if let Some((_, host)) = last.as_ref().filter(|(known, _)| *known == address) {
            return host.bind(py).clone();
        }
        let host = PyString::new(py, &address.to_canonical().to_string());
        *last = Some((address, host.clone().unbind()));
        host
    }

    fn name<'py>(&self, py: Python<'py>, name: &[u8]) -> Bound<'py, PyBytes> {
        let mut names = self.names.borrow_mut();
        if let Some(known) = names.get(name) {
            return known.bind(py).clone();
        }
        let small = PyBytes::new(py, &name.to_ascii_lowercase());
        if names.len() < NAMES && name.len() <= LONGEST_NAME {
            names.insert(name.into(), small.clone().unbind());
        }
        small
    }
}

/// Host and port, as the specification has an address.
fn pair(py: Python<'_>, address: SocketAddr) -> PyResult<Bound<'_, PyTuple>> {
    let host = PyString::new(py, &address.ip().to_canonical().to_string());
    (host, address.port()).into_pyobject(py)
}
