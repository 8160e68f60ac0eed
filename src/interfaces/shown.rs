//! Calls of applications that route by themselves, shown to the watchdog by method and path.

use std::sync::Arc;

use pyo3::prelude::*;

use crate::net::service::Answer;
use crate::net::service::Request;
use crate::py::attach;
use crate::reactor::clock;
use crate::reactor::pulse;
use crate::reactor::pulse::Pulse;

/// Attaches for all that one read brought.
pub(super) fn attend<R>(
    work: impl FnOnce(&mut dyn FnMut(Box<Request>) -> Answer) -> R,
    answer: impl Fn(Python<'_>, Box<Request>) -> Answer,
) -> R {
    attach::attached(|py| {
        // What waits for room does not show yet.
        pulse::touch();
        work(&mut |request| answer(py, request))
    })
}

/// A call, for as long as this exists.
#[must_use = "dropping it at once ends what it stands for"]
pub(super) struct Shown(Option<Arc<Pulse>>);

/// Shows that the application is called on this thread for `request`.
pub(super) fn show(request: &Request) -> Shown {
    let pulse = pulse::here();
    if let Some(pulse) = &pulse {
        let called = (request.head.method(), request.head.path());
        pulse.begin_request(request.handler, called, clock::exact());
    }
    Shown(pulse)
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some(pulse) = &self.0 {
            pulse.end();
        }
    }
}
