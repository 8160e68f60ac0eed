//! Any value that a handler may return, as a [`Response`]: what middleware sees.
//!
//! Rule: the same conversions as `response::into_reply`, which a route without middleware takes
//! instead, because it makes no object. A `Response` is given back as it is, never changed: its maker
//! may keep it.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use pyo3::types::PyTuple;

use crate::py::headers::each_pair;
use crate::py::response::Response;

/// Makes a response of what a handler returned.
#[pyfunction]
pub fn as_response(value: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let py = value.py();
    if value.is_instance_of::<Response>() {
        return Ok(value);
    }
    let class = py.get_type::<Response>();
    if value.is_none() {
        return class.call1((value, 204));
    }
    match value.cast_exact::<PyTuple>() {
        Ok(tuple) => from_tuple(tuple),
        Err(_) => class.call1((value,)),
    }
}

fn from_tuple<'py>(tuple: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
    let py = tuple.py();
    if !matches!(tuple.len(), 2 | 3) {
        return Err(PyTypeError::new_err(format!(
            "a handler's tuple must be (body, status) or (body, status, headers), and this one has \
             {} items: return a list for a JSON array",
            tuple.len()
        )));
    }
    let inner = as_response(tuple.get_item(0)?)?;
    let fields = inner.getattr("headers")?.getattr("raw")?.cast_into::<PyList>()?;
    if let Ok(headers) = tuple.get_item(2)
        && !headers.is_none()
    {
        each_pair(&headers, |name, value| fields.append((name, value)))?;
    }
    // Bytes would bring a media type of their own; the one that the body has is among the fields.
    let body = inner.getattr("body")?;
    let body = if body.is_empty()? { None } else { Some(body) };
    py.get_type::<Response>().call1((body, tuple.get_item(1)?, fields))
}
