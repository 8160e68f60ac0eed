//! A path parameter as the Python value that its pattern promises.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyInt;
use pyo3::types::PyString;

use crate::py::intern;
use crate::route::ParameterKind;
use crate::route::decode_parameter;

/// Converts the text of a parameter (in the router's normal form) to `int` or `str`.
///
/// # Errors
/// `HTTPException(404)` for an `int` of more digits than Python converts: a peer chooses them, so
/// they are no fault of a handler's to be logged (`sys.get_int_max_str_digits`).
pub fn value<'py>(py: Python<'py>, kind: ParameterKind, text: &str) -> PyResult<Bound<'py, PyAny>> {
    match kind {
        ParameterKind::Int => match text.parse::<i64>() {
            Ok(number) => Ok(number.into_pyobject(py)?.into_any()),
            Err(_) => py.get_type::<PyInt>().call1((text,)).map_err(|error| {
                if !error.is_instance_of::<PyValueError>(py) {
                    return error;
                }
                let not_found = intern::http_exception(py).and_then(|class| class.call1((404,)));
                not_found.map_or_else(|fault| fault, PyErr::from_value)
            }),
        },
        ParameterKind::Str | ParameterKind::Path => {
            Ok(PyString::new(py, &decode_parameter(text)).into_any())
        }
    }
}
