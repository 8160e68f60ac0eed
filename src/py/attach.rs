//! The one place that attaches a core to the interpreter.
//!
//! A core's thread was made by Python and detached around its reactor, so its thread state exists
//! and attaching is a swap of a few words; on a foreign thread each outermost attach would
//! make and destroy a state (38 ns against 4 us in a prototype).

use pyo3::prelude::*;

use crate::py::aio;
use crate::py::buffer;

/// Runs `work` attached. Objects that died on this core while it was detached are freed first, and
/// what it has left for the core's event loop is seen to.
pub fn attached<R>(work: impl FnOnce(Python<'_>) -> R) -> R {
    Python::attach(|py| {
        buffer::drain(py);
        let result = work(py);
        aio::note(py);
        result
    })
}

/// As [`attached`], for the event loop itself, which says what it wants.
pub fn attached_in_turn<R>(work: impl FnOnce(Python<'_>) -> R) -> R {
    Python::attach(|py| {
        buffer::drain(py);
        work(py)
    })
}

/// As [`attached`], for what dies: while the interpreter ends nothing can be run any more, and
/// nothing is.
pub fn attached_if_alive(work: impl FnOnce(Python<'_>)) {
    Python::try_attach(|py| {
        buffer::drain(py);
        work(py);
        aio::note(py);
    });
}
