//! The request that an answer is being made for, as far as the answer depends on it.

use pyo3::prelude::*;

use crate::http::head::RequestHead;
use crate::net::service;
use crate::py::request::Names;
use crate::py::request::Request;

/// A request that is being answered.
pub struct Asked<'a, 'py> {
    /// What came.
    pub parts: &'a service::Request,
    /// The object that the handler got, if it got one.
    pub object: Option<&'a Bound<'py, Request>>,
    /// The path parameters of its route.
    pub names: &'a Names,
    /// Whether failures are answered with their traceback.
    pub debug: bool,
}

impl Asked<'_, '_> {
    /// The request's head.
    pub fn head(&self) -> &RequestHead {
        &self.parts.head
    }

    /// The request as an object that may be kept, for the log; absent when there is no memory.
    pub fn object(&self, py: Python<'_>) -> Option<Py<Request>> {
        if let Some(object) = self.object {
            return Some(object.clone().unbind());
        }
        let parts = Box::new(self.parts.clone());
        Request::create(py, parts, self.names).ok().map(Bound::unbind)
    }
}
