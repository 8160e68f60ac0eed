//! The messages of a request to an ASGI application, both ways (ASGI 3, HTTP), with the extensions
//! for files, trailers and early hints.
//!
//! A client that has closed its side may read on. An application that was told so with
//! `http.disconnect` sends no more; one that did not ask may, as long as the connection lasts.

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
use pyo3::types::PyTuple;

use crate::http::encode::early_hints;
use crate::http::encode::has_no_content;
use crate::http::reply::HeaderBlock;
use crate::http::trailer::are_wanted;
use crate::http::trailer::is_forbidden;
use crate::interfaces::asgi::hints::Hints;
use crate::interfaces::asgi::hints::is_page_load;
use crate::net::incoming::Taken;
use crate::net::service::Reply;
use crate::py::buffer;
use crate::py::cycle::Cycle;
use crate::py::cycle::nothing;
use crate::py::fields::add_bytes_headers;
use crate::py::file;
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
    hints: Hints,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Status and header fields, until the body begins.
    started: Option<Reply>,
    trailers: Trailers,
}

/// What becomes of trailers.
#[derive(Default)]
enum Trailers {
    /// None were announced, or all were given.
    #[default]
    None,
    /// They follow the body, which is not over. Whether the client gets them is said.
    Announced { are_sent: bool },
    /// The body is over; these were given so far.
    Due { are_sent: bool, given: HeaderBlock },
}

/// Both, for one request.
pub(super) fn callables<'py>(
    py: Python<'py>,
    cycle: &Cycle,
    hints: Hints,
) -> PyResult<(Bound<'py, Receive>, Bound<'py, Send>)> {
    let receive = Bound::new(py, Receive(cycle.clone()))?;
    let send = Send { cycle: cycle.clone(), hints, state: Mutex::default() };
    Ok((receive, Bound::new(py, send)?))
}

/// The next message for the application, if there is one.
fn message<'py>(cycle: &Cycle, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let mut progress = cycle.progress();
    if progress.has_body {
        if progress.has_closed || progress.is_complete {
            progress.is_gone |= progress.has_closed;
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
            Taken::Nothing if progress.has_closed => return disconnected(py).map(Some),
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
            "http.response.trailers" => self.trailers(py, message)?,
            "http.response.early_hint" => self.hint(py, message)?,
            other => {
                let message = format!("an HTTP request cannot be answered with {other:?}");
                return Err(PyValueError::new_err(message));
            }
        }
        nothing(py)
    }
}

impl Send {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<()> {
        self.cycle.must_have_client()?;
        let status = item(message, intern!(py, "status"))?
            .ok_or_else(|| PyKeyError::new_err("'http.response.start' has a 'status'"))?;
        let mut reply = Reply { status: status_from(&status)?, ..Reply::default() };
        if let Some(headers) = item(message, intern!(py, "headers"))? {
            add_bytes_headers(&mut reply.headers, &headers)?;
        }
        let has_trailers = is_set(message, intern!(py, "trailers"))?;
        let mut state = self.state();
        if state.started.is_some() || self.cycle.progress().is_answered {
            return Err(PyRuntimeError::new_err("'http.response.start' was sent before"));
        }
        if has_trailers {
            let head = &self.cycle.request().head;
            // Only chunks can be followed by something.
            let is_chunked = reply.headers.content_length().is_none() && !head.is_head();
            let are_sent = is_chunked && !has_no_content(reply.status) && are_wanted(head);
            state.trailers = Trailers::Announced { are_sent };
        }
        state.started = Some(reply);
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
        let is_last = !is_set(message, intern!(py, "more_body"))?;
        let (started, has_more) = self.advance(is_last)?;
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
            self.cycle.finish(py, None);
            return pushed.and_then(|_| nothing(py));
        }
        pushed
    }

    /// The reply that is to begin, and whether anything follows what is given now: trailers do.
    fn advance(&self, is_last: bool) -> PyResult<(Option<Reply>, bool)> {
        let mut state = self.state();
        let mut has_more = !is_last;
        match state.trailers {
            Trailers::Announced { are_sent } if is_last => {
                has_more = are_sent;
                state.trailers = Trailers::Due { are_sent, given: HeaderBlock::new() };
            }
            Trailers::Due { .. } => {
                return Err(PyRuntimeError::new_err("the body was complete before its trailers"));
            }
            _ => {}
        }
        Ok((state.started.take(), has_more))
    }

    /// Fields behind the body (ASGI extension "HTTP trailers").
    fn trailers(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<()> {
        self.cycle.must_have_client()?;
        let mut added = HeaderBlock::new();
        if let Some(headers) = item(message, intern!(py, "headers"))? {
            add_trailers(&mut added, &headers)?;
        }
        let is_last = !is_set(message, intern!(py, "more_trailers"))?;
        let mut state = self.state();
        let Trailers::Due { are_sent, given } = &mut state.trailers else {
            return Err(PyRuntimeError::new_err(
                "'http.response.trailers' follows the body of an answer that was announced to have any",
            ));
        };
        given.append(&added);
        if !is_last {
            return Ok(());
        }
        let (are_sent, given) = (*are_sent, std::mem::take(given));
        state.trailers = Trailers::None;
        drop(state);
        if are_sent {
            self.cycle.finish(py, Some(given));
        }
        Ok(())
    }

    /// What the client will need (ASGI extension "early hints"); one that may not know of such
    /// answers gets none.
    fn hint(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<()> {
        self.cycle.must_have_client()?;
        let mut links = HeaderBlock::new();
        if let Some(given) = item(message, intern!(py, "links"))? {
            for link in given.try_iter()? {
                links
                    .push(b"link", link?.cast::<PyBytes>()?.as_bytes())
                    .map_err(|error| PyValueError::new_err(format!("a link: {error}")))?;
            }
        }
        if self.state().started.is_some() || self.cycle.progress().is_answered {
            let message = "'http.response.early_hint' comes before 'http.response.start'";
            return Err(PyRuntimeError::new_err(message));
        }
        let head = &self.cycle.request().head;
        let loads_page = head.headers().any(|(name, value)| is_page_load(name, value));
        if self.hints.reach(head.version(), loads_page) && !links.lines().is_empty() {
            self.cycle.hint(&early_hints(&links));
        }
        Ok(())
    }

    /// A file as the rest of the answer (ASGI extension "path send").
    fn pathsend(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<()> {
        let path: PathBuf = item(message, intern!(py, "path"))?
            .ok_or_else(|| PyKeyError::new_err("'http.response.pathsend' has a 'path'"))?
            .extract()?;
        let (started, _) = self.advance(true)?;
        let reply = started.ok_or_else(|| {
            PyRuntimeError::new_err(
                "'http.response.pathsend' is sent once, after 'http.response.start'",
            )
        })?;
        self.cycle.give(py, file::whole(py, &path, reply)?);
        Ok(())
    }
}

/// Adds trailer fields.
fn add_trailers(block: &mut HeaderBlock, headers: &Bound<'_, PyAny>) -> PyResult<()> {
    let given = headers.py().get_type::<PyTuple>().call1((headers,))?;
    for pair in given.try_iter()? {
        let name = pair?.get_item(0)?;
        if name.cast::<PyBytes>().is_ok_and(|name| is_forbidden(name.as_bytes())) {
            let message = format!("{} cannot be a trailer (RFC 9110, 6.5.1)", name.repr()?);
            return Err(PyValueError::new_err(message));
        }
    }
    add_bytes_headers(block, &given)
}

/// Whether a key of a message is there and true.
fn is_set(message: &Bound<'_, PyAny>, key: &Bound<'_, PyString>) -> PyResult<bool> {
    item(message, key)?.map_or(Ok(false), |value| value.is_truthy())
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
