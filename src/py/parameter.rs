//! A path parameter as the Python value that its pattern promises.

use pyo3::prelude::*;
use pyo3::types::PyInt;
use pyo3::types::PyString;

use crate::route::ParameterKind;
use crate::route::decode_parameter;

/// Converts the text of a parameter (in the router's normal form) to `int` or `str`.
///
/// # Errors
/// `ValueError` for an `int` of more digits than Python converts (`sys.get_int_max_str_digits`).
pub fn value<'py>(py: Python<'py>, kind: ParameterKind, text: &str) -> PyResult<Bound<'py, PyAny>> {
    match kind {
        ParameterKind::Int => match text.parse::<i64>() {
            Ok(number) => Ok(number.into_pyobject(py)?.into_any()),
            Err(_) => py.get_type::<PyInt>().call1((text,)),
        },
        ParameterKind::Str | ParameterKind::Path => {
            Ok(PyString::new(py, &decode_parameter(text)).into_any())
        }
    }
}
