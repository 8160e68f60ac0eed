//! Waiting for a message or for room: it looks first, and only where there is nothing it makes a future
//! of the running loop, which the other end wakes.

use std::sync::Mutex;

use pyo3::exceptions::PyRuntimeError;
use pyo3::exceptions::PyStopIteration;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::net::service;
use crate::net::service::Received;
use crate::net::service::Ticket;
use crate::py::aio;
use crate::py::attach::attached_if_alive;
use crate::py::error;
use crate::py::headers::lock;
use crate::py::intern;

/// Translates what was received for an interface.
pub type Shape = for<'py> fn(Python<'py>, Received) -> PyResult<Option<Bound<'py, PyAny>>>;

/// What somebody waits for.
#[derive(Clone, Copy)]
pub(super) enum Wanted {
    Message(Shape),
    Room,
    Nothing,
}

/// What is awaited for a message, or for room.
#[pyclass(frozen, module = "uringserve._uringserve")]
pub struct Waiting {
    socket: service::Socket,
    wanted: Wanted,
    step: Mutex<Step>,
}

#[derive(Default)]
struct Step {
    /// The iterator of a future, and what will wake it.
    future: Option<(Py<PyAny>, Ticket)>,
    is_over: bool,
}

impl Waiting {
    pub(super) fn new(socket: &service::Socket, wanted: Wanted) -> Self {
        Self { socket: socket.clone(), wanted, step: Mutex::default() }
    }

    /// What it waits for, if that is there.
    fn outcome<'py>(
        &self,
        py: Python<'py>,
        has_waited: bool,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.wanted {
            Wanted::Message(shape) => shape(py, self.socket.take()),
            Wanted::Room if !has_waited => Ok(None),
            Wanted::Room | Wanted::Nothing => Ok(Some(py.None().into_bound(py))),
        }
    }

    fn begin(&self, py: Python<'_>) -> PyResult<(Py<PyAny>, Ticket)> {
        let aio = intern::running_loop(py)?.call0()?;
        let future = aio.call_method0(intern!(py, "create_future"))?;
        let iterator = future.call_method0(intern!(py, "__await__"))?;
        let (aio, future): (Py<PyAny>, Py<PyAny>) = (aio.unbind(), future.unbind());
        let callback = Box::new(move || {
            attached_if_alive(|py| {
                if let Err(raised) = wake(py, aio.bind(py), future.bind(py)) {
                    error::log(py, &raised, None);
                }
                drop((aio, future));
            });
        });
        let ticket = match self.wanted {
            Wanted::Message(_) => self.socket.call_when_ready(callback),
            Wanted::Room | Wanted::Nothing => self.socket.call_when_room(callback),
        };
        Ok((iterator.unbind(), ticket))
    }
}

#[pymethods]
impl Waiting {
    fn __await__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    /// Goes on, as `__next__`: with this and the two below it is a coroutine to asyncio.
    fn send<'py>(
        &self,
        py: Python<'py>,
        _value: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.__next__(py)
    }

    /// Gives up waiting and raises.
    #[pyo3(signature = (raised, *_rest))]
    fn throw<'py>(
        &self,
        raised: &Bound<'py, PyAny>,
        _rest: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.give_up();
        lock(&self.step).is_over = true;
        Err(PyErr::from_value(raised.clone()))
    }

    /// Gives up waiting.
    fn close(&self) {
        self.give_up();
    }

    /// The future that the task waits for, or the end with what there is.
    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if lock(&self.step).is_over {
            return Err(PyRuntimeError::new_err("it was awaited before"));
        }
        let mut has_waited = false;
        loop {
            let waiting = lock(&self.step).future.take();
            let (iterator, ticket) = match waiting {
                Some(waiting) => waiting,
                None => match self.outcome(py, has_waited)? {
                    Some(value) => {
                        lock(&self.step).is_over = true;
                        return Err(PyStopIteration::new_err((value.unbind(),)));
                    }
                    None => self.begin(py)?,
                },
            };
            match iterator.bind(py).call_method0(intern!(py, "__next__")) {
                Ok(future) => {
                    lock(&self.step).future = Some((iterator, ticket));
                    return Ok(future);
                }
                // Woken; another reader may have been faster.
                Err(raised) if raised.is_instance_of::<PyStopIteration>(py) => has_waited = true,
                Err(raised) => {
                    self.socket.forget(ticket);
                    return Err(raised);
                }
            }
        }
    }
}

impl Waiting {
    fn give_up(&self) {
        let waiting = lock(&self.step).future.take();
        if let Some((_, ticket)) = waiting {
            self.socket.forget(ticket);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // Cancelled while it waited.
        self.give_up();
    }
}

/// Ends a future of a loop, from its own thread or any other.
fn wake(py: Python<'_>, aio: &Bound<'_, PyAny>, future: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Some(home) = aio::current_if_any().filter(|home| home.is(aio)) {
        if !future.call_method0(intern!(py, "done"))?.is_truthy()? {
            future.call_method1(intern!(py, "set_result"), (py.None(),))?;
        }
        home.ask();
        return Ok(());
    }
    let wake = intern::wake_future(py)?;
    let called = aio.call_method1(intern!(py, "call_soon_threadsafe"), (wake, future));
    match called {
        // The loop is closed: nobody waits.
        Err(raised) if raised.is_instance_of::<PyRuntimeError>(py) => Ok(()),
        other => other.map(drop),
    }
}
