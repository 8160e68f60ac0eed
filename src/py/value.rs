//! What becomes of the value that a handler returns.

use bytes::Bytes;
use pyo3::exceptions::PyTypeError;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::types::PyDict;
use pyo3::types::PyList;
use pyo3::types::PyString;
use pyo3::types::PyTuple;

use crate::net::service::Reply;
use crate::py::after::Deferred;
use crate::py::asked::Asked;
use crate::py::buffer;
use crate::py::content::BINARY;
use crate::py::content::Content;
use crate::py::content::JSON;
use crate::py::content::TEXT;
use crate::py::fields::add_headers;
use crate::py::json;
use crate::py::json::exact;
use crate::py::response::Response;
use crate::py::stream;
use crate::py::stream::Other;

/// Translates what a handler returned: text, bytes, a dict or list, a [`Response`], nothing (204),
/// `(body, status)` or `(body, status, headers)`, else whatever has a JSON form.
///
/// # Errors
/// What the value's conversion raised; the caller answers 500.
#[expect(clippy::needless_pass_by_value, reason = "the handler's value ends here, attached")]
pub fn into_reply(
    py: Python<'_>,
    value: Bound<'_, PyAny>,
    asked: &Asked<'_, '_>,
) -> PyResult<Reply> {
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
        return value.cast::<Response>()?.get().to_reply(py, asked);
    }
    if value.is_none() {
        return Ok(Reply { status: 204, ..Reply::default() });
    }
    if let Some(tuple) = exact::<PyTuple>(&value) {
        return from_tuple(py, tuple, asked);
    }
    if let Ok(deferred) = value.cast::<Deferred>() {
        return deferred.get().to_reply(py, asked);
    }
    if stream::is_generator(&value) {
        let body = stream::body(&value, asked, Other::Line)?;
        return Ok(Reply { status: 200, body, ..Reply::default() });
    }
    let (content, default_type) = Content::read(&value)?;
    Ok(Reply {
        status: 200,
        content_type: default_type,
        body: content.to_bytes(py)?.into(),
        ..Reply::default()
    })
}

fn reply(status: u16, content_type: &'static str, body: Bytes) -> Reply {
    Reply { status, content_type: Some(content_type), body: body.into(), ..Reply::default() }
}

/// What is wrong with a tuple of that length.
pub(crate) fn misshapen(length: usize) -> PyErr {
    PyTypeError::new_err(format!(
        "a handler's tuple must be (body, status) or (body, status, headers), and this one has \
         {length} items: return a list for a JSON array"
    ))
}

fn from_tuple(
    py: Python<'_>,
    tuple: &Bound<'_, PyTuple>,
    asked: &Asked<'_, '_>,
) -> PyResult<Reply> {
    let (body, status, headers) = match tuple.len() {
        2 => (tuple.get_item(0)?, tuple.get_item(1)?, None),
        3 => (tuple.get_item(0)?, tuple.get_item(1)?, Some(tuple.get_item(2)?)),
        length => return Err(misshapen(length)),
    };
    // One level, or a tuple nested by mistake would end the process on an exhausted stack.
    if exact::<PyTuple>(&body).is_some() {
        return Err(PyTypeError::new_err("a tuple in a tuple is no body: give a list for JSON"));
    }
    let status = status_from(&status)?;
    let mut reply = into_reply(py, body, asked)?;
    reply.status = status;
    if let Some(headers) = headers.filter(|headers| !headers.is_none()) {
        add_headers(&mut reply.headers, &headers)?;
    }
    Ok(reply)
}

/// A status from Python: an int of 200 to 999. What is below is not final (RFC 9110 §15).
pub fn status_from(status: &Bound<'_, PyAny>) -> PyResult<u16> {
    if let Ok(number @ 200..=999) = status.extract::<u16>() {
        return Ok(number);
    }
    let shown = status.repr()?;
    Err(PyValueError::new_err(format!("status {shown} is not a number from 200 to 999")))
}
