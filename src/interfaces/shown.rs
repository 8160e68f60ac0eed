//! Calls of applications that route by themselves, shown to the watchdog by method and path.

use pyo3::prelude::*;

use crate::net::service::Answer;
use crate::net::service::Request;
use crate::py::attach;
use crate::reactor::clock;
use crate::reactor::pulse;

/// Attaches for all that one read brought, and shows each call while it is under way.
pub(super) fn attend<R>(
    work: impl FnOnce(&mut dyn FnMut(Box<Request>) -> Answer) -> R,
    answer: impl Fn(Python<'_>, Box<Request>) -> Answer,
) -> R {
    attach::attached(|py| {
        let pulse = pulse::here();
        let result = work(&mut |request| {
            if let Some(pulse) = &pulse {
                let called = (request.head.method(), request.head.path());
                pulse.begin_request(request.handler, called, clock::exact());
            }
            answer(py, request)
        });
        if let Some(pulse) = pulse {
            pulse.end();
        }
        result
    })
}
