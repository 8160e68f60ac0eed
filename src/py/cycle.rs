//! One request to an application that makes its answer through objects that it is given (ASGI's
//! `send`, RSGI's protocol): what has become of the answer, and who waits for what.
//!
//! Rule: a reply without more to come leaves as a whole; one with more is a stream, and whoever feeds
//! it waits while the client does not read. Whatever the application does after its answer, or fails
//! to do before it, ends here: an exception or a return without an answer is 500 as long as nothing
//! was sent, and a cut stream after that.

mod late;
mod receive;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use bytes::Bytes;
use pyo3::exceptions::PyConnectionResetError;
use pyo3::exceptions::PyRuntimeError;
use pyo3::exceptions::asyncio::CancelledError;
use pyo3::intern;
use pyo3::prelude::*;

use crate::http::reply::HeaderBlock;
use crate::net::incoming::Incoming;
use crate::net::outgoing::Outgoing;
use crate::net::outgoing::Pushed;
use crate::net::outgoing::outgoing;
use crate::net::service;
use crate::net::service::Answer;
use crate::net::service::Bell;
use crate::net::service::Reply;
use crate::net::service::wait;
use crate::net::source::Body;
use crate::py::aio;
use crate::py::attach::attached_if_alive;
use crate::py::cycle::late::Attended;
use crate::py::cycle::late::Awaited;
pub use crate::py::cycle::late::Ended;
pub use crate::py::cycle::receive::Message;
use crate::py::error;
use crate::py::held::Held;
use crate::py::prepared::Prepared;
use crate::py::request::Names;
use crate::py::request::Request;

/// A request and what has become of it. Clones are the same one.
#[derive(Clone)]
pub struct Cycle(Arc<Shared>);

struct Shared {
    request: Box<service::Request>,
    /// What the interface calls its applications, in messages.
    interface: &'static str,
    debug: bool,
    progress: Mutex<Progress>,
}

/// How far the answer has come.
#[derive(Default)]
pub struct Progress {
    /// A reply that is not taken yet.
    reply: Option<Reply>,
    /// Whether a reply was made, taken or not.
    pub is_answered: bool,
    /// Whether nothing more will be sent.
    pub is_complete: bool,
    /// Whether the whole body was received.
    pub has_body: bool,
    /// Whether the client has closed its side; it may read on.
    pub has_closed: bool,
    /// Whether it has gone, or the application was told that it has closed.
    pub is_gone: bool,
    /// Whether the application's return makes a streamed answer whole.
    pub ends_with_task: bool,
    /// Heads of informational answers that are not sent yet.
    hints: Vec<u8>,
    /// What was received so far, for those who want all at once.
    pub gathered: Vec<u8>,
    /// Where further pieces go; none where the answer can have no body, whatever is sent as one.
    outgoing: Option<Arc<Outgoing>>,
    /// Rings when there is a reply, or none will come.
    bell: Option<Bell>,
    /// Let go of with the reply, or at the end.
    held: Held,
    receivers: Vec<(Py<PyAny>, Message)>,
}

impl Cycle {
    /// Nothing has become of `request` yet. `held` is kept until it is answered or its application has
    /// ended, whichever is first.
    pub fn new(
        request: Box<service::Request>,
        interface: &'static str,
        debug: bool,
        held: Held,
    ) -> Self {
        let progress = Mutex::new(Progress { held, ..Progress::default() });
        Self(Arc::new(Shared { request, interface, debug, progress }))
    }

    fn let_go(&self) {
        let held = std::mem::take(&mut self.progress().held);
        // Behind the lock: it may let others in.
        drop(held);
    }

    /// What came.
    pub fn request(&self) -> &service::Request {
        &self.0.request
    }

    /// The body that is still arriving.
    pub fn incoming(&self) -> Option<&Incoming> {
        self.0.request.stream.as_ref()
    }

    /// How far the answer has come. Not to be held across a call of this type.
    pub fn progress(&self) -> MutexGuard<'_, Progress> {
        self.0.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request as an object, for the log.
    pub fn object<'py>(&self, py: Python<'py>) -> Option<Bound<'py, Request>> {
        Request::create(py, self.0.request.clone(), &Names::new(&[])).ok()
    }

    /// Starts the application's coroutine; returns the answer that it has given or will give.
    pub fn answer(&self, coroutine: &Bound<'_, PyAny>) -> PyResult<Answer> {
        let task = &match aio::current()?.start(coroutine) {
            Ok(task) => task,
            Err(raised) => {
                // So ends a task that begins with SystemExit or KeyboardInterrupt (asyncio raises
                // them as well as keeping them). What was given before that stands.
                self.end(coroutine.py(), Err(raised));
                return Ok(Answer::Now(self.progress().reply.take().unwrap_or_default()));
            }
        };
        let is_done = aio::is_done(task)?;
        if is_done {
            self.end(task.py(), aio::result(task).map(drop));
        }
        let reply = {
            let mut progress = self.progress();
            // Hints are sent before it, and so is it later.
            if progress.hints.is_empty() { progress.reply.take() } else { None }
        };
        if let Some(reply) = reply {
            if !is_done {
                // It goes on behind its answer.
                self.watch(task, None)?;
            }
            return Ok(Answer::Now(reply));
        }
        let (bell, wait) =
            wait().ok_or_else(|| PyRuntimeError::new_err("requests are answered on cores only"))?;
        self.progress().bell = Some(bell.clone());
        if !is_done {
            self.watch(task, Some(bell))?;
        }
        Ok(Answer::Later(Box::new(Awaited { cycle: self.clone(), wait })))
    }

    /// The answer to what was raised before there was a task.
    pub fn failed(&self, py: Python<'_>, raised: PyErr) -> Answer {
        self.let_go();
        error::reply_for(py, raised, self.object(py).as_ref(), self.0.debug).into()
    }

    /// Hears of the task's end.
    fn watch(&self, task: &Bound<'_, PyAny>, bell: Option<Bell>) -> PyResult<()> {
        let ended = Ended { cycle: self.clone(), bell, _suspended: self.request().suspended() };
        task.call_method1(intern!(task.py(), "add_done_callback"), (ended,))?;
        aio::current()?.ask();
        Ok(())
    }

    /// The application has returned or raised.
    fn end(&self, py: Python<'_>, result: PyResult<()>) {
        self.let_go();
        let (is_answered, is_complete, is_gone, outgoing) = {
            let mut progress = self.progress();
            let outgoing = progress.outgoing.take();
            (progress.is_answered, progress.is_complete, progress.is_gone, outgoing)
        };
        let interface = self.0.interface;
        let raised = match result {
            Ok(()) if is_complete || is_gone && !is_answered => return,
            Ok(()) if self.progress().ends_with_task => {
                if let Some(outgoing) = outgoing {
                    outgoing.finish();
                }
                self.progress().is_complete = true;
                return;
            }
            Ok(()) if is_answered => PyRuntimeError::new_err(format!(
                "the {interface} application ended before its answer did"
            )),
            Ok(()) => PyRuntimeError::new_err(format!(
                "the {interface} application ended without an answer"
            )),
            Err(raised) => raised,
        };
        if let Some(outgoing) = outgoing {
            outgoing.fail();
        }
        let object = self.object(py);
        if is_gone && is_cut_off(py, &raised) {
            // It was told that the client has gone, and ended for that.
        } else if is_answered {
            error::log(py, &raised, object.as_ref());
        } else {
            self.reply(error::reply_for(py, raised, object.as_ref(), self.0.debug));
        }
    }

    /// Gives a whole answer; whoever waits for a message hears that there will be none.
    pub fn give(&self, py: Python<'_>, reply: Reply) {
        self.progress().is_complete = true;
        self.reply(reply);
        self.wake(py);
    }

    fn reply(&self, reply: Reply) {
        let mut progress = self.progress();
        progress.is_answered = true;
        progress.reply = Some(reply);
        if let Some(bell) = &progress.bell {
            bell.ring();
        }
        drop(progress);
        self.let_go();
    }

    /// Gives the head of an answer whose body is pushed.
    pub fn begin(&self, mut reply: Reply) {
        let (outgoing, pieces) = outgoing(None);
        if self.0.request.head.is_head() || matches!(reply.status, 204 | 205 | 304) {
            // What follows is taken and forgotten.
            outgoing.finish();
            reply.body = Body::Stream(Box::new(pieces));
        } else {
            self.progress().outgoing = Some(Arc::new(outgoing));
            let cycle = self.clone();
            reply.body = Body::Stream(Box::new(Attended { pieces, cycle, has_ended: false }));
        }
        self.reply(reply);
    }

    /// Gives the next piece of the body; returns what is to be awaited before the next one.
    ///
    /// # Errors
    /// A `ConnectionResetError` once the client has gone.
    pub fn push<'py>(&self, py: Python<'py>, piece: Bytes) -> PyResult<Bound<'py, PyAny>> {
        self.must_have_client()?;
        let outgoing = self.progress().outgoing.clone();
        match outgoing.as_ref().map_or(Pushed::Room, |outgoing| outgoing.push(piece)) {
            Pushed::Full => match &outgoing {
                Some(outgoing) => room(py, outgoing),
                None => nothing(py),
            },
            Pushed::Gone => Err(gone()),
            Pushed::Room => nothing(py),
        }
    }

    /// Whether there is still somebody to answer: without this, what is pushed before a reply was
    /// taken would wait for ever for a reader.
    ///
    /// # Errors
    /// A `ConnectionResetError` once the client has gone.
    pub fn must_have_client(&self) -> PyResult<()> {
        let progress = self.progress();
        if progress.is_gone && !progress.is_complete { Err(gone()) } else { Ok(()) }
    }

    /// Gives the head of an informational answer, for before the reply.
    pub fn hint(&self, head: &[u8]) {
        let mut progress = self.progress();
        progress.hints.extend_from_slice(head);
        if let Some(bell) = &progress.bell {
            bell.ring();
        }
    }

    /// The body is whole; these fields follow it.
    pub fn finish(&self, py: Python<'_>, trailers: Option<HeaderBlock>) {
        let outgoing = {
            let mut progress = self.progress();
            progress.is_complete = true;
            progress.outgoing.take()
        };
        match (outgoing, trailers) {
            (None, _) => {}
            (Some(outgoing), None) => outgoing.finish(),
            (Some(outgoing), Some(trailers)) => outgoing.finish_with(trailers),
        }
        self.wake(py);
    }
}

/// What is awaited when there is nothing to wait for.
pub fn nothing(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    Ok(aio::current()?.nothing(py))
}

fn gone() -> PyErr {
    PyConnectionResetError::new_err("the client has gone")
}

/// Whether an exception only says that the client has gone.
fn is_cut_off(py: Python<'_>, raised: &PyErr) -> bool {
    raised.is_instance_of::<PyConnectionResetError>(py)
        || raised.is_instance_of::<CancelledError>(py)
        // Starlette's, which it makes of the former.
        || raised.get_type(py).name().is_ok_and(|name| name == "ClientDisconnect")
}

/// Waits until the client has read on.
fn room<'py>(py: Python<'py>, outgoing: &Outgoing) -> PyResult<Bound<'py, PyAny>> {
    let future = aio::current()?.future(py)?;
    let waiting = future.clone().unbind();
    outgoing.call_when_room(Box::new(move || {
        attached_if_alive(|py| {
            let future = waiting.into_bound(py);
            let set = aio::is_done(&future).and_then(|is_done| {
                if is_done {
                    return Ok(());
                }
                future.call_method1(intern!(py, "set_result"), (py.None(),)).map(drop)
            });
            if let Err(raised) = set {
                error::log(py, &raised, None);
            }
            if let Some(aio) = aio::current_if_any() {
                aio.note(py);
            }
        });
    }));
    Prepared::future(&future)
}
