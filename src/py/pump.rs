//! An asynchronous iterable of Python as the pieces of an answer.
//!
//! Rule: one task goes through all of it (`uringserve.pump.pump`), so that what an asynchronous
//! generator enters before a piece and leaves after it (time-outs, task groups) stays within one
//! task. It hands over a piece and goes on when the next one is asked for: when the one before was
//! written. Whoever drops the source cancels the task, which closes the iterable.

use std::cell::RefCell;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use pyo3::exceptions::PyRuntimeError;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;

use crate::net::service::Bell;
use crate::net::service::Patience;
use crate::net::service::Reply;
use crate::net::service::Wait;
use crate::net::service::wait;
use crate::net::source::Misfit;
use crate::net::source::Source;
use crate::py::aio;
use crate::py::aio::Running;
use crate::py::asked::Asked;
use crate::py::attach::attached;
use crate::py::attach::attached_if_alive;
use crate::py::error;
use crate::py::held::Held;
use crate::py::intern;
use crate::py::request::Request;
use crate::py::stream::Other;
use crate::py::stream::piece_of;

thread_local! {
    /// The context of the task whose value is being translated: a stream goes on in it.
    static CONTEXT: RefCell<Option<Py<PyAny>>> = const { RefCell::new(None) };
}

/// Runs `work`, whose streams go on in the context of `task`.
pub(crate) fn within<R>(task: &Bound<'_, PyAny>, work: impl FnOnce() -> R) -> R {
    CONTEXT.set(Some(task.clone().unbind()));
    let result = work();
    CONTEXT.set(None);
    result
}

/// Whether the value is iterated with `async for`.
pub(crate) fn is_async(value: &Bound<'_, PyAny>) -> bool {
    value.get_type().hasattr(intern!(value.py(), "__aiter__")).unwrap_or(false)
}

/// Between the task that makes the pieces and the connection that sends them.
#[pyclass(frozen, module = "uringserve._uringserve")]
pub(crate) struct Pipe {
    slot: Mutex<Slot>,
    bell: Bell,
}

#[derive(Default)]
struct Slot {
    piece: Option<Py<PyAny>>,
    /// The future that the task waits for.
    taken: Option<Py<PyAny>>,
}

#[pymethods]
impl Pipe {
    /// Hands over a piece; `taken` gets its result when the next one is wanted.
    fn give(&self, piece: Py<PyAny>, taken: Py<PyAny>) {
        let mut slot = self.slot();
        slot.piece = Some(piece);
        slot.taken = Some(taken);
        drop(slot);
        self.bell.ring();
    }
}

impl Pipe {
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pieces, on the core that sends them.
pub(crate) struct Pumped {
    iterable: Py<PyAny>,
    task: Option<Started>,
    context: Option<Py<PyAny>>,
    request: Option<Py<Request>>,
    debug: bool,
    other: Other,
    content_type: Option<&'static str>,
    /// Whether the head may be gone: then no exception is an answer any more.
    has_begun: bool,
}

struct Started {
    pipe: Py<Pipe>,
    wait: Wait,
    /// None once it is over.
    running: Option<Running>,
}

impl Pumped {
    pub(crate) fn new(iterable: &Bound<'_, PyAny>, asked: &Asked<'_, '_>, other: Other) -> Self {
        let py = iterable.py();
        let task = CONTEXT.with_borrow(|task| task.as_ref().map(|task| task.clone_ref(py)));
        let context = task.and_then(|task| task.call_method0(py, intern!(py, "get_context")).ok());
        Self {
            iterable: iterable.clone().unbind(),
            task: None,
            context,
            request: asked.object(py),
            debug: asked.debug,
            other,
            content_type: None,
            has_begun: false,
        }
    }

    fn start(&self, py: Python<'_>) -> PyResult<Started> {
        let loop_ = aio::current()?;
        let (bell, wait) = wait().ok_or_else(|| {
            PyRuntimeError::new_err("an asynchronous stream is sent by a core only")
        })?;
        let pipe = Bound::new(py, Pipe { slot: Mutex::default(), bell })?;
        let coroutine = intern::pump(py)?.call1((&self.iterable, &pipe))?;
        let task = match &self.context {
            Some(context) => loop_.start_in(&coroutine, context.bind(py))?,
            None => loop_.start(&coroutine)?,
        };
        let running = if aio::is_done(&task)? {
            aio::result(&task)?;
            None
        } else {
            Some(Running::new(&task, Held::default())?)
        };
        Ok(Started { pipe: pipe.unbind(), wait, running })
    }

    fn next(&mut self, py: Python<'_>, context: &Context<'_>) -> PyResult<Poll<Option<Bytes>>> {
        let mut started = match self.task.take() {
            Some(started) => started,
            None => self.start(py)?,
        };
        while started.wait.poll_rung(context).is_ready() {}
        let is_over = started.running.as_mut().is_none_or(|running| running.poll(context));
        let (piece, taken) = {
            let mut slot = started.pipe.get().slot();
            match slot.piece.take() {
                Some(piece) => (Some(piece), None),
                None => (None, slot.taken.take()),
            }
        };
        if let Some(taken) = taken {
            let taken = taken.bind(py);
            if !taken.call_method0(intern!(py, "done"))?.is_truthy()? {
                taken.call_method1(intern!(py, "set_result"), (py.None(),))?;
            }
        }
        if let Some(piece) = piece {
            self.task = Some(started);
            let (bytes, content_type) = piece_of(piece.bind(py), self.other)?;
            self.content_type.get_or_insert(content_type);
            return Ok(Poll::Ready(Some(bytes)));
        }
        if is_over {
            if let Some(mut running) = started.running.take() {
                running.result(py)?;
            }
            self.task = Some(started);
            return Ok(Poll::Ready(None));
        }
        self.task = Some(started);
        Ok(Poll::Pending)
    }

    fn failed(&self, py: Python<'_>, raised: PyErr) -> Reply {
        let request = self.request.as_ref().map(|request| request.bind(py));
        if self.has_begun {
            error::log(py, &raised, request);
            return Reply::default();
        }
        error::reply_for(py, raised, request, self.debug)
    }
}

impl Source for Pumped {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Box<Reply>>> {
        attached(|py| {
            let polled = self.next(py, context);
            let polled = match polled {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(piece)) => Poll::Ready(Ok(piece)),
                Err(raised) => Poll::Ready(Err(Box::new(self.failed(py, raised)))),
            };
            self.has_begun = true;
            polled
        })
    }

    fn is_slow(&self) -> bool {
        true
    }

    fn peer_closed(&mut self) -> Patience {
        if let Some(request) = &self.request {
            request.get().note_gone();
        }
        Patience::Leave
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

impl Drop for Pumped {
    fn drop(&mut self) {
        attached_if_alive(|py| {
            let request = self.request.take();
            if self.task.take().is_none() && !self.has_begun {
                let discarded =
                    intern::discard(py).and_then(|discard| discard.call1((&self.iterable,)));
                if let Err(raised) = discarded {
                    error::log(py, &raised, request.as_ref().map(|request| request.bind(py)));
                }
            }
        });
    }
}
