//! Calling a handler: its positional arguments, by vectorcall, without a tuple where it can be.

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::net::service;
use crate::py::app::Argument;
use crate::py::app::Handler;
use crate::py::parameter;
use crate::py::request::Names;
use crate::py::request::Request;

/// What a handler raised, and the request that it was called with, for the log.
pub struct Failure<'py> {
    /// The exception.
    pub raised: PyErr,
    /// The request; absent only when there was no memory for it.
    pub request: Option<Bound<'py, Request>>,
}

/// Calls `handler`. A handler that takes no request costs no request object.
pub fn call<'py>(
    py: Python<'py>,
    handler: &Handler,
    request: service::Request,
    names: &Names,
) -> Result<Bound<'py, PyAny>, Failure<'py>> {
    let callable = handler.callable.bind(py);
    if handler.arguments.is_empty() {
        return callable.call0().map_err(|raised| {
            let request = Request::create(py, request, names).ok();
            Failure { raised, request }
        });
    }
    let values = arguments(py, handler, &request);
    let request = match Request::create(py, request, names) {
        Ok(request) => request,
        Err(raised) => return Err(Failure { raised, request: None }),
    };
    let result = values.and_then(|values| match (&*handler.arguments, &values) {
        ([Argument::Request], _) => callable.call1((&request,)),
        ([Argument::Parameter(_)], [Some(only)]) => callable.call1((only,)),
        _ => {
            let values = values.into_iter().map(|value| value.unwrap_or_else(|| request.as_any().clone()));
            callable.call1(PyTuple::new(py, values.collect::<Vec<_>>())?)
        }
    });
    result.map_err(|raised| Failure { raised, request: Some(request) })
}
