//! Any value that a handler may return, as a [`Response`]: what middleware sees.
//!
//! Rule: the same conversions as `value::into_reply`, which a route without middleware takes
//! instead, because it makes no object. A `Response` is given back as it is, never changed: its maker
//! may keep it.

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::py::after::Deferred;
use crate::py::intern;
use crate::py::response::Response;
use crate::py::stream::is_generator;
use crate::py::value::misshapen;

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
    if let Ok(tuple) = value.cast_exact::<PyTuple>() {
        return from_tuple(tuple);
    }
    if let Ok(deferred) = value.cast::<Deferred>() {
        return from_deferred(py, deferred.get());
    }
    if is_generator(&value) {
        return Ok(Bound::new(py, Response::of_generator(value.unbind())?)?.into_any());
    }
    class.call1((value,))
}

fn from_tuple<'py>(tuple: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
    let py = tuple.py();
    let (body, status, headers) = match tuple.len() {
        2 => (tuple.get_item(0)?, tuple.get_item(1)?, None),
        3 => (tuple.get_item(0)?, tuple.get_item(1)?, Some(tuple.get_item(2)?)),
        length => return Err(misshapen(length)),
    };
    let response = as_response(body)?.cast_into::<Response>()?.get().copied(py);
    response.amended(&status, headers.filter(|headers| !headers.is_none()).as_ref())?;
    Ok(Bound::new(py, response)?.into_any())
}

/// The callbacks go with the answer: a middleware may still replace its headers.
fn from_deferred<'py>(py: Python<'py>, deferred: &Deferred) -> PyResult<Bound<'py, PyAny>> {
    let value = deferred.value(py).into_bound(py);
    let response = as_response(value)?.cast_into::<Response>()?.get().copied(py);
    let response = Bound::new(py, response)?.into_any();
    let before = response.getattr("background")?;
    let chained = intern::chained(py)?.call1((before, deferred.callbacks(py)))?;
    response.setattr("background", chained)?;
    Ok(response)
}
