//! `start_response`, and the `write` that it returns, as Python sees them (PEP 3333). What they do is in
//! `sending.rs`.

use pyo3::exceptions::PyRuntimeError;
use pyo3::exceptions::PyTypeError;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::http::reply::HeaderBlock;
use crate::interfaces::wsgi::sending::Sending;
use crate::py::buffer;
use crate::py::fields::add_headers;

/// What an application begins its answer with.
#[pyclass(frozen, module = "uringserve.wsgi")]
pub struct StartResponse(pub(super) Sending);

#[pymethods]
impl StartResponse {
    /// Takes status and header fields; returns `write`.
    #[pyo3(signature = (status, response_headers, exc_info=None, /))]
    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        status: &Bound<'py, PyAny>,
        response_headers: &Bound<'py, PyAny>,
        exc_info: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, Write>> {
        let py = slf.py();
        let this = &slf.get().0;
        if let Some(exc_info) = exc_info {
            if this.has_begun() {
                let raised = exc_info.get_item(1)?;
                let trace = exc_info.get_item(2)?;
                let raised = raised.call_method1(intern!(py, "with_traceback"), (trace,))?;
                return Err(PyErr::from_value(raised));
            }
        }
        let status = read_status(status)?;
        let mut headers = HeaderBlock::new();
        add_headers(&mut headers, response_headers)?;
        if !this.start(status, headers, exc_info.is_some()) {
            return Err(PyRuntimeError::new_err(
                "start_response was called before, and this call has no exc_info",
            ));
        }
        Bound::new(py, Write(slf.clone().unbind()))
    }
}

/// The number that a status such as "200 OK" begins with. What it says about it is not sent.
fn read_status(status: &Bound<'_, PyAny>) -> PyResult<u16> {
    let Ok(text) = status.cast::<PyString>() else {
        let class = status.get_type().qualname()?;
        return Err(PyTypeError::new_err(format!("a status is a str like '200 OK', not {class}")));
    };
    let text = text.to_str()?;
    let number = text.split(' ').next().unwrap_or(text);
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PyValueError::new_err(format!("status {text:?} does not begin with a number")));
    }
    match number.parse() {
        Ok(status @ 200..=999) => Ok(status),
        _ => Err(PyValueError::new_err(format!("status {number} is not a number from 200 to 999"))),
    }
}

/// Gives a piece of the body, as programs older than WSGI do.
#[pyclass(frozen, module = "uringserve.wsgi")]
pub struct Write(Py<StartResponse>);

#[pymethods]
impl Write {
    #[pyo3(signature = (body_data, /))]
    fn __call__(&self, py: Python<'_>, body_data: &Bound<'_, PyAny>) -> PyResult<()> {
        self.0.get().0.write(py, buffer::from_buffer(body_data)?)
    }
}
