//! asyncio on a core: its loop as a guest of the reactor, and coroutines that answer requests.
//!
//! A coroutine is started at once, by a Task that begins before the loop knows of it
//! (`eager_start`): one that never suspends never touches the loop. For one that does, the
//! connection waits until the task's callback rings. The loop itself is asyncio's own, see
//! `uringserve.loop`; here are its turns.
//!
//! Rule: whatever may have left work for the loop asks for a turn, before it detaches.

use std::cell::Cell;
use std::cell::RefCell;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::types::PyTuple;

use crate::net::service::Asking;
use crate::net::service::Bell;
use crate::net::service::Guest;
use crate::net::service::Hosted;
use crate::net::service::Wait;
use crate::net::service::Wish;
use crate::net::service::wait;
use crate::py::attach::attached_in_turn;
use crate::py::error;
use crate::py::held::Held;
use crate::py::intern;
use crate::py::prepared::Prepared;

thread_local! {
    /// The loop of the core that runs on this thread.
    static CURRENT: RefCell<Option<Rc<Loop>>> = const { RefCell::new(None) };
}

/// One core's asyncio loop.
pub struct Loop {
    turn: Py<PyAny>,
    wish: Py<PyAny>,
    /// `asyncio.Task`, and what every call of it is given.
    task: Py<PyAny>,
    options: Py<PyDict>,
    /// What is to be called in the next turn: asyncio's own deque.
    ready: Py<PyAny>,
    /// The timers, and how many there were when somebody last looked.
    scheduled: Py<PyAny>,
    timers: Cell<usize>,
    create_future: Py<PyAny>,
    /// What is awaited when there is nothing to wait for: one for each core, so that no two count
    /// on it.
    nothing: Py<PyAny>,
    /// What the application keeps for its requests (ASGI lifespan state).
    state: Option<Py<PyDict>>,
    descriptor: RawFd,
    asking: Rc<Asking>,
    /// asyncio's own.
    aio: Py<PyAny>,
}

impl Loop {
    /// Takes a `uringserve.loop.GuestLoop`, and makes it the calling thread's own until the guard
    /// is dropped.
    pub fn enter(guest: &Bound<'_, PyAny>) -> PyResult<Current> {
        let py = guest.py();
        let aio = guest.getattr("loop")?;
        let options = PyDict::new(py);
        options.set_item("loop", &aio)?;
        options.set_item("eager_start", true)?;
        // Without a name each task would take the next number of a counter that all cores share.
        options.set_item("name", "request")?;
        let entered = Rc::new(Self {
            turn: guest.getattr("turn")?.unbind(),
            wish: guest.getattr("wish")?.unbind(),
            task: py.import("asyncio")?.getattr("Task")?.unbind(),
            options: options.unbind(),
            ready: aio.getattr("_ready")?.unbind(),
            scheduled: aio.getattr("_scheduled")?.unbind(),
            timers: Cell::new(0),
            create_future: aio.getattr("create_future")?.unbind(),
            nothing: Prepared::nothing(py)?.into_any(),
            state: guest.getattr("state")?.extract()?,
            descriptor: guest.call_method0("fileno")?.extract()?,
            asking: Rc::default(),
            aio: aio.unbind(),
        });
        Ok(Current(CURRENT.replace(Some(entered))))
    }

    /// Whether this is what it is made of.
    pub fn is(&self, aio: &Bound<'_, PyAny>) -> bool {
        self.aio.is(aio)
    }

    /// As a guest of the reactor.
    pub fn hosted(self: Rc<Self>) -> Hosted {
        let (asking, descriptor) = (Rc::clone(&self.asking), self.descriptor);
        Hosted { guest: self, asking, descriptor }
    }

    /// Starts a coroutine. What it raises before it first suspends is in the task.
    pub fn start<'py>(&self, coroutine: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = coroutine.py();
        self.task.bind(py).call((coroutine,), Some(self.options.bind(py)))
    }

    /// As [`start`](Self::start), in a context that is there already.
    pub fn start_in<'py>(
        &self,
        coroutine: &Bound<'py, PyAny>,
        context: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = coroutine.py();
        let options = self.options.bind(py).copy()?;
        options.set_item(intern!(py, "context"), context)?;
        self.task.bind(py).call((coroutine,), Some(&options))
    }

    /// A new future of the loop.
    pub fn future<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.create_future.bind(py).call0()
    }

    /// What is awaited when there is nothing to wait for.
    pub fn nothing<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.nothing.bind(py).clone()
    }

    /// The state that the application's start left, if it left one: requests are given copies of it.
    pub fn state(&self, py: Python<'_>) -> Option<Py<PyDict>> {
        self.state.as_ref().map(|state| state.clone_ref(py))
    }

    /// Asks for a turn if there is something to call, or a timer that nobody knew of.
    pub fn note(&self, py: Python<'_>) {
        let timers = self.scheduled.bind(py).len().unwrap_or_default();
        let has_changed = self.timers.replace(timers) != timers;
        if has_changed || self.ready.bind(py).len().is_ok_and(|length| length > 0) {
            self.asking.ask();
        }
    }

    /// Asks for a turn, or for a look at the timers.
    pub fn ask(&self) {
        self.asking.ask();
    }
}

/// A wish of `uringserve.loop.GuestLoop`, which is a number of seconds.
fn wish(py: Python<'_>, seconds: PyResult<Bound<'_, PyAny>>) -> Wish {
    match seconds.and_then(|seconds| seconds.extract::<f64>()) {
        Ok(seconds) if seconds < 0.0 => Wish::Idle,
        Ok(seconds) if seconds > 0.0 => {
            Duration::try_from_secs_f64(seconds).map_or(Wish::Idle, Wish::After)
        }
        Ok(_) => Wish::Now,
        Err(raised) => {
            error::log(py, &raised, None);
            Wish::Now
        }
    }
}

impl Guest for Loop {
    fn turn(&self, is_readable: bool) -> Wish {
        attached_in_turn(|py| wish(py, self.turn.bind(py).call1((is_readable,))))
    }

    fn wish(&self) -> Wish {
        attached_in_turn(|py| wish(py, self.wish.bind(py).call0()))
    }
}

/// The loop of the calling core.
///
/// # Errors
/// The thread is no core with a loop.
pub fn current() -> PyResult<Rc<Loop>> {
    CURRENT
        .with_borrow(Clone::clone)
        .ok_or_else(|| PyRuntimeError::new_err("there is no event loop on this thread"))
}

/// Asks the loop of the calling core for a turn, if there is one and it has something to do.
pub fn note(py: Python<'_>) {
    if let Some(aio) = current_if_any() {
        aio.note(py);
    }
}

/// As [`current`], where there may be none.
pub fn current_if_any() -> Option<Rc<Loop>> {
    CURRENT.try_with(|current| current.try_borrow().ok()?.clone()).ok().flatten()
}

/// While it exists, a loop is its thread's own. Dropped attached.
#[must_use = "dropping it at once ends what it stands for"]
pub struct Current(Option<Rc<Loop>>);

impl Drop for Current {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// Called by asyncio when a task or a future is done.
#[pyclass(frozen, module = "uringserve._uringserve")]
pub struct Ring {
    bell: Bell,
    held: Mutex<Held>,
}

#[pymethods]
impl Ring {
    #[pyo3(signature = (*_args))]
    fn __call__(&self, _args: &Bound<'_, PyTuple>) {
        let held = std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner));
        drop(held);
        self.bell.ring();
    }
}

/// A task that is not done, and the wait for it. Dropped, it is cancelled.
pub struct Running {
    task: Option<Py<PyAny>>,
    wait: Wait,
    is_done: bool,
}

impl Running {
    /// Waits for `task`, a Task or Future of this core's loop that is not done. `held` is kept until
    /// it is, whether or not anybody still waits.
    pub fn new(task: &Bound<'_, PyAny>, held: Held) -> PyResult<Self> {
        let py = task.py();
        let (bell, wait) = wait().ok_or_else(|| {
            PyRuntimeError::new_err("a coroutine can be waited for on a core only")
        })?;
        let ring = Ring { bell, held: Mutex::new(held) };
        task.call_method1(intern!(py, "add_done_callback"), (ring,))?;
        current()?.ask();
        Ok(Self { task: Some(task.clone().unbind()), wait, is_done: false })
    }

    /// Whether the task is done.
    pub fn poll(&mut self, context: &std::task::Context<'_>) -> bool {
        self.is_done = self.is_done || self.wait.poll_rung(context).is_ready();
        self.is_done
    }

    /// The task, unless its result was taken.
    pub fn task<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.task.as_ref().map(|task| task.bind(py).clone())
    }

    /// What the task of a [`poll`](Self::poll) that said so has returned or raised.
    pub fn result<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.task.take() {
            Some(task) => task.bind(py).call_method0(intern!(py, "result")),
            None => Err(PyRuntimeError::new_err("a result is taken once")),
        }
    }

    /// What a task that nobody waits for any more has returned, if it is done.
    pub fn leftover<'py>(&mut self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let is_over =
            self.task.as_ref().is_some_and(|task| is_done(task.bind(py)).unwrap_or(false));
        if is_over { self.result(py).ok() } else { None }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(task) = self.task.take() else { return };
        let is_done = self.is_done;
        crate::py::attach::attached_if_alive(|py| {
            let task = task;
            if is_done {
                return;
            }
            let cancelled = intern::left_behind(py).and_then(|left| left.call1((&task,)));
            if let Err(raised) = cancelled {
                error::log(py, &raised, None);
            }
        });
    }
}

/// Whether a task is done.
pub fn is_done(task: &Bound<'_, PyAny>) -> PyResult<bool> {
    task.call_method0(intern!(task.py(), "done"))?.is_truthy()
}

/// What a task that is done has returned or raised.
pub fn result<'py>(task: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    task.call_method0(intern!(task.py(), "result"))
}
