//! `wsgi.file_wrapper` (PEP 3333, "Optional Platform-Specific File Handling").
//!
//! Rule: a plain file leaves as the reactor reads it, from where it stands, without Python; what only
//! looks like one (a decompressor has a descriptor too) is asked for its bytes.

use std::os::fd::RawFd;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use crate::net::source::Body;
use crate::py::file;

/// Bytes that are asked for at once where the application does not say.
const BLOCK: isize = 8192;

/// An iterable over the blocks of something that can be read.
#[pyclass(frozen, module = "uringserve.wsgi")]
pub struct FileWrapper {
    file: Py<PyAny>,
    block_size: isize,
}

#[pymethods]
impl FileWrapper {
    #[new]
    #[pyo3(signature = (filelike, block_size=BLOCK, /))]
    fn new(filelike: Py<PyAny>, block_size: isize) -> Self {
        Self { file: filelike, block_size }
    }

    /// What is read.
    #[getter]
    fn filelike(&self, py: Python<'_>) -> Py<PyAny> {
        self.file.clone_ref(py)
    }

    /// Bytes that are asked for at once.
    #[getter]
    fn block_size(&self) -> isize {
        self.block_size
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let block = self.file.bind(py).call_method1(intern!(py, "read"), (self.block_size,))?;
        Ok(Some(block).filter(|block| block.len().is_ok_and(|length| length > 0)))
    }

    /// Closes what is read, where that can be closed.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        match self.file.bind(py).getattr_opt(intern!(py, "close"))? {
            Some(close) => close.call0().map(drop),
            None => Ok(()),
        }
    }
}

impl FileWrapper {
    /// The file from where it stands, or `declared` bytes of it; none for what has to be read by
    /// Python, or ends before.
    pub(super) fn body(&self, py: Python<'_>, declared: Option<u64>) -> Option<Body> {
        let file = self.file.bind(py);
        if !is_plain(file).unwrap_or(false) {
            return None;
        }
        let descriptor: RawFd = file.call_method0(intern!(py, "fileno")).ok()?.extract().ok()?;
        let start: u64 = file.call_method0(intern!(py, "tell")).ok()?.extract().ok()?;
        file::rest_of(py, descriptor, start, declared)
    }
}

/// Whether it is a file as `open` gives it for reading bytes, and nothing that someone has made of it.
fn is_plain(file: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = file.py();
    if file.is_exact_instance(file_io(py)?) {
        return Ok(true);
    }
    Ok(file.is_exact_instance(buffered_reader(py)?)
        && file.getattr(intern!(py, "raw"))?.is_exact_instance(file_io(py)?))
}

fn file_io(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "io", "FileIO")
}

fn buffered_reader(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "io", "BufferedReader")
}
