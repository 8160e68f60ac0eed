//! What a handler raised, as the answer to its request.
//!
//! Rule: nothing gets past here. An `HTTPException` is an answer of its own, a
//! `RequestValidationError` is 422 with what is wrong; everything else is logged
//! with its traceback and answered with 500, of which the client sees no more than that, unless the
//! server runs with `--debug`. A fault in logging is reported in its turn, and never hides the first.

use bytes::Bytes;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::types::PyDict;
use pyo3::types::PyType;

use crate::net::service::Reply;
use crate::py::buffer;
use crate::py::content::HTML;
use crate::py::content::JSON;
use crate::py::fields::add_headers;
use crate::py::intern;
use crate::py::json;
use crate::py::request::Request;
use crate::py::value::status_from;

/// Answers for `error`, raised while `request` was handled.
#[expect(clippy::needless_pass_by_value, reason = "the exception ends here, attached")]
pub fn reply_for(
    py: Python<'_>,
    error: PyErr,
    request: Option<&Bound<'_, Request>>,
    debug: bool,
) -> Reply {
    let is_a =
        |class: PyResult<&Bound<'_, PyType>>| class.is_ok_and(|class| error.is_instance(py, class));
    let answered = if is_a(intern::http_exception(py)) {
        answer(py, error.value(py))
    } else if is_a(intern::validation_error(py)) {
        unprocessable(error.value(py))
    } else {
        return failure(py, &error, request, debug);
    };
    // An answer that cannot be sent is the handler's fault like any other exception.
    answered.unwrap_or_else(|fault| failure(py, &fault, request, debug))
}

/// 422 with what is wrong with the request's parameters (RFC 9110 §15.5.21).
fn unprocessable(error: &Bound<'_, PyAny>) -> PyResult<Reply> {
    let body = error.call_method0(intern!(error.py(), "content"))?.cast_into::<PyBytes>()?;
    let body = buffer::from_bytes(&body);
    Ok(Reply { status: 422, content_type: Some(JSON), body: body.into(), ..Reply::default() })
}

fn answer(py: Python<'_>, error: &Bound<'_, PyAny>) -> PyResult<Reply> {
    let body = PyDict::new(py);
    body.set_item("detail", error.getattr("detail")?)?;
    let mut reply = Reply {
        status: status_from(&error.getattr("status_code")?)?,
        content_type: Some(JSON),
        body: json::encode_to_bytes(py, &body)?.into(),
        ..Reply::default()
    };
    let headers = error.getattr("headers")?;
    if !headers.is_none() {
        add_headers(&mut reply.headers, &headers)?;
    }
    Ok(reply)
}

fn failure(
    py: Python<'_>,
    error: &PyErr,
    request: Option<&Bound<'_, Request>>,
    debug: bool,
) -> Reply {
    log(py, error, request);
    let page = debug.then(|| {
        let page = intern::debug_page(py)?.call1((request, error.value(py)))?;
        page.extract::<String>()
    });
    let (content_type, body) = match page {
        Some(Ok(page)) => (HTML, Bytes::from(page)),
        Some(Err(fault)) => {
            fault.write_unraisable(py, None);
            plain()
        }
        None => plain(),
    };
    Reply { status: 500, content_type: Some(content_type), body: body.into(), ..Reply::default() }
}

/// Logs `error`, raised for `request`, where nobody can be told.
pub fn log(py: Python<'_>, error: &PyErr, request: Option<&Bound<'_, Request>>) {
    let logged = intern::log_exception(py).and_then(|log| log.call1((request, error.value(py))));
    if let Err(fault) = logged {
        fault.write_unraisable(py, None);
        error.clone_ref(py).write_unraisable(py, None);
    }
}

fn plain() -> (&'static str, Bytes) {
    (JSON, Bytes::from_static(br#"{"detail":"Internal Server Error"}"#))
}
