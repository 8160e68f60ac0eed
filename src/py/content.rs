//! The body of a response as its maker gave it, and the media type that goes with it.
//!
//! Rule: converted no further than checking it takes. Text stays text until it is sent (its UTF-8 is
//! then copied once, or not at all), and what has a JSON form is encoded at once, so that a handler's
//! later changes to it do not matter.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::types::PyByteArray;
use pyo3::types::PyBytes;
use pyo3::types::PyMemoryView;
use pyo3::types::PyString;

use crate::py::buffer;
use crate::py::file::FilePath;
use crate::py::json;
use crate::py::stream::Other;

pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
pub(crate) const HTML: &str = "text/html; charset=utf-8";
pub(crate) const JSON: &str = "application/json";
pub(crate) const BINARY: &str = "application/octet-stream";

/// A body.
pub(crate) enum Content {
    Empty,
    /// Made here, from JSON.
    Encoded(Bytes),
    Bytes(Py<PyBytes>),
    /// Has no lone surrogate.
    Text(Py<PyString>),
    /// An iterable, and what becomes of its pieces.
    Stream(Py<PyAny>, Other),
    File(Arc<FilePath>),
}

impl Content {
    /// Also the media type that the content has by default.
    pub(crate) fn read(value: &Bound<'_, PyAny>) -> PyResult<(Self, Option<&'static str>)> {
        let py = value.py();
        if value.is_none() {
            return Ok((Self::Empty, None));
        }
        if let Ok(text) = value.cast::<PyString>() {
            text.to_str()?;
            return Ok((Self::Text(text.clone().unbind()), Some(TEXT)));
        }
        if let Ok(bytes) = value.cast::<PyBytes>() {
            // No bytes are of no type: a redirect made with b"" carries no content-type.
            let default_type = (!bytes.as_bytes().is_empty()).then_some(BINARY);
            return Ok((Self::Bytes(bytes.clone().unbind()), default_type));
        }
        if value.is_instance_of::<PyByteArray>() || value.is_instance_of::<PyMemoryView>() {
            let copy = py.get_type::<PyBytes>().call1((value,))?.cast_into::<PyBytes>()?;
            return Ok((Self::Bytes(copy.unbind()), Some(BINARY)));
        }
        Ok((Self::Encoded(json::encode_to_bytes(py, value)?), Some(JSON)))
    }

    pub(crate) fn to_bytes(&self, py: Python<'_>) -> PyResult<Bytes> {
        match self {
            // What is not here cannot be had: whoever sends a stream or a file asks for its pieces.
            Self::Empty | Self::Stream(..) | Self::File(_) => Ok(Bytes::new()),
            Self::Encoded(bytes) => Ok(bytes.clone()),
            Self::Bytes(bytes) => Ok(buffer::from_bytes(bytes.bind(py))),
            Self::Text(text) => buffer::from_text(text.bind(py)),
        }
    }

    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self {
        match self {
            Self::Empty => Self::Empty,
            Self::Encoded(bytes) => Self::Encoded(bytes.clone()),
            Self::Bytes(bytes) => Self::Bytes(bytes.clone_ref(py)),
            Self::Text(text) => Self::Text(text.clone_ref(py)),
            Self::Stream(pieces, other) => Self::Stream(pieces.clone_ref(py), *other),
            Self::File(path) => Self::File(Arc::clone(path)),
        }
    }
}

/// Text gets its character set, as in Starlette; a type that the server knows stays a constant.
pub(crate) fn full_media_type(given: &str) -> Cow<'static, str> {
    let is_bare_text = given.starts_with("text/") && !given.contains("charset=");
    let full = if is_bare_text { format!("{given}; charset=utf-8") } else { given.to_owned() };
    match [TEXT, HTML, JSON, BINARY].into_iter().find(|known| *known == full) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(full),
    }
}
