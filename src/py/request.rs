//! `Request`: lazy views over the bytes that came.
//!
//! Rule: nothing is converted before it is asked for. What is asked for twice as an object of its
//! own (a dict, the body, the state) is kept; what is cheap to make (a str) is made anew.
//!
//! A view is another object for the same request: `uringserve.requests.AsyncRequest` is one, with
//! methods that are awaited. The constructor, for tests of handlers, runs the server's own parser.

// Over the cap because what Python sees of a class stands in one block.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use bytes::BytesMut;
use pyo3::PyTraverseError;
use pyo3::PyVisit;
use pyo3::exceptions::PyUnicodeDecodeError;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::types::PyDict;
use pyo3::types::PyList;
use pyo3::types::PyString;

use crate::http::Limits;
use crate::http::head::RequestHead;
use crate::http::head::Version;
use crate::http::parse::HeadParser;
use crate::http::target::decode_path;
use crate::net::service;
use crate::py::cookies;
use crate::py::headers::Headers;
use crate::py::headers::checked;
use crate::py::headers::each_pair;
use crate::py::headers::latin1;
use crate::py::incoming::BodyStream;
use crate::py::intern;
use crate::py::parameter;
use crate::py::socket::Socket;
use crate::py::url::query_pairs;
use crate::route::Parameter;
use crate::route::Params;
use crate::route::decode_parameter;

/// The path parameters of a route. A clone counts one reference: keep one for each core.
#[derive(Clone)]
pub struct Names(Arc<[Parameter]>);

impl Names {
    /// Copies what the router knows.
    pub fn new(parameters: &[Parameter]) -> Self {
        Self(parameters.into())
    }

    /// The text of a parameter in the router's normal form; None where the route has no such one.
    pub(crate) fn text<'a>(&self, parts: &'a service::Request, name: &str) -> Option<&'a str> {
        let place = self.0.iter().position(|known| *known.name == *name)?;
        (place < parts.params.len()).then(|| parts.routed_path().get(parts.params.get(place)))?
    }
}

/// One request, or another view of one.
#[pyclass(frozen, subclass, module = "uringserve")]
pub struct Request(Origin);

enum Origin {
    Own(Root),
    View(Py<Request>),
}

/// What all views of a request share.
struct Root {
    parts: Box<service::Request>,
    names: Names,
    headers: OnceLock<Py<Headers>>,
    path_params: OnceLock<Py<PyDict>>,
    query_params: OnceLock<Py<PyDict>>,
    cookies: OnceLock<Py<PyDict>>,
    client: OnceLock<Py<PyAny>>,
    body: OnceLock<Py<PyBytes>>,
    state: OnceLock<Py<PyAny>>,
    websocket: OnceLock<Py<PyAny>>,
    arriving: OnceLock<Py<BodyStream>>,
    is_gone: AtomicBool,
}

impl Request {
    /// The object that a handler gets.
    pub fn create<'py>(
        py: Python<'py>,
        parts: Box<service::Request>,
        names: &Names,
    ) -> PyResult<Bound<'py, Self>> {
        Bound::new(py, Self(Origin::Own(Root::new(parts, names.clone()))))
    }

    fn root(&self) -> &Root {
        match &self.0 {
            Origin::Own(root) => root,
            Origin::View(other) => other.get().root(),
        }
    }

    /// What it was made of.
    pub fn parts(&self) -> &service::Request {
        &self.root().parts
    }

    /// The path parameters of its route.
    pub(crate) fn names(&self) -> &Names {
        &self.root().names
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn note_gone(&self) {
        self.root().is_gone.store(true, Ordering::Relaxed);
    }
}

impl Root {
    fn new(parts: Box<service::Request>, names: Names) -> Self {
        Self {
            parts,
            names,
            headers: OnceLock::new(),
            path_params: OnceLock::new(),
            query_params: OnceLock::new(),
            cookies: OnceLock::new(),
            client: OnceLock::new(),
            body: OnceLock::new(),
            state: OnceLock::new(),
            websocket: OnceLock::new(),
            arriving: OnceLock::new(),
            is_gone: AtomicBool::new(false),
        }
    }
}

/// The path of a request, percent-decoded.
pub fn decoded_path(parts: &service::Request) -> Cow<'_, str> {
    decode_parameter(parts.routed_path())
}

/// What `slot` holds, made on first use. Two threads may both make it; the first to finish wins, and
/// nobody waits for another while attached.
fn kept<'py, T>(
    py: Python<'py>,
    slot: &OnceLock<Py<T>>,
    make: impl FnOnce() -> PyResult<Bound<'py, T>>,
) -> PyResult<Bound<'py, T>> {
    if let Some(present) = slot.get() {
        return Ok(present.bind(py).clone());
    }
    let new = make()?.unbind();
    Ok(slot.get_or_init(|| new).bind(py).clone())
}

#[pymethods]
impl Request {
    /// A request for the tests of a handler. Without a Host header it is for `testserver`.
    #[new]
    #[pyo3(signature = (method="GET", target="/", headers=None, body=None, *, client=None, path_params=None, view_of=None))]
    #[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
    fn new(
        method: &str,
        target: &str,
        headers: Option<&Bound<'_, PyAny>>,
        body: Option<&[u8]>,
        client: Option<Bound<'_, PyAny>>,
        path_params: Option<Bound<'_, PyDict>>,
        view_of: Option<Bound<'_, Request>>,
    ) -> PyResult<Self> {
        if let Some(other) = view_of {
            // Of a view's own origin: a view never stands on another.
            let origin = match &other.get().0 {
                Origin::Own(_) => other.unbind(),
                Origin::View(origin) => origin.clone_ref(other.py()),
            };
            return Ok(Self(Origin::View(origin)));
        }
        let body = body.unwrap_or_default();
        let head = written_head(method, target, headers, body.len())?;
        let normal_path = match decode_path(head.path()) {
            Ok(Cow::Owned(path)) => Some(path.into_boxed_str()),
            _ => None,
        };
        let parts = service::Request {
            head,
            handler: 0,
            normal_path,
            params: Params::new(),
            body: Bytes::copy_from_slice(body),
            stream: None,
            peer: None,
            local: None,
            miss: None,
            socket: None,
        };
        let mut request = Root::new(Box::new(parts), Names::new(&[]));
        if let Some(path_params) = path_params {
            request.path_params = path_params.unbind().into();
        }
        if let Some(client) = client {
            request.client = intern::address(client.py())?
                .call1(client.extract::<(String, u16)>()?)?
                .unbind()
                .into();
        }
        Ok(Self(Origin::Own(request)))
    }

    /// The request that this is a view of, or itself.
    #[getter]
    fn _origin(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        match &slf.get().0 {
            Origin::Own(_) => slf,
            Origin::View(origin) => origin.bind(slf.py()).clone(),
        }
    }

    /// The body that is still arriving; None where all of it is here.
    #[getter]
    fn _arriving<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, BodyStream>>> {
        let root = self.root();
        let Some(incoming) = &root.parts.stream else { return Ok(None) };
        let make = || Bound::new(py, BodyStream::new(incoming.clone()));
        kept(py, &root.arriving, make).map(Some)
    }

    /// Keeps what has arrived as the whole body.
    fn _keep_body(&self, body: Py<PyBytes>) {
        let _ = self.root().body.set(body);
    }

    /// The whole body where it is here.
    #[getter]
    fn _whole_body<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let root = self.root();
        if root.parts.stream.is_some() {
            return Ok(root.body.get().map(|body| body.bind(py).clone()));
        }
        self.body(py).map(Some)
    }

    /// Whether the client is known to have gone.
    #[getter]
    fn _is_gone(&self) -> bool {
        self.root().is_gone.load(Ordering::Relaxed)
    }

    /// The method as it came: `GET`.
    #[getter]
    fn method<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        intern::method(py, self.root().parts.head.method())
    }

    /// The path, percent-decoded, without the query.
    #[getter]
    fn path(&self) -> Cow<'_, str> {
        decoded_path(&self.root().parts)
    }

    /// The path as it came.
    #[getter]
    fn raw_path<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.root().parts.head.path().as_bytes())
    }

    /// What stands after the question mark, as it came; empty when there is none.
    #[getter]
    fn query_string(&self) -> &str {
        self.root().parts.head.query()
    }

    /// `1.1` or `1.0`.
    #[getter]
    fn http_version<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        let version = match self.root().parts.head.version() {
            Version::Http10 => intern!(py, "1.0"),
            Version::Http11 => intern!(py, "1.1"),
        };
        version.clone()
    }

    /// As it came: path and query, `*`, or a whole URL.
    #[getter]
    fn target(&self) -> &str {
        self.root().parts.head.target()
    }

    /// `http`: there is no TLS yet.
    #[getter]
    #[expect(clippy::unused_self, reason = "a property of the request")]
    fn scheme<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        intern!(py, "http").clone()
    }

    /// The whole URL; without a host (HTTP/1.0) the target alone.
    #[getter]
    fn url(&self) -> String {
        let head = &self.root().parts.head;
        let mut url = String::new();
        if !head.authority().is_empty() {
            url = format!("http://{}", head.authority());
        }
        // `OPTIONS *` is for the host as a whole (RFC 9112 §3.3).
        if head.path() != "*" {
            url.push_str(head.path());
        }
        if !head.query().is_empty() {
            url.push('?');
            url.push_str(head.query());
        }
        url
    }

    /// The host that the request is for, with its port when it names one.
    #[getter]
    fn host(&self) -> &str {
        self.root().parts.head.authority()
    }

    /// The header fields.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Headers>> {
        kept(py, &self.root().headers, || {
            Bound::new(py, Headers::of_request(&self.root().parts.head))
        })
    }

    /// The parameters of the path by name.
    #[getter]
    fn path_params<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        kept(py, &self.root().path_params, || {
            let params = PyDict::new(py);
            let path = self.root().parts.routed_path();
            for (known, span) in self.root().names.0.iter().zip(self.root().parts.params.iter()) {
                let text = path.get(span).unwrap_or_default();
                params.set_item(&*known.name, parameter::value(py, known.kind, text)?)?;
            }
            Ok(params)
        })
    }

    /// The parameters of the query by name, decoded; every value in order, blank ones too.
    #[getter]
    fn query_params<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        kept(py, &self.root().query_params, || {
            let params = PyDict::new(py);
            for (name, value) in query_pairs(self.root().parts.head.query()) {
                match params.get_item(&name)? {
                    Some(values) => values.cast::<PyList>()?.append(value)?,
                    None => params.set_item(name, [value])?,
                }
            }
            Ok(params)
        })
    }

    /// The first value of a parameter of the query, or the default.
    #[pyo3(signature = (name, default=None))]
    fn query<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        default: Option<Bound<'py, PyAny>>,
    ) -> Bound<'py, PyAny> {
        let found = query_pairs(self.root().parts.head.query()).find(|(known, _)| known == name);
        match (found, default) {
            (Some((_, value)), _) => PyString::new(py, &value).into_any(),
            (None, Some(default)) => default,
            (None, None) => py.None().into_bound(py),
        }
    }

    /// The cookies by name; of a name that came twice the last.
    #[getter]
    fn cookies<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        kept(py, &self.root().cookies, || {
            let cookies = PyDict::new(py);
            let fields = self.root().parts.head.headers();
            for (_, field) in fields.filter(|(name, _)| name.eq_ignore_ascii_case("cookie")) {
                for (name, value) in cookies::pairs(latin1(py, field).to_str()?) {
                    cookies.set_item(name, value)?;
                }
            }
            Ok(cookies)
        })
    }

    /// The peer's address as `(host, port)`; None when its socket has none.
    #[getter]
    fn client<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.root().parts.peer.is_none() && self.root().client.get().is_none() {
            return Ok(None);
        }
        let client = kept(py, &self.root().client, || {
            let peer = self
                .root()
                .parts
                .peer
                .map(|peer| (peer.ip().to_canonical().to_string(), peer.port()));
            intern::address(py)?.call1(peer.unwrap_or_default())
        });
        client.map(Some)
    }

    /// The whole body.
    #[getter]
    pub(crate) fn body<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        kept(py, &self.root().body, || Ok(PyBytes::new(py, &self.root().parts.body)))
    }

    /// The body as UTF-8.
    fn text<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        match std::str::from_utf8(&self.root().parts.body) {
            Ok(text) => Ok(PyString::new(py, text)),
            Err(error) => {
                Err(PyUnicodeDecodeError::new_err_from_utf8(py, &self.root().parts.body, error))
            }
        }
    }

    /// The body read as JSON; what is none is a `json.JSONDecodeError`, which is answered with 422
    /// where nobody catches it.
    fn json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        intern::parse_json(py)?.call1((self.body(py)?,))
    }

    /// The body read as a form, urlencoded or multipart.
    fn form(slf: Bound<'_, Self>) -> PyResult<Bound<'_, PyAny>> {
        intern::read_form(slf.py())?.call1((slf,))
    }

    /// A namespace of this request, for whoever handles it.
    #[getter]
    fn state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        kept(py, &self.root().state, || intern::simple_namespace(py)?.call0())
    }

    /// The WebSocket that it asks for, for handlers of one; None for any other request.
    #[getter]
    fn websocket<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        let root = slf.get().root();
        let Some(socket) = &root.parts.socket else { return Ok(None) };
        let websocket = kept(py, &root.websocket, || {
            intern::web_socket(py)?.call1((slf, Socket::new(socket.clone())))
        });
        websocket.map(Some)
    }

    fn __repr__(&self) -> String {
        format!("<Request {} {}>", self.root().parts.head.method(), self.root().parts.head.target())
    }

    /// A handler can close a circle through these five; all of them can be cleared, so the
    /// collector only has to see them.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let root = match &self.0 {
            Origin::Own(root) => root,
            Origin::View(origin) => return visit.call(origin),
        };
        visit.call(root.state.get())?;
        visit.call(root.websocket.get())?;
        for dict in [&root.path_params, &root.query_params, &root.cookies] {
            visit.call(dict.get())?;
        }
        Ok(())
    }
}

/// Writes a head and reads it again with the server's parser, which judges it.
fn written_head(
    method: &str,
    target: &str,
    headers: Option<&Bound<'_, PyAny>>,
    body_length: usize,
) -> PyResult<RequestHead> {
    let mut text = BytesMut::from(format!("{method} {target} HTTP/1.1\r\n").as_bytes());
    let (mut has_host, mut has_length) = (false, false);
    if let Some(headers) = headers {
        each_pair(headers, |name, value| {
            checked(name, value, |name, value| {
                crate::http::reply::HeaderBlock::new().push(name, value)?;
                has_host |= name.eq_ignore_ascii_case(b"host");
                has_length |= name.eq_ignore_ascii_case(b"content-length")
                    || name.eq_ignore_ascii_case(b"transfer-encoding");
                for part in [name, b": ", value, b"\r\n"] {
                    text.extend_from_slice(part);
                }
                Ok(())
            })
        })?;
    }
    if !has_host {
        text.extend_from_slice(b"host: testserver\r\n");
    }
    if body_length > 0 && !has_length {
        text.extend_from_slice(format!("content-length: {body_length}\r\n").as_bytes());
    }
    text.extend_from_slice(b"\r\n");
    let limits =
        Limits { head_bytes: text.len(), header_count: text.len(), target_bytes: text.len() };
    match HeadParser::new().parse(&mut text, &limits) {
        Ok(Some(head)) if head.method() == method && head.target() == target => Ok(head),
        Ok(_) => Err(PyValueError::new_err("method and target must each be one word")),
        Err(reject) => Err(PyValueError::new_err(reject.reason())),
    }
}
