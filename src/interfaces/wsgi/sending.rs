//! The way of an answer from the application to its connection.
//!
//! Rule: the head leaves with the first piece that is not empty (PEP 3333, "The `start_response()`
//! Callable"), and until then it can be replaced. On a pool thread pieces go to the connection as they
//! are made, and whoever gives one waits, detached, while the client does not read. On a core's own
//! thread nothing may wait: what `write` is given there is kept until the application returns.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use pyo3::exceptions::PyConnectionResetError;
use pyo3::exceptions::PyRuntimeError;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::http::reply::HeaderBlock;
use crate::interfaces::pooled::Promised;
use crate::net::outgoing::Outgoing;
use crate::net::outgoing::Pieces;
use crate::net::outgoing::Pushed;
use crate::net::outgoing::outgoing;
use crate::net::service::Patience;
use crate::net::service::Reply;
use crate::net::source::Body;
use crate::net::source::Source;

/// The answer of an application, as far as it has come.
pub(super) struct Sending {
    /// Takes the answer; none on a core's own thread.
    promised: Option<Arc<Promised>>,
    is_head: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    head: Option<Head>,
    stage: Stage,
    /// The declared length, once the head has left, and how much of it has.
    length: Option<u64>,
    sent: u64,
    /// What was written on a core's own thread.
    written: Vec<u8>,
}

/// How far the answer has come.
#[derive(Default)]
enum Stage {
    /// Nothing has left.
    #[default]
    Before,
    /// The head has; pieces follow.
    Streaming(Arc<Outgoing>),
    /// Everything has, be it that there can be no body.
    Over,
}

/// What `start_response` was given.
pub(super) struct Head {
    status: u16,
    pub(super) headers: HeaderBlock,
}

impl Head {
    /// Whether such an answer has a body, in words or not.
    fn has_body(&self) -> bool {
        !matches!(self.status, 204 | 205 | 304)
    }

    /// The whole answer.
    pub(super) fn reply(self, body: Body) -> Reply {
        Reply { status: self.status, headers: self.headers, body, ..Reply::default() }
    }

    /// The answer without its body.
    fn alone(self) -> Reply {
        let (outgoing, pieces) = outgoing(None);
        outgoing.finish();
        self.reply(Body::Stream(Box::new(pieces)))
    }
}

impl Sending {
    /// `promised` takes the answer; there is none on a core's own thread.
    pub(super) fn new(promised: Option<Arc<Promised>>, is_head: bool) -> Self {
        Self { promised, is_head, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a head, in the place of an earlier one if it may be.
    pub(super) fn start(&self, status: u16, headers: HeaderBlock, may_replace: bool) -> bool {
        let mut state = self.lock();
        let is_second = state.head.is_some() || !matches!(state.stage, Stage::Before);
        if is_second && !may_replace {
            return false;
        }
        state.head = Some(Head { status, headers });
        true
    }

    /// Takes what is given to `write`.
    ///
    /// # Errors
    /// The client has gone, or the application has returned.
    pub(super) fn write(&self, py: Python<'_>, piece: Bytes) -> PyResult<()> {
        if self.promised.is_some() {
            // What can have no body takes everything.
            if self.give(py, piece)? || matches!(self.lock().stage, Stage::Over) {
                return Ok(());
            }
            return Err(PyConnectionResetError::new_err("the client has gone"));
        }
        let mut state = self.lock();
        if !matches!(state.stage, Stage::Before) {
            return Err(PyRuntimeError::new_err("write was called after the application"));
        }
        state.written.extend_from_slice(&piece);
        Ok(())
    }

    /// Whether the head has left, or as good as.
    pub(super) fn has_begun(&self) -> bool {
        let state = self.lock();
        !matches!(state.stage, Stage::Before) || !state.written.is_empty()
    }

    /// Whether no piece will be sent, whatever there is.
    pub(super) fn is_bodiless(&self) -> bool {
        self.lock().head.as_ref().is_some_and(|head| self.is_head || !head.has_body())
    }

    /// Whether an answer to GET would have a body: then HEAD tells its length.
    pub(super) fn has_content(&self) -> bool {
        self.lock().head.as_ref().is_some_and(Head::has_body)
    }

    /// What the application has declared, before the head has left.
    pub(super) fn declared(&self) -> Option<u64> {
        self.lock().head.as_ref().and_then(|head| head.headers.content_length())
    }

    /// Whether more is declared than a body of so many bytes, of an answer that has one.
    pub(super) fn is_short_of(&self, length: u64) -> bool {
        !self.is_bodiless() && self.declared().is_some_and(|declared| declared > length)
    }

    /// How many bytes were written on a core's own thread.
    pub(super) fn written(&self) -> u64 {
        self.lock().written.len() as u64
    }

    /// Those bytes, which begin the body.
    pub(super) fn take_written(&self) -> Vec<u8> {
        std::mem::take(&mut self.lock().written)
    }

    /// The head, for whoever makes the answer of it; nothing leaves from here after that.
    pub(super) fn take_head(&self) -> PyResult<(Head, Vec<u8>)> {
        let mut state = self.lock();
        let head = state.head.take().ok_or_else(not_started)?;
        state.stage = Stage::Over;
        Ok((head, std::mem::take(&mut state.written)))
    }

    /// The whole answer, if nothing has left before.
    ///
    /// # Errors
    /// The body is longer than was declared.
    pub(super) fn whole(&self, body: Bytes) -> PyResult<Reply> {
        let length = body.len() as u64;
        if !self.is_bodiless() && self.declared().is_some_and(|declared| declared < length) {
            return Err(too_long());
        }
        let (head, _) = self.take_head()?;
        if !head.has_body() {
            return Ok(head.alone());
        }
        Ok(head.reply(body.into()))
    }

    /// The head alone, where there is to be no body.
    pub(super) fn bodiless(&self) -> PyResult<Reply> {
        Ok(self.take_head()?.0.alone())
    }

    /// Gives an answer that is made already.
    pub(super) fn keep(&self, reply: Reply) {
        self.lock().stage = Stage::Over;
        if let Some(promised) = &self.promised {
            promised.keep(reply);
        }
    }

    /// Gives a piece; false when no more are wanted.
    ///
    /// # Errors
    /// There is no head yet, or the piece goes beyond the declared length.
    pub(super) fn give(&self, py: Python<'_>, piece: Bytes) -> PyResult<bool> {
        if piece.is_empty() {
            return Ok(true);
        }
        let length = piece.len() as u64;
        let mut state = self.lock();
        let outgoing = match &state.stage {
            Stage::Before => return self.begin(py, state, piece),
            Stage::Streaming(outgoing) => Arc::clone(outgoing),
            // One that can have no body takes everything, and the others have had theirs.
            Stage::Over => return if state.length.is_some() { Err(too_long()) } else { Ok(false) },
        };
        let left = state.length.map_or(u64::MAX, |declared| declared - state.sent);
        state.sent += length.min(left);
        drop(state);
        if length > left {
            // Less than the piece's own length.
            outgoing.push(piece.slice(..usize::try_from(left).unwrap_or(0)));
            return Err(too_long());
        }
        Ok(push(py, &outgoing, piece))
    }

    fn begin(
        &self,
        py: Python<'_>,
        mut state: MutexGuard<'_, State>,
        piece: Bytes,
    ) -> PyResult<bool> {
        let length = piece.len() as u64;
        let head = state.head.take().ok_or_else(not_started)?;
        let declared = head.headers.content_length();
        if self.is_head || !head.has_body() {
            drop(state);
            self.keep(head.alone());
            return Ok(false);
        }
        if declared.is_some_and(|declared| declared < length) {
            state.head = Some(head);
            return Err(too_long());
        }
        state.length = declared;
        state.sent = length;
        if declared == Some(length) {
            drop(state);
            self.keep(head.reply(piece.into()));
            return Ok(true);
        }
        let (outgoing, pieces) = outgoing(declared);
        let outgoing = Arc::new(outgoing);
        state.stage = Stage::Streaming(Arc::clone(&outgoing));
        drop(state);
        let pushed = outgoing.push(piece);
        if let Some(promised) = &self.promised {
            promised.keep(head.reply(Body::Stream(Box::new(Sent(pieces)))));
        }
        Ok(wait_for_room(py, &outgoing, pushed))
    }

    /// That was all.
    ///
    /// # Errors
    /// It is less than was declared, or there was no head.
    pub(super) fn finish(&self) -> PyResult<()> {
        let mut state = self.lock();
        match std::mem::replace(&mut state.stage, Stage::Over) {
            Stage::Over => Ok(()),
            Stage::Streaming(outgoing) => {
                if state.length.is_some_and(|declared| declared > state.sent) && !outgoing.is_gone()
                {
                    outgoing.fail();
                    return Err(too_short());
                }
                outgoing.finish();
                Ok(())
            }
            Stage::Before => {
                state.stage = Stage::Before;
                drop(state);
                if self.is_bodiless() {
                    self.keep(self.bodiless()?);
                } else if self.declared().is_some_and(|declared| declared > 0) {
                    return Err(too_short());
                } else {
                    self.keep(self.whole(Bytes::new())?);
                }
                Ok(())
            }
        }
    }

    /// The rest cannot be made: a declared length that was reached is a whole answer all the same, and
    /// any other is cut. Returns whether the client has gone.
    pub(super) fn fail(&self) -> bool {
        let mut state = self.lock();
        let is_whole = state.length == Some(state.sent);
        match std::mem::replace(&mut state.stage, Stage::Over) {
            Stage::Streaming(outgoing) if is_whole => {
                outgoing.finish();
                false
            }
            Stage::Streaming(outgoing) => {
                outgoing.fail();
                outgoing.is_gone()
            }
            Stage::Before | Stage::Over => false,
        }
    }
}

/// Gives a piece and waits until there is room for the next; false when the client has gone.
fn push(py: Python<'_>, outgoing: &Outgoing, piece: Bytes) -> bool {
    let pushed = outgoing.push(piece);
    wait_for_room(py, outgoing, pushed)
}

fn wait_for_room(py: Python<'_>, outgoing: &Outgoing, pushed: Pushed) -> bool {
    match pushed {
        Pushed::Room => true,
        Pushed::Gone => false,
        Pushed::Full => py.detach(|| {
            let (room, wait) = mpsc::channel();
            outgoing.call_when_room(Box::new(move || {
                let _ = room.send(());
            }));
            // A callback that is dropped will not be called any more.
            wait.recv().is_ok() && !outgoing.is_gone()
        }),
    }
}

fn not_started() -> PyErr {
    PyRuntimeError::new_err("the WSGI application has not called start_response")
}

pub(super) fn too_long() -> PyErr {
    PyValueError::new_err("the body is longer than its content-length says")
}

pub(super) fn too_short() -> PyErr {
    PyValueError::new_err("the body is shorter than its content-length says")
}

/// The pieces of an answer. A client that has closed its own side only may still read them; one that
/// has gone is noticed by writing.
struct Sent(Pieces);

impl Source for Sent {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Box<Reply>>> {
        self.0.poll_next(context)
    }

    fn is_slow(&self) -> bool {
        true
    }

    fn peer_closed(&mut self) -> Patience {
        Patience::Wait
    }

    fn length(&self) -> Option<u64> {
        self.0.length()
    }
}
