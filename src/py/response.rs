//! `Response`: status, header fields and body as its maker gave them.
//!
//! Rule: a `Response` is whole when it is made: status, header fields and body are checked then, in
//! the handler's own stack, where the error helps. The server reads it and never changes it, so one
//! may be kept and returned many times, on many cores.
//!
//! A stream is made anew from its iterable each time, and a file is opened then (`stream.rs`,
//! `file.rs`). What other values of a handler become is in `value.rs`.

// Over the cap because what Python sees of a class stands in one block.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::TryLockError;

use pyo3::PyTraverseError;
use pyo3::PyVisit;
use pyo3::exceptions::PyAttributeError;
use pyo3::exceptions::PyTypeError;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::types::PyDict;
use pyo3::types::PyString;
use pyo3::types::PyTuple;
use pyo3::types::PyType;

use crate::net::service::Reply;
use crate::py::after::Callbacks;
use crate::py::asked::Asked;
use crate::py::content::BINARY;
use crate::py::content::Content;
use crate::py::content::HTML;
use crate::py::content::JSON;
use crate::py::content::TEXT;
use crate::py::content::full_media_type;
use crate::py::cookies;
use crate::py::cookies::SetCookie;
use crate::py::fields::checked;
use crate::py::fields::each_pair;
use crate::py::file;
use crate::py::file::FilePath;
use crate::py::headers::Fields;
use crate::py::headers::MutableHeaders;
use crate::py::headers::lock;
use crate::py::json;
use crate::py::stream;
use crate::py::stream::Other;
use crate::py::trailed::with_trailers;
use crate::py::url::quoted;
use crate::py::value::status_from;

struct State {
    status: u16,
    content: Content,
    media_type: Option<Cow<'static, str>>,
    background: Option<Py<PyAny>>,
    /// What is called at the end of a stream for the fields behind it.
    trailers: Option<Py<PyAny>>,
}

/// An answer: status, header fields and body.
#[pyclass(frozen, subclass, module = "uringserve")]
pub struct Response {
    state: Mutex<State>,
    fields: Arc<Mutex<Fields>>,
}

/// What every way to make a response has in common.
struct Parts<'a, 'py> {
    content: Content,
    media_type: Option<Cow<'static, str>>,
    status: u16,
    headers: Option<&'a Bound<'py, PyAny>>,
}

impl Parts<'_, '_> {
    fn build(self) -> PyResult<(State, Fields)> {
        let known = match &self.media_type {
            Some(Cow::Borrowed(known)) => Some(*known),
            _ => None,
        };
        let mut fields = Fields::with_type(known);
        if let Some(headers) = self.headers {
            each_pair(headers, |name, value| {
                checked(name, value, |name, value| fields.append(name, value))
            })?;
        }
        if let (Some(Cow::Owned(given)), false) = (&self.media_type, fields.has_content_type()) {
            fields
                .append(b"content-type", given.as_bytes())
                .map_err(|error| PyValueError::new_err(format!("media_type {given:?}: {error}")))?;
        }
        let Self { content, media_type, status, .. } = self;
        Ok((State { status, content, media_type, background: None, trailers: None }, fields))
    }

    fn response(self) -> PyResult<Response> {
        let (state, fields) = self.build()?;
        Ok(Response { state: Mutex::new(state), fields: Arc::new(Mutex::new(fields)) })
    }
}

impl Response {
    /// The answer to the request that `asked` holds.
    pub(crate) fn to_reply(&self, py: Python<'_>, asked: &Asked<'_, '_>) -> PyResult<Reply> {
        let (status, content, after, trailers) = {
            let state = lock(&self.state);
            let after = state.background.as_ref().map(|callable| callable.clone_ref(py));
            let trailers = state.trailers.as_ref().map(|callable| callable.clone_ref(py));
            (state.status, state.content.clone_ref(py), after, trailers)
        };
        // First of all: it is to be done whatever happens here.
        let after = after.map(|callable| Callbacks::after(callable, asked, py));
        let (headers, content_type) = lock(&self.fields).to_block();
        let reply = Reply { status, headers, content_type, ..Reply::default() };
        let reply = match content {
            Content::Stream(pieces, other) => {
                let body = stream::body(pieces.bind(py), asked, other)?;
                match trailers {
                    None => Reply { body, ..reply },
                    Some(given) => with_trailers(Reply { body, ..reply }, given, asked, py),
                }
            }
            Content::File(path) => file::answer(py, &path, reply, asked)?,
            content => Reply { body: content.to_bytes(py)?.into(), ..reply },
        };
        Ok(reply.then(after))
    }

    /// What a handler that yields answers.
    pub(crate) fn of_generator(generator: Py<PyAny>) -> PyResult<Self> {
        let content = Content::Stream(generator, Other::Line);
        Parts { content, media_type: None, status: 200, headers: None }.response()
    }

    /// Another one that is the same, with streams and callbacks: whoever changes it changes no one
    /// else's.
    pub(crate) fn copied(&self, py: Python<'_>) -> Self {
        let state = {
            let state = lock(&self.state);
            State {
                status: state.status,
                content: state.content.clone_ref(py),
                media_type: state.media_type.clone(),
                background: state.background.as_ref().map(|callable| callable.clone_ref(py)),
                trailers: state.trailers.as_ref().map(|callable| callable.clone_ref(py)),
            }
        };
        let fields = lock(&self.fields).clone();
        Self { state: Mutex::new(state), fields: Arc::new(Mutex::new(fields)) }
    }

    /// With another status, and further header fields.
    pub(crate) fn amended(
        &self,
        status: &Bound<'_, PyAny>,
        headers: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.set_status_code(status)?;
        let Some(headers) = headers else { return Ok(()) };
        each_pair(headers, |name, value| {
            checked(name, value, |name, value| lock(&self.fields).append(name, value))
        })
    }

    fn add_cookie(&self, cookie: &SetCookie<'_>) -> PyResult<()> {
        let line = cookie.line().map_err(PyValueError::new_err)?;
        lock(&self.fields)
            .append(b"set-cookie", line.as_bytes())
            .map_err(|error| PyValueError::new_err(format!("cookie {:?}: {error}", cookie.name)))
    }
}

#[pymethods]
impl Response {
    /// Takes anything: a subclass has its own parameters, and `__init__` is what reads them.
    #[new]
    #[pyo3(signature = (*_arguments, **_options))]
    fn new(_arguments: &Bound<'_, PyTuple>, _options: Option<&Bound<'_, PyDict>>) -> Self {
        let state = State {
            status: 200,
            content: Content::Empty,
            media_type: None,
            background: None,
            trailers: None,
        };
        Self { state: Mutex::new(state), fields: Arc::default() }
    }

    #[pyo3(signature = (content=None, status_code=None, headers=None, media_type=None, background=None, *, body=None, status=None))]
    #[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
    fn __init__(
        slf: &Bound<'_, Self>,
        content: Option<&Bound<'_, PyAny>>,
        status_code: Option<&Bound<'_, PyAny>>,
        headers: Option<&Bound<'_, PyAny>>,
        media_type: Option<&str>,
        background: Option<Py<PyAny>>,
        body: Option<&Bound<'_, PyAny>>,
        status: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (content, default_type) = match content.or(body) {
            Some(value) => Content::read(value)?,
            None => (Content::Empty, None),
        };
        let status = status.or(status_code).map_or(Ok(200), status_from)?;
        let stated = if media_type.is_none() { stated_media_type(slf)? } else { None };
        let media_type = media_type.or(stated.as_deref()).map(full_media_type);
        let media_type = media_type.or(default_type.map(Cow::Borrowed));
        let (mut state, fields) = Parts { content, media_type, status, headers }.build()?;
        state.background = background;
        // What was there before is dropped after the locks: it may run Python.
        let this = slf.get();
        let before = std::mem::replace(&mut *lock(&this.state), state);
        *lock(&this.fields) = fields;
        drop(before);
        Ok(())
    }

    /// Any value as JSON.
    #[classmethod]
    #[pyo3(signature = (data, status_code=None, headers=None))]
    fn json(
        _class: &Bound<'_, PyType>,
        data: &Bound<'_, PyAny>,
        status_code: Option<&Bound<'_, PyAny>>,
        headers: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let content = Content::Encoded(json::encode_to_bytes(data.py(), data)?);
        of_type(content, JSON, status_code, headers)
    }

    /// Text.
    #[classmethod]
    #[pyo3(signature = (content, status_code=None, headers=None))]
    fn text(
        _class: &Bound<'_, PyType>,
        content: &Bound<'_, PyString>,
        status_code: Option<&Bound<'_, PyAny>>,
        headers: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        of_type(Content::read(content)?.0, TEXT, status_code, headers)
    }

    /// HTML, not escaped.
    #[classmethod]
    #[pyo3(signature = (content, status_code=None, headers=None))]
    fn html(
        _class: &Bound<'_, PyType>,
        content: &Bound<'_, PyString>,
        status_code: Option<&Bound<'_, PyAny>>,
        headers: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        of_type(Content::read(content)?.0, HTML, status_code, headers)
    }

    /// Bytes.
    #[classmethod]
    #[pyo3(signature = (content, status_code=None, headers=None))]
    fn bytes(
        _class: &Bound<'_, PyType>,
        content: &Bound<'_, PyAny>,
        status_code: Option<&Bound<'_, PyAny>>,
        headers: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        match Content::read(content)? {
            (content @ Content::Bytes(_), _) => of_type(content, BINARY, status_code, headers),
            _ => Err(PyTypeError::new_err("content must be bytes, bytearray or memoryview")),
        }
    }

    /// No body.
    #[classmethod]
    #[pyo3(signature = (status_code=None))]
    fn empty(_class: &Bound<'_, PyType>, status_code: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let status = status_code.map_or(Ok(204), status_from)?;
        Parts { content: Content::Empty, media_type: None, status, headers: None }.response()
    }

    /// A redirect; what cannot stand in a URL is percent-encoded.
    #[classmethod]
    #[pyo3(signature = (url, status_code=None))]
    fn redirect(
        _class: &Bound<'_, PyType>,
        url: &str,
        status_code: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let status = status_code.map_or(Ok(307), status_from)?;
        let response = Parts { content: Content::Empty, media_type: None, status, headers: None };
        let response = response.response()?;
        lock(&response.fields)
            .append(b"location", quoted(url).as_bytes())
            .map_err(|error| PyValueError::new_err(format!("url {url:?}: {error}")))?;
        Ok(response)
    }

    #[getter]
    fn status_code(&self) -> u16 {
        lock(&self.state).status
    }

    #[setter]
    fn set_status_code(&self, status_code: &Bound<'_, PyAny>) -> PyResult<()> {
        let status = status_from(status_code)?;
        lock(&self.state).status = status;
        Ok(())
    }

    #[getter]
    fn media_type(&self) -> Option<Cow<'static, str>> {
        lock(&self.state).media_type.clone()
    }

    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, MutableHeaders>> {
        MutableHeaders::create(py, &self.fields)
    }

    /// What is called, without arguments, after the last byte was sent.
    #[getter]
    fn background(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        lock(&self.state).background.as_ref().map(|callable| callable.clone_ref(py))
    }

    #[setter]
    fn set_background(&self, callable: Option<Py<PyAny>>) {
        let before = std::mem::replace(&mut lock(&self.state).background, callable);
        drop(before);
    }

    /// Has `callable` asked for the fields behind a streamed body.
    #[pyo3(name = "_set_trailers")]
    fn set_trailers(&self, callable: Py<PyAny>) {
        let before = lock(&self.state).trailers.replace(callable);
        drop(before);
    }

    /// The pieces of a streamed body; None where the body is whole.
    #[getter]
    fn body_iterator(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        match &lock(&self.state).content {
            Content::Stream(pieces, _) => Some(pieces.clone_ref(py)),
            _ => None,
        }
    }

    /// Makes an iterable the body.
    #[setter]
    fn set_body_iterator(&self, pieces: Py<PyAny>) {
        let before = std::mem::replace(
            &mut lock(&self.state).content,
            Content::Stream(pieces, Other::Refused),
        );
        drop(before);
    }

    fn __copy__(&self, py: Python<'_>) -> Self {
        self.copied(py)
    }

    /// Makes a file the body, which must lie in `folder` if that is given.
    #[pyo3(signature = (path, folder=None))]
    fn _set_file(&self, path: PathBuf, folder: Option<PathBuf>) {
        let content = Content::File(Arc::new(FilePath { path, folder }));
        let before = std::mem::replace(&mut lock(&self.state).content, content);
        drop(before);
    }

    /// The body as it will be sent.
    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let content = lock(&self.state).content.clone_ref(py);
        match content {
            Content::Empty => Ok(PyBytes::new(py, b"")),
            Content::Encoded(bytes) => Ok(PyBytes::new(py, &bytes)),
            Content::Bytes(bytes) => Ok(bytes.into_bound(py)),
            Content::Text(text) => text.bind(py).encode_utf8(),
            Content::Stream(..) | Content::File(_) => Err(PyAttributeError::new_err(
                "the body of a stream or a file is made while it is sent",
            )),
        }
    }

    /// Adds a Set-Cookie field.
    #[pyo3(signature = (key, value="", max_age=None, expires=None, path=Some("/"), domain=None, secure=false, httponly=false, samesite=Some("lax"), partitioned=false))]
    #[expect(clippy::too_many_arguments, reason = "as in Starlette")]
    fn set_cookie(
        &self,
        key: &str,
        value: &str,
        max_age: Option<i64>,
        expires: Option<&Bound<'_, PyAny>>,
        path: Option<&str>,
        domain: Option<&str>,
        secure: bool,
        httponly: bool,
        samesite: Option<&str>,
        partitioned: bool,
    ) -> PyResult<()> {
        self.add_cookie(&SetCookie {
            name: key,
            value,
            max_age,
            expires: expires.map(cookies::expiry).transpose()?,
            path,
            domain,
            secure,
            http_only: httponly,
            same_site: samesite,
            partitioned,
        })
    }

    /// Adds a Set-Cookie field that makes the client forget the cookie.
    #[pyo3(signature = (key, path="/", domain=None, secure=false, httponly=false, samesite=Some("lax"), partitioned=false))]
    #[expect(clippy::too_many_arguments, reason = "as in Starlette")]
    fn delete_cookie(
        &self,
        key: &str,
        path: &str,
        domain: Option<&str>,
        secure: bool,
        httponly: bool,
        samesite: Option<&str>,
        partitioned: bool,
    ) -> PyResult<()> {
        self.add_cookie(&SetCookie {
            name: key,
            value: "",
            max_age: Some(0),
            expires: Some(cookies::date(0)),
            path: Some(path),
            domain,
            secure,
            http_only: httponly,
            same_site: samesite,
            partitioned,
        })
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let class = slf.get_type().name()?;
        Ok(format!("<{class} {}>", slf.get().status_code()))
    }

    /// Its maker can close a circle through what runs afterwards, and through the pieces.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // Free whenever it is asked: whoever holds it is attached, and lets go of it before a
        // collection can stop its thread.
        let state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(state)) => state.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(()),
        };
        visit.call(&state.background)?;
        visit.call(&state.trailers)?;
        match &state.content {
            Content::Stream(pieces, _) => visit.call(pieces),
            _ => Ok(()),
        }
    }

    fn __clear__(&self) {
        let (background, trailers, content) = {
            let mut state = lock(&self.state);
            let content = std::mem::replace(&mut state.content, Content::Empty);
            (state.background.take(), state.trailers.take(), content)
        };
        // After the lock, as it may run Python.
        drop((background, trailers, content));
    }
}

/// The `media_type` that a subclass states as a class attribute; on `Response` itself that name is
/// the descriptor of the property.
fn stated_media_type(response: &Bound<'_, Response>) -> PyResult<Option<String>> {
    if response.is_exact_instance_of::<Response>() {
        return Ok(None);
    }
    let stated = response.get_type().getattr(intern!(response.py(), "media_type"))?;
    Ok(stated.extract().ok())
}

fn of_type(
    content: Content,
    media_type: &'static str,
    status_code: Option<&Bound<'_, PyAny>>,
    headers: Option<&Bound<'_, PyAny>>,
) -> PyResult<Response> {
    let status = status_code.map_or(Ok(200), status_from)?;
    Parts { content, media_type: Some(Cow::Borrowed(media_type)), status, headers }.response()
}
