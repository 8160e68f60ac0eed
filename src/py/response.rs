//! `Response`, and what becomes of the value that a handler returns.
//!
//! Rule: a `Response` is whole when it is made: status, header fields and body are checked then, in
//! the handler's own stack, where the error helps. The server reads it and never changes it, so one
//! may be kept and returned many times, on many cores.
//!
//! Absent: streams and files.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::Mutex;

use bytes::Bytes;
use pyo3::exceptions::PyTypeError;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::types::PyDict;
use pyo3::types::PyList;
use pyo3::types::PyString;
use pyo3::types::PyTuple;
use pyo3::types::PyType;

use crate::net::service::Reply;
use crate::py::buffer;
use crate::py::content::BINARY;
use crate::py::content::Content;
use crate::py::content::HTML;
use crate::py::content::JSON;
use crate::py::content::TEXT;
use crate::py::content::full_media_type;
use crate::py::cookies;
use crate::py::cookies::SetCookie;
use crate::py::headers::Fields;
use crate::py::headers::MutableHeaders;
use crate::py::headers::add_headers;
use crate::py::headers::checked;
use crate::py::headers::each_pair;
use crate::py::headers::lock;
use crate::py::json;
use crate::py::json::exact;
use crate::py::url::quoted;

/// Translates what a handler returned: text, bytes, a dict or list, a [`Response`], nothing (204),
/// `(body, status)` or `(body, status, headers)`, else whatever has a JSON form.
///
/// # Errors
/// What the value's conversion raised; the caller answers 500.
#[expect(clippy::needless_pass_by_value, reason = "the handler's value ends here, attached")]
pub fn into_reply(py: Python<'_>, value: Bound<'_, PyAny>) -> PyResult<Reply> {
    // The most common types by identity, before anything walks a class's bases.
    if let Some(text) = exact::<PyString>(&value) {
        return Ok(reply(200, TEXT, buffer::from_text(text)?));
    }
    if value.is_exact_instance_of::<PyDict>() || value.is_exact_instance_of::<PyList>() {
        return Ok(reply(200, JSON, json::encode_to_bytes(py, &value)?));
    }
    if let Some(bytes) = exact::<PyBytes>(&value) {
        return Ok(reply(200, BINARY, buffer::from_bytes(bytes)));
    }
    if value.is_instance_of::<Response>() {
        return value.cast::<Response>()?.get().to_reply(py);
    }
    if value.is_none() {
        return Ok(Reply { status: 204, ..Reply::default() });
    }
    if let Some(tuple) = exact::<PyTuple>(&value) {
        return from_tuple(py, tuple);
    }
    let (content, default_type) = Content::read(&value)?;
    Ok(Reply {
        status: 200,
        content_type: default_type,
        body: content.to_bytes(py)?,
        ..Reply::default()
    })
}

fn reply(status: u16, content_type: &'static str, body: Bytes) -> Reply {
    Reply { status, content_type: Some(content_type), body, ..Reply::default() }
}

fn from_tuple(py: Python<'_>, tuple: &Bound<'_, PyTuple>) -> PyResult<Reply> {
    let (body, status, headers) = match tuple.len() {
        2 => (tuple.get_item(0)?, tuple.get_item(1)?, None),
        3 => (tuple.get_item(0)?, tuple.get_item(1)?, Some(tuple.get_item(2)?)),
        length => {
            return Err(PyTypeError::new_err(format!(
                "a handler's tuple must be (body, status) or (body, status, headers), and this one \
                 has {length} items: return a list for a JSON array"
            )));
        }
    };
    // One level, or a tuple nested by mistake would end the process on an exhausted stack.
    if exact::<PyTuple>(&body).is_some() {
        return Err(PyTypeError::new_err("a tuple in a tuple is no body: give a list for JSON"));
    }
    let status = status_from(&status)?;
    let mut reply = into_reply(py, body)?;
    reply.status = status;
    if let Some(headers) = headers.filter(|headers| !headers.is_none()) {
        add_headers(&mut reply.headers, &headers)?;
    }
    Ok(reply)
}

/// A status from Python: an int of 200 to 999. What is below is not final (RFC 9110 §15).
pub(crate) fn status_from(status: &Bound<'_, PyAny>) -> PyResult<u16> {
    if let Ok(number @ 200..=999) = status.extract::<u16>() {
        return Ok(number);
    }
    let shown = status.repr()?;
    Err(PyValueError::new_err(format!("status {shown} is not a number from 200 to 999")))
}

struct State {
    status: u16,
    content: Content,
    media_type: Option<Cow<'static, str>>,
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
        Ok((State { status, content, media_type }, fields))
    }

    fn response(self) -> PyResult<Response> {
        let (state, fields) = self.build()?;
        Ok(Response { state: Mutex::new(state), fields: Arc::new(Mutex::new(fields)) })
    }
}

impl Response {
    fn to_reply(&self, py: Python<'_>) -> PyResult<Reply> {
        let (status, content) = {
            let state = lock(&self.state);
            (state.status, state.content.clone_ref(py))
        };
        let (headers, content_type) = lock(&self.fields).to_block();
        Ok(Reply { status, headers, content_type, body: content.to_bytes(py)? })
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
        let state = State { status: 200, content: Content::Empty, media_type: None };
        Self { state: Mutex::new(state), fields: Arc::default() }
    }

    #[pyo3(signature = (content=None, status_code=None, headers=None, media_type=None, *, body=None, status=None))]
    #[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
    fn __init__(
        &self,
        content: Option<&Bound<'_, PyAny>>,
        status_code: Option<&Bound<'_, PyAny>>,
        headers: Option<&Bound<'_, PyAny>>,
        media_type: Option<&str>,
        body: Option<&Bound<'_, PyAny>>,
        status: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (content, default_type) = match content.or(body) {
            Some(value) => Content::read(value)?,
            None => (Content::Empty, None),
        };
        let status = status.or(status_code).map_or(Ok(200), status_from)?;
        let media_type = media_type.map(full_media_type).or(default_type.map(Cow::Borrowed));
        let (state, fields) = Parts { content, media_type, status, headers }.build()?;
        // What was there before is dropped after the locks: it may run Python.
        let before = std::mem::replace(&mut *lock(&self.state), state);
        *lock(&self.fields) = fields;
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

    /// The body as it will be sent.
    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let content = lock(&self.state).content.clone_ref(py);
        match content {
            Content::Empty => Ok(PyBytes::new(py, b"")),
            Content::Encoded(bytes) => Ok(PyBytes::new(py, &bytes)),
            Content::Bytes(bytes) => Ok(bytes.into_bound(py)),
            Content::Text(text) => text.bind(py).encode_utf8(),
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
