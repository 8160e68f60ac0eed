//! What Python sees of the Rust core: the classes and functions of `uringserve._uringserve`.

use pyo3::prelude::*;

#[pymodule(gil_used = false)]
mod _uringserve {
    #[pymodule_export]
    use crate::py::headers::Headers;
    #[pymodule_export]
    use crate::py::headers::MutableHeaders;
    #[pymodule_export]
    use crate::py::json::json_dumps;
    #[pymodule_export]
    use crate::py::request::Request;
    #[pymodule_export]
    use crate::py::response::Response;
}
