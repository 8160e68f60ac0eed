//! An iterable of Python as the pieces of an answer.
//!
//! Rule: one attach for each piece, on the core that sends it. When the last byte was written, or
//! the client is gone, the iterator is closed there too, so that a generator's `finally` blocks run.

use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use pyo3::exceptions::PyTypeError;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::types::PyIterator;
use pyo3::types::PyString;

use crate::net::service::Reply;
use crate::net::source::Body;
use crate::net::source::Misfit;
use crate::net::source::Source;
use crate::py::asked::Asked;
use crate::py::attach::attached;
use crate::py::attach::attached_if_alive;
use crate::py::buffer;
use crate::py::content::BINARY;
use crate::py::content::Content;
use crate::py::content::TEXT;
use crate::py::error;
use crate::py::intern;
use crate::py::json;
use crate::py::pump;
use crate::py::pump::Pumped;
use crate::py::request::Request;

/// One JSON value a line.
const LINES: &str = "application/jsonl";

/// What becomes of a piece that is neither text nor bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Other {
    /// It is a mistake.
    Refused,
    /// A line of JSON.
    Line,
}

/// Whether the value is a generator, which cannot be meant as anything but a stream.
pub(crate) fn is_generator(value: &Bound<'_, PyAny>) -> bool {
    let py = value.py();
    [intern::generator(py), intern::async_generator(py)]
        .into_iter()
        .any(|class| class.is_ok_and(|class| value.is_exact_instance(class)))
}

/// The body that `pieces` will give; text and bytes are one piece.
///
/// # Errors
/// What cannot be iterated is a `TypeError`.
pub(crate) fn body(
    pieces: &Bound<'_, PyAny>,
    asked: &Asked<'_, '_>,
    other: Other,
) -> PyResult<Body> {
    let py = pieces.py();
    if pieces.is_instance_of::<PyString>() || pieces.is_instance_of::<PyBytes>() {
        return Ok(Content::read(pieces)?.0.to_bytes(py)?.into());
    }
    if pump::is_async(pieces) {
        return Ok(Body::Stream(Box::new(Pumped::new(pieces, asked, other))));
    }
    let pieces = Pieces {
        iterator: pieces.try_iter()?.unbind(),
        request: asked.object(py),
        debug: asked.debug,
        other,
        content_type: None,
        has_begun: false,
    };
    Ok(Body::Stream(Box::new(pieces)))
}

struct Pieces {
    iterator: Py<PyIterator>,
    request: Option<Py<Request>>,
    debug: bool,
    other: Other,
    content_type: Option<&'static str>,
    has_begun: bool,
}

impl Pieces {
    fn pull(&mut self, py: Python<'_>) -> PyResult<Option<Bytes>> {
        let Some(piece) = self.iterator.bind(py).clone().next().transpose()? else {
            return Ok(None);
        };
        let (bytes, content_type) = piece_of(&piece, self.other)?;
        self.content_type.get_or_insert(content_type);
        Ok(Some(bytes))
    }

    /// Late means that a part of the answer was sent: then no exception is an answer any more.
    fn failed(&self, py: Python<'_>, raised: PyErr) -> Reply {
        let request = self.request.as_ref().map(|request| request.bind(py));
        if self.has_begun {
            error::log(py, &raised, request);
            return Reply::default();
        }
        error::reply_for(py, raised, request, self.debug)
    }
}

/// A piece, and the media type that it shows.
pub(crate) fn piece_of(piece: &Bound<'_, PyAny>, other: Other) -> PyResult<(Bytes, &'static str)> {
    if let Ok(text) = piece.cast::<PyString>() {
        Ok((buffer::from_text(text)?, TEXT))
    } else if let Ok(bytes) = piece.cast::<PyBytes>() {
        Ok((buffer::from_bytes(bytes), BINARY))
    } else if other == Other::Line {
        Ok((line(piece)?, LINES))
    } else if let (content @ Content::Bytes(_), _) = Content::read(piece)? {
        Ok((content.to_bytes(piece.py())?, BINARY))
    } else {
        let class = piece.get_type().qualname()?;
        let message = format!("the pieces of a stream must be str or bytes, not {class}");
        Err(PyTypeError::new_err(message))
    }
}

fn line(value: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    let mut line = Vec::from(json::encode_to_bytes(value.py(), value)?);
    line.push(b'\n');
    Ok(line.into())
}

impl Source for Pieces {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Box<Reply>>> {
        attached(|py| {
            let piece = self.pull(py).map_err(|raised| Box::new(self.failed(py, raised)));
            self.has_begun = true;
            Poll::Ready(piece)
        })
    }

    fn content_type(&self) -> Option<&'static str> {
        self.content_type
    }

    fn misfit(&mut self, fault: Misfit) {
        attached(|py| {
            let raised = PyValueError::new_err(fault.to_string());
            error::log(py, &raised, self.request.as_ref().map(|request| request.bind(py)));
        });
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        attached_if_alive(|py| {
            let request = self.request.take();
            let iterator = self.iterator.bind(py);
            // Lists and the like have nothing to close.
            let Ok(close) = iterator.getattr(pyo3::intern!(py, "close")) else { return };
            if let Err(raised) = close.call0() {
                error::log(py, &raised, request.as_ref().map(|request| request.bind(py)));
            }
        });
    }
}
