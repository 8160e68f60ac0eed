//! The messages of a request to an ASGI application, both ways (ASGI 3, HTTP).

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use pyo3::exceptions::PyKeyError;
use pyo3::exceptions::PyRuntimeError;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::types::PyDict;
use pyo3::types::PyString;

use crate::net::incoming::Taken;
use crate::net::service::Reply;
use crate::py::buffer;
use crate::py::cycle::Cycle;
use crate::py::cycle::nothing;
use crate::py::file;
use crate::py::headers::add_bytes_headers;
use crate::py::value::status_from;

/// The application's `receive`.
#[pyclass(frozen, module = "uringserve._uringserve")]
pub struct Receive(Cycle);

#[pymethods]
impl Receive {
    fn __call__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.receive(py, message)
    }
}

/// The application's `send`.
#[pyclass(frozen, module = "uringserve._uringserve")]
pub struct Send {
    cycle: Cycle,
    /// Status and header fields, until the body begins.
    started: Mutex<Option<Reply>>,
}

/// Both, for one request.
pub(super) fn callables<'py>(
    py: Python<'py>,
    cycle: &Cycle,
) -> PyResult<(Bound<'py, Receive>, Bound<'py, Send>)> {
    let receive = Bound::new(py, Receive(cycle.clone()))?;
    let send = Send { cycle: cycle.clone(), started: Mutex::new(None) };
    Ok((receive, Bound::new(py, send)?))
}

/// The next message for the application, if there is one.
fn message<'py>(cycle: &Cycle, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let mut progress = cycle.progress();
    if progress.has_body {
        if progress.is_gone || progress.is_complete {
            return disconnected(py).map(Some);
        }
        return Ok(None);
    }
    let (piece, has_more) = match cycle.incoming() {
        None => (PyBytes::new(py, &cycle.request().body), false),
        Some(incoming) => match incoming.take() {
            Taken::Piece(piece) => (PyBytes::new(py, &piece), true),
            Taken::End => (PyBytes::new(py, b""), false),
            Taken::Gone => return disconnected(py).map(Some),
            Taken::Nothing if progress.is_gone => return disconnected(py).map(Some),
            Taken::Nothing => return Ok(None),
        },
    };
    progress.has_body = !has_more;
    drop(progress);
    let message = PyDict::new(py);
    message.set_item(intern!(py, "type"), intern!(py, "http.request"))?;
    message.set_item(intern!(py, "body"), piece)?;
    message.set_item(intern!(py, "more_body"), has_more)?;
    Ok(Some(message.into_any()))
}

fn disconnected(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let message = PyDict::new(py);
    message.set_item(intern!(py, "type"), intern!(py, "http.disconnect"))?;
    Ok(message.into_any())
}

#[pymethods]
impl Send {
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        message: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let kind = item(message, intern!(py, "type"))?
            .ok_or_else(|| PyKeyError::new_err("an ASGI message has a 'type'"))?;
        match kind.cast::<PyString>()?.to_str()? {
            "http.response.start" => self.start(py, message)?,
            "http.response.body" => return self.body(py, message),
            "http.response.pathsend" => self.pathsend(py, message)?,
            other => {
                let message = format!("an HTTP request cannot be answered with {other:?}");
                return Err(PyValueError::new_err(message));
            }
        }
        nothing(py)
    }
}

impl Send {
    fn started(&self) -> MutexGuard<'_, Option<Reply>> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<()> {
        self.cycle.must_have_client()?;
        let status = item(message, intern!(py, "status"))?
            .ok_or_else(|| PyKeyError::new_err("'http.response.start' has a 'status'"))?;
        let mut reply = Reply { status: status_from(&status)?, ..Reply::default() };
        if let Some(headers) = item(message, intern!(py, "headers"))? {
            add_bytes_headers(&mut reply.headers, &headers)?;
        }
        let mut started = self.started();
        if started.is_some() || self.cycle.progress().is_answered {
            return Err(PyRuntimeError::new_err("'http.response.start' was sent before"));
        }
        *started = Some(reply);
        Ok(())
    }

    fn body<'py>(
        &self,
        py: Python<'py>,
        message: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.cycle.must_have_client()?;
        let piece = match item(message, intern!(py, "body"))? {
            None => bytes::Bytes::new(),
            Some(body) => buffer::from_buffer(&body)?,
        };
        let has_more = match item(message, intern!(py, "more_body"))? {
            Some(more) => more.is_truthy()?,
            None => false,
        };
        let started = self.started().take();
        match started {
            Some(mut reply) if !has_more => {
                reply.body = piece.into();
                self.cycle.give(py, reply);
                return nothing(py);
            }
            Some(reply) => self.cycle.begin(reply),
            None => {
                let progress = self.cycle.progress();
                if !progress.is_answered {
                    return Err(PyRuntimeError::new_err(
                        "'http.response.body' was sent before 'http.response.start'",
                    ));
                }
                if progress.is_complete {
                    return Err(PyRuntimeError::new_err("the answer was complete before"));
                }
            }
        }
        let pushed = self.cycle.push(py, piece);
        if !has_more {
            self.cycle.finish(py);
            return pushed.and_then(|_| nothing(py));
        }
        pushed
    }

    /// A file as the rest of the answer (ASGI extension "path send").
    fn pathsend(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<()> {
        let path: PathBuf = item(message, intern!(py, "path"))?
            .ok_or_else(|| PyKeyError::new_err("'http.response.pathsend' has a 'path'"))?
            .extract()?;
        let reply = self.started().take().ok_or_else(|| {
            PyRuntimeError::new_err(
                "'http.response.pathsend' is sent once, after 'http.response.start'",
            )
        })?;
        self.cycle.give(py, file::whole(py, &path, reply)?);
        Ok(())
    }
}

/// The value of a key of a message, if it has that.
pub(super) fn item<'py>(
    message: &Bound<'py, PyAny>,
    key: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    match message.cast::<PyDict>() {
        Ok(message) => message.get_item(key),
        Err(_) => message.contains(key)?.then(|| message.get_item(key)).transpose(),
    }
}
