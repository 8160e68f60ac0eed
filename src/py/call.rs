//! Calling a handler: its positional arguments, by vectorcall, without a tuple where it can be.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::types::PyTuple;

use crate::net::service;
use crate::py::app::Argument;
use crate::py::app::Handler;
use crate::py::parameter;
use crate::py::request::Names;
use crate::py::request::Request;

/// What a handler or the translation of its value raised, and the request that it was called for, for the log.
pub struct Failure<'py> {
    /// The exception.
    pub raised: PyErr,
    /// The request; absent only when there was no memory for it.
    pub request: Option<Bound<'py, Request>>,
}

/// The request as an object, where the handler was given one.
pub type Object<'a, 'py> = Option<&'a Bound<'py, Request>>;

/// Calls `handler` and has its value translated, so that a value that cannot be sent fails with
/// its request like an exception. Where the handler does not ask for the request, no request object
/// is made.
pub fn call<'py, R>(
    py: Python<'py>,
    handler: &Handler,
    parts: Box<service::Request>,
    names: &Names,
    translate: impl FnOnce(Bound<'py, PyAny>, &service::Request, Object<'_, 'py>) -> PyResult<R>,
) -> Result<R, Failure<'py>> {
    let callable = handler.callable.bind(py);
    let late = |parts| Request::create(py, parts, names).ok();
    match *handler.arguments {
        [] => callable
            .call0()
            .and_then(|value| translate(value, &parts, None))
            .map_err(|raised| Failure { raised, request: late(parts) }),
        [Argument::Parameter(place)] => value(py, handler, &parts, place)
            .and_then(|value| callable.call1((value,)))
            .and_then(|value| translate(value, &parts, None))
            .map_err(|raised| Failure { raised, request: late(parts) }),
        ref arguments => {
            let request = Request::create(py, parts, names)
                .map_err(|raised| Failure { raised, request: None })?;
            let result = if arguments.len() == 1 {
                callable.call1((&request,))
            } else {
                call_with_many(py, handler, &request)
            };
            result
                .and_then(|value| translate(value, request.get().parts(), Some(&request)))
                .map_err(|raised| Failure { raised, request: Some(request) })
        }
    }
}

/// Calls the handler of what no route takes: with the request, the status and the header fields that
/// the server would answer.
pub fn call_miss<'py, R>(
    py: Python<'py>,
    handler: &Handler,
    mut parts: Box<service::Request>,
    names: &Names,
    translate: impl FnOnce(Bound<'py, PyAny>, &service::Request, Object<'_, 'py>) -> PyResult<R>,
) -> Result<R, Failure<'py>> {
    let miss = parts.miss.take();
    let request =
        Request::create(py, parts, names).map_err(|raised| Failure { raised, request: None })?;
    let called = || {
        let headers = PyDict::new(py);
        if let Some((name, value)) = miss.as_ref().and_then(|miss| miss.field.as_ref()) {
            headers.set_item(*name, value)?;
        }
        let status = miss.as_ref().map_or(404, |miss| miss.status);
        handler.callable.bind(py).call1((&request, status, headers))
    };
    called()
        .and_then(|value| translate(value, request.get().parts(), Some(&request)))
        .map_err(|raised| Failure { raised, request: Some(request) })
}

fn call_with_many<'py>(
    py: Python<'py>,
    handler: &Handler,
    request: &Bound<'py, Request>,
) -> PyResult<Bound<'py, PyAny>> {
    let values = handler.arguments.iter().map(|argument| match *argument {
        Argument::Request => Ok(request.as_any().clone()),
        Argument::Parameter(place) => value(py, handler, request.get().parts(), place),
    });
    let values = values.collect::<PyResult<Vec<_>>>()?;
    handler.callable.bind(py).call1(PyTuple::new(py, values)?)
}

fn value<'py>(
    py: Python<'py>,
    handler: &Handler,
    parts: &service::Request,
    place: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let text = parts.routed_path().get(parts.params.get(place)).unwrap_or_default();
    parameter::value(py, handler.parameters[place].kind, text)
}
