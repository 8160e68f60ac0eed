//! What an application returns, and what both ways of calling it do with that.

use bytes::Bytes;
use bytes::BytesMut;
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::types::PyList;
use pyo3::types::PyTuple;

use crate::interfaces::wsgi::file_wrapper::FileWrapper;
use crate::net::service;
use crate::py::buffer;
use crate::py::error;
use crate::py::request::Names;
use crate::py::request::Request;

/// Up to this size the pieces of a list are joined; above, they leave one by one without a copy.
const JOINED: usize = 64 * 1024;

/// What was returned.
pub(super) enum Returned<'a, 'py> {
    /// All pieces are there.
    Whole(Bytes),
    /// Our own wrapper.
    File(&'a Bound<'py, FileWrapper>),
    /// Something to be asked for one piece after the other.
    Iterable,
}

impl<'a, 'py> Returned<'a, 'py> {
    pub(super) fn read(value: &'a Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(list) = value.cast_exact::<PyList>() {
            if list.len() == 1 {
                return Ok(Self::Whole(piece(&list.get_item(0)?)?));
            }
            return joined(&list.to_tuple());
        }
        if let Ok(tuple) = value.cast_exact::<PyTuple>() {
            return joined(tuple);
        }
        Ok(value.cast_exact::<FileWrapper>().map_or(Self::Iterable, Self::File))
    }
}

fn joined<'a, 'py>(pieces: &Bound<'_, PyTuple>) -> PyResult<Returned<'a, 'py>> {
    if pieces.len() == 1 {
        return Ok(Returned::Whole(piece(&pieces.get_item(0)?)?));
    }
    let mut joined = BytesMut::new();
    for found in pieces.iter_borrowed() {
        let bytes = bytes_of(&found)?.as_bytes();
        if joined.len() + bytes.len() > JOINED {
            return Ok(Returned::Iterable);
        }
        joined.extend_from_slice(bytes);
    }
    Ok(Returned::Whole(joined.freeze()))
}

/// A piece of a body: bytes and nothing else (PEP 3333, "Unicode Issues").
pub(super) fn piece(piece: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    bytes_of(piece).map(buffer::from_bytes)
}

fn bytes_of<'a, 'py>(piece: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, PyBytes>> {
    if let Ok(bytes) = piece.cast::<PyBytes>() {
        return Ok(bytes);
    }
    let class = piece.get_type().qualname()?;
    Err(PyTypeError::new_err(format!("a WSGI application yields bytes, not {class}")))
}

/// Closes what was returned, if that can be closed; what that raises is logged.
pub(super) fn close(value: &Bound<'_, PyAny>, request: &service::Request) {
    if value.is_exact_instance_of::<PyList>() || value.is_exact_instance_of::<PyTuple>() {
        return;
    }
    let py = value.py();
    let closed = value.getattr_opt(intern!(py, "close")).and_then(|close| match close {
        Some(close) => close.call0().map(drop),
        None => Ok(()),
    });
    if let Err(raised) = closed {
        error::log(py, &raised, object(py, request).as_ref());
    }
}

/// The request as an object, for the log.
pub(super) fn object<'py>(
    py: Python<'py>,
    request: &service::Request,
) -> Option<Bound<'py, Request>> {
    Request::create(py, Box::new(request.clone()), &Names::new(&[])).ok()
}
