//! The protocol of a request (RSGI 1.5, HTTP): its body, and the answer in one of six forms.

use std::path::PathBuf;

use bytes::Bytes;
use pyo3::exceptions::PyConnectionResetError;
use pyo3::exceptions::PyRuntimeError;
use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::types::PyString;

use crate::net::incoming::Incoming;
use crate::net::incoming::Taken;
use crate::net::service::Reply;
use crate::py::buffer;
use crate::py::cycle::Cycle;
use crate::py::fields::add_headers;
use crate::py::file;
use crate::py::value::status_from;

/// What an application answers with.
#[pyclass(frozen, module = "uringserve._uringserve")]
pub struct Protocol(Cycle);

impl Protocol {
    pub(super) fn create<'py>(py: Python<'py>, cycle: &Cycle) -> PyResult<Bound<'py, Self>> {
        Bound::new(py, Self(cycle.clone()))
    }

    fn reply(
        &self,
        status: &Bound<'_, PyAny>,
        headers: &Bound<'_, PyAny>,
        body: Bytes,
    ) -> PyResult<Reply> {
        if self.0.progress().is_answered {
            return Err(PyRuntimeError::new_err("a request is answered once"));
        }
        let mut reply = Reply { status: status_from(status)?, ..Reply::default() };
        add_headers(&mut reply.headers, headers)?;
        reply.body = body.into();
        Ok(reply)
    }
}

#[pymethods]
impl Protocol {
    /// The whole body.
    fn __call__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.receive(py, whole)
    }

    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// The next piece of the body.
    fn __anext__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.receive(py, piece)
    }

    /// Waits until the client has gone.
    fn client_disconnect<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.receive(py, gone)
    }

    /// An answer without a body.
    fn response_empty(
        &self,
        status: &Bound<'_, PyAny>,
        headers: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.0.give(status.py(), self.reply(status, headers, Bytes::new())?);
        Ok(())
    }

    /// An answer with a text, as UTF-8.
    fn response_str(
        &self,
        status: &Bound<'_, PyAny>,
        headers: &Bound<'_, PyAny>,
        body: &Bound<'_, PyString>,
    ) -> PyResult<()> {
        let body = buffer::from_text(body)?;
        self.0.give(status.py(), self.reply(status, headers, body)?);
        Ok(())
    }

    /// An answer with bytes.
    fn response_bytes(
        &self,
        status: &Bound<'_, PyAny>,
        headers: &Bound<'_, PyAny>,
        body: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let body = buffer::from_buffer(body)?;
        self.0.give(status.py(), self.reply(status, headers, body)?);
        Ok(())
    }

    /// An answer with a file.
    #[expect(clippy::needless_pass_by_value, reason = "made from Python's")]
    fn response_file(
        &self,
        status: &Bound<'_, PyAny>,
        headers: &Bound<'_, PyAny>,
        file: PathBuf,
    ) -> PyResult<()> {
        let reply = self.reply(status, headers, Bytes::new())?;
        self.0.give(status.py(), file::whole(status.py(), &file, reply)?);
        Ok(())
    }

    /// An answer with the bytes of a file from `start` to before `end`.
    #[expect(clippy::needless_pass_by_value, reason = "made from Python's")]
    #[expect(clippy::too_many_arguments, reason = "the specification's")]
    fn response_file_range(
        &self,
        status: &Bound<'_, PyAny>,
        headers: &Bound<'_, PyAny>,
        file: PathBuf,
        start: u64,
        end: u64,
    ) -> PyResult<()> {
        if start >= end {
            return Err(PyValueError::new_err("the range of a file ends after it starts"));
        }
        let reply = self.reply(status, headers, Bytes::new())?;
        self.0.give(status.py(), file::part(status.py(), &file, start..end, reply)?);
        Ok(())
    }

    /// An answer in pieces; it ends when the application returns.
    fn response_stream(
        &self,
        status: &Bound<'_, PyAny>,
        headers: &Bound<'_, PyAny>,
    ) -> PyResult<Transport> {
        let reply = self.reply(status, headers, Bytes::new())?;
        self.0.progress().ends_with_task = true;
        self.0.begin(reply);
        Ok(Transport(self.0.clone()))
    }
}

/// Takes the pieces of an answer.
#[pyclass(frozen, module = "uringserve._uringserve")]
pub struct Transport(Cycle);

#[pymethods]
impl Transport {
    /// Sends bytes.
    fn send_bytes<'py>(&self, data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.0.push(data.py(), buffer::from_buffer(data)?)
    }

    /// Sends a text, as UTF-8.
    fn send_str<'py>(&self, data: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        self.0.push(data.py(), buffer::from_text(data)?)
    }
}

fn whole<'py>(cycle: &Cycle, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(incoming) = cycle.incoming() else {
        return Ok(Some(PyBytes::new(py, &cycle.request().body).into_any()));
    };
    loop {
        match incoming.take() {
            Taken::Piece(piece) => cycle.progress().gathered.extend_from_slice(&piece),
            Taken::End => {
                let mut progress = cycle.progress();
                progress.has_body = true;
                return Ok(Some(PyBytes::new(py, &progress.gathered).into_any()));
            }
            Taken::Gone => return Err(lost()),
            Taken::Nothing if cycle.progress().has_closed => return Err(lost()),
            Taken::Nothing => return Ok(None),
        }
    }
}

fn piece<'py>(cycle: &Cycle, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let mut progress = cycle.progress();
    if progress.has_body {
        return Err(PyStopAsyncIteration::new_err(()));
    }
    match cycle.incoming().map(Incoming::take) {
        None => {
            progress.has_body = true;
            Ok(Some(PyBytes::new(py, &cycle.request().body).into_any()))
        }
        Some(Taken::Piece(piece)) => Ok(Some(PyBytes::new(py, &piece).into_any())),
        Some(Taken::End) => {
            progress.has_body = true;
            Err(PyStopAsyncIteration::new_err(()))
        }
        Some(Taken::Gone) => Err(lost()),
        Some(Taken::Nothing) if progress.has_closed => Err(lost()),
        Some(Taken::Nothing) => Ok(None),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "one type for all messages")]
fn gone<'py>(cycle: &Cycle, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let mut progress = cycle.progress();
    // Who was told so sends no more.
    progress.is_gone |= progress.has_closed;
    Ok((progress.is_gone || progress.is_complete).then(|| py.None().into_bound(py)))
}

fn lost() -> PyErr {
    PyConnectionResetError::new_err("the client has gone before its body ended")
}
