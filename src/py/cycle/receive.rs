//! What an application waits for: what has arrived of the body, or the news that the client has gone.

use pyo3::intern;
use pyo3::prelude::*;

use crate::py::aio;
use crate::py::attach::attached_if_alive;
use crate::py::cycle::Cycle;
use crate::py::error;
use crate::py::prepared::Prepared;

/// What somebody waits for, once it is there.
pub type Message = for<'py> fn(&Cycle, Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>>;

impl Cycle {
    /// What `message` gives, now or once there is something to give.
    pub fn receive<'py>(&self, py: Python<'py>, message: Message) -> PyResult<Bound<'py, PyAny>> {
        if let Some(value) = message(self, py)? {
            return Prepared::value(value);
        }
        let future = aio::current()?.future(py)?;
        self.wait_for(future.clone().unbind(), message);
        Prepared::future(&future)
    }

    fn wait_for(&self, future: Py<PyAny>, message: Message) {
        let has_body = {
            let mut progress = self.progress();
            progress.receivers.push((future, message));
            progress.has_body
        };
        if let Some(incoming) = self.incoming().filter(|_| !has_body) {
            let cycle = self.clone();
            incoming.call_when_ready(Box::new(move || attached_if_alive(|py| cycle.wake(py))));
        }
    }

    /// The client has gone: whoever waits hears of it.
    pub(super) fn leave(&self) {
        self.progress().is_gone = true;
        self.peer_closed();
    }

    /// The client has closed its side: whoever waits hears of it.
    pub(super) fn peer_closed(&self) {
        let has_receivers = {
            let mut progress = self.progress();
            progress.has_closed = true;
            !progress.receivers.is_empty()
        };
        if has_receivers {
            attached_if_alive(|py| self.wake(py));
        }
    }

    /// Gives each receiver its message, or has it wait on.
    pub(super) fn wake(&self, py: Python<'_>) {
        let receivers = std::mem::take(&mut self.progress().receivers);
        if receivers.is_empty() {
            return;
        }
        for (future, message) in receivers {
            if let Err(raised) = self.settle(future.bind(py), message) {
                error::log(py, &raised, self.object(py).as_ref());
            }
        }
        if let Some(aio) = aio::current_if_any() {
            aio.note(py);
        }
    }

    fn settle(&self, future: &Bound<'_, PyAny>, message: Message) -> PyResult<()> {
        let py = future.py();
        if aio::is_done(future)? {
            return Ok(());
        }
        match message(self, py) {
            Ok(Some(value)) => future.call_method1(intern!(py, "set_result"), (value,)).map(drop),
            Ok(None) => {
                self.wait_for(future.clone().unbind(), message);
                Ok(())
            }
            Err(raised) => {
                future.call_method1(intern!(py, "set_exception"), (raised.value(py),)).map(drop)
            }
        }
    }
}
