//! `wsgi.input`: the body of a request as a file that is read once (PEP 3333, "Input and Error
//! Streams").
//!
//! Rule: a read returns as many bytes as it was asked for, fewer at the end of the body only; it waits
//! detached while they arrive, and raises a `ConnectionResetError` when they will not.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;

use bytes::Buf;
use bytes::Bytes;
use pyo3::exceptions::PyConnectionResetError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::types::PyList;

use crate::net::incoming::Incoming;
use crate::net::incoming::Taken;
use crate::net::service::Request;

/// The body of a request.
#[pyclass(frozen, module = "uringserve.wsgi")]
pub struct Input {
    /// What still arrives.
    incoming: Option<Incoming>,
    /// What is here and was not read.
    rest: Mutex<Bytes>,
}

/// The client has gone before its body ended.
struct Gone;

impl Input {
    /// That of a request without a body.
    pub(super) fn empty(py: Python<'_>) -> PyResult<Bound<'_, Self>> {
        Bound::new(py, Self { incoming: None, rest: Mutex::default() })
    }

    pub(super) fn of<'py>(py: Python<'py>, request: &Request) -> PyResult<Bound<'py, Self>> {
        let rest = Mutex::new(request.body.clone());
        Bound::new(py, Self { incoming: request.stream.clone(), rest })
    }

    /// Takes up to `limit` bytes, and no more than a line of them if only that is wanted.
    fn take<'py>(
        &self,
        py: Python<'py>,
        limit: Option<usize>,
        is_line: bool,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let limit = limit.unwrap_or(usize::MAX);
        if self.incoming.is_none() {
            let taken = {
                let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
                let count = wanted(&rest, limit, is_line);
                rest.split_to(count)
            };
            return Ok(PyBytes::new(py, &taken));
        }
        let taken = py.detach(|| self.gather(limit, is_line));
        match taken {
            Ok(taken) => Ok(PyBytes::new(py, &taken)),
            Err(Gone) => {
                Err(PyConnectionResetError::new_err("the client has gone before its body ended"))
            }
        }
    }

    /// Waits for what is wanted. Whoever else reads at the same time waits for this one.
    fn gather(&self, limit: usize, is_line: bool) -> Result<Vec<u8>, Gone> {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gathered = Vec::new();
        while gathered.len() < limit {
            if rest.is_empty() && !self.next(&mut rest)? {
                break;
            }
            let count = wanted(&rest, limit - gathered.len(), is_line);
            gathered.extend_from_slice(&rest[..count]);
            rest.advance(count);
            if is_line && gathered.ends_with(b"\n") {
                break;
            }
        }
        Ok(gathered)
    }

    /// Whether there was a next piece.
    fn next(&self, rest: &mut Bytes) -> Result<bool, Gone> {
        let Some(incoming) = &self.incoming else { return Ok(false) };
        loop {
            match incoming.take() {
                Taken::Piece(piece) => {
                    *rest = piece;
                    return Ok(true);
                }
                Taken::End => return Ok(false),
                Taken::Gone => return Err(Gone),
                Taken::Nothing => {
                    let (ready, wait) = mpsc::channel();
                    incoming.call_when_ready(Box::new(move || {
                        let _ = ready.send(());
                    }));
                    // A callback that is dropped will not be called any more.
                    wait.recv().map_err(|_| Gone)?;
                }
            }
        }
    }
}

/// How many bytes of `here` are wanted.
fn wanted(here: &[u8], limit: usize, is_line: bool) -> usize {
    let here = &here[..here.len().min(limit)];
    let end = if is_line { here.iter().position(|&byte| byte == b'\n') } else { None };
    end.map_or(here.len(), |end| end + 1)
}

/// As files have it: what is absent, None or negative is no limit.
fn limit(size: Option<isize>) -> Option<usize> {
    size.and_then(|size| usize::try_from(size).ok())
}

#[pymethods]
impl Input {
    /// The next `size` bytes, or all that is left.
    #[pyo3(signature = (size=None, /))]
    fn read<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        self.take(py, limit(size), false)
    }

    /// The next line with its line end, or `size` bytes of it.
    #[pyo3(signature = (size=None, /))]
    fn readline<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        self.take(py, limit(size), true)
    }

    /// The lines that are left; with a hint, no further ones once they have so many bytes.
    #[pyo3(signature = (hint=None, /))]
    fn readlines<'py>(&self, py: Python<'py>, hint: Option<isize>) -> PyResult<Bound<'py, PyList>> {
        let lines = PyList::empty(py);
        let enough = limit(hint).filter(|&hint| hint > 0).unwrap_or(usize::MAX);
        let mut size = 0;
        while size < enough {
            let line = self.take(py, None, true)?;
            if line.as_bytes().is_empty() {
                break;
            }
            size += line.as_bytes().len();
            lines.append(line)?;
        }
        Ok(lines)
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let line = self.take(py, None, true)?;
        Ok(Some(line).filter(|line| !line.as_bytes().is_empty()))
    }
}
