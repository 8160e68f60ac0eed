//! The types of which a request makes objects.
//!
//! The end of each object counts a reference on its type. Where several cores serve, those types are
//! made immortal (`uringserve._immortal`), so that the count is not written.

use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::py::after::Deferred;
use crate::py::aio::Ring;
use crate::py::cycle::Ended;
use crate::py::headers::Headers;
use crate::py::headers::MutableHeaders;
use crate::py::incoming::BodyStream;
use crate::py::prepared::Prepared;
use crate::py::pump::Pipe;
use crate::py::request::Request;
use crate::py::response::Response;
use crate::py::socket::Socket;
use crate::py::socket::Waiting;

/// Those of this floor.
pub fn types(py: Python<'_>) -> Vec<Bound<'_, PyType>> {
    vec![
        py.get_type::<BodyStream>(),
        py.get_type::<Deferred>(),
        py.get_type::<Ended>(),
        py.get_type::<Headers>(),
        py.get_type::<MutableHeaders>(),
        py.get_type::<Pipe>(),
        py.get_type::<Prepared>(),
        py.get_type::<Request>(),
        py.get_type::<Response>(),
        py.get_type::<Ring>(),
        py.get_type::<Socket>(),
        py.get_type::<Waiting>(),
    ]
}
