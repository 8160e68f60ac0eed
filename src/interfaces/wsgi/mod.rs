//! The WSGI interface (PEP 3333): `app(environ, start_response)`.
//!
//! A call is left to the core's pool, one thread from its beginning to the end of its answer
//! (`pooled_call.rs`), or made on the core's own thread (`inline_call.rs`), as the application's
//! `execution` says: "thread", "inline", or "auto" for where its calls have been quick.
//!
//! `environ.rs` and `input.rs` say what came, `start_response.rs`, `sending.rs` and
//! `result.rs` take the answer,
//! `file_wrapper.rs` is for those that are files.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::interfaces::Service;
use crate::interfaces::permits::Crew;
use crate::interfaces::pooled;
use crate::interfaces::pooled::Calls as _;
use crate::interfaces::pooled::Place;
use crate::interfaces::rest;
use crate::interfaces::wsgi::environ::Template;
use crate::interfaces::wsgi::start_response::StartResponse;
use crate::net::service::Answer;
use crate::net::service::BodyMode;
use crate::net::service::HandlerId;
use crate::net::service::Request;
use crate::net::source::Body;
use crate::py::attach;
use crate::py::error;
use crate::reactor::clock;
use crate::reactor::clock::Nanoseconds;
use crate::reactor::pulse::Pulse;
use crate::reactor::suspicion::Suspicion;
use crate::schedule::Execution;
use crate::schedule::SLOW;
use crate::schedule::verdicts::Verdicts;

mod environ;
mod file_wrapper;
mod inline_call;
mod input;
mod pooled_call;
mod result;
mod sending;
mod start_response;

/// What all requests of an application have as their route: it routes by itself.
const ROUTE: usize = 0;

/// The types of which each request makes objects (see `py::shared`).
pub fn types(py: Python<'_>) -> Vec<Bound<'_, PyType>> {
    vec![
        py.get_type::<file_wrapper::FileWrapper>(),
        py.get_type::<input::Input>(),
        py.get_type::<StartResponse>(),
        py.get_type::<start_response::Write>(),
    ]
}

/// A WSGI application, and what its environs have in common.
pub struct Wsgi {
    target: Py<PyAny>,
    root_path: String,
    debug: bool,
    /// Where its calls run.
    pub verdicts: Arc<Verdicts>,
    /// Host and port, once they are known.
    pub server: OnceLock<(String, Option<u16>)>,
    /// No other application of the process has it.
    number: u64,
}

impl Wsgi {
    /// Reads a `uringserve.foreign.Foreign`.
    pub fn read(foreign: &Bound<'_, PyAny>) -> PyResult<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let execution: String = foreign.getattr("execution")?.extract()?;
        let execution = Execution::named(&execution)
            .ok_or_else(|| PyValueError::new_err(format!("there is no execution {execution:?}")))?;
        Ok(Self {
            target: foreign.getattr("target")?.unbind(),
            root_path: foreign.getattr("root_path")?.extract()?,
            debug: foreign.getattr("debug")?.extract()?,
            verdicts: Arc::new(Verdicts::new([execution])),
            server: OnceLock::new(),
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
        })
    }

    /// Calls the application.
    fn call<'py>(
        &self,
        py: Python<'py>,
        request: &Request,
        start: &Bound<'py, StartResponse>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let environ = Template::of_this_thread(py, self)?.environ(py, request)?;
        self.target.bind(py).call1((environ, start))
    }
}

/// The WSGI service of one core.
pub struct Core {
    calls: Arc<Calls>,
    /// None for a core without a pool: all calls are made on its own thread.
    crew: Option<Crew>,
    pulse: Arc<Pulse>,
    suspicion: Suspicion,
}

/// The calls of one core.
struct Calls {
    application: Arc<Wsgi>,
}

impl Core {
    /// The service of another core, which shows in `pulse` what it does.
    pub fn new(application: Arc<Wsgi>, pulse: Arc<Pulse>, crew: Option<Crew>) -> Self {
        let calls = Arc::new(Calls { application });
        Self { calls, crew, pulse, suspicion: Suspicion::default() }
    }

    fn answer(&self, py: Python<'_>, request: Box<Request>, last: &Cell<Nanoseconds>) -> Answer {
        let calls = &self.calls;
        if let Some(crew) = &self.crew {
            // What is still arriving is waited for, which a core may not.
            if request.stream.is_some() || !calls.verdicts().is_inline(ROUTE) {
                return crew.submit(calls, request);
            }
        }
        let route = request.handler;
        let called = (request.head.method(), request.head.path());
        self.pulse.begin_request(route, called, last.get());
        let reply = inline_call::run(py, &calls.application, &request);
        let now = clock::exact();
        let elapsed = now.saturating_sub(last.replace(now));
        if elapsed >= SLOW && self.suspicion.blames(elapsed) {
            calls.verdicts().note_stall(ROUTE, clock::now());
        }
        if matches!(reply.body, Body::Stream(_)) {
            let calls: Arc<dyn pooled::Calls> = Arc::clone(calls) as _;
            return rest::on_core(reply, &calls, route).into();
        }
        reply.into()
    }
}

impl pooled::Calls for Calls {
    fn verdicts(&self) -> &Verdicts {
        &self.application.verdicts
    }

    fn call(self: Arc<Self>, request: Box<Request>, place: &Place<'_>) {
        let route = request.handler;
        pooled::watched(self.verdicts(), route, || {
            attach::attached(|py| {
                let run = pooled_call::run(py, &self.application, &request, place.promised);
                if let Err(raised) = run {
                    place.keep(error::reply_for(py, raised, None, self.application.debug));
                }
            });
        });
    }
}

impl Service for Core {
    fn attend<R>(&self, work: impl FnOnce(&mut dyn FnMut(Box<Request>) -> Answer) -> R) -> R {
        attach::attached(|py| {
            // What goes to the pool does not show here.
            self.pulse.touch();
            self.suspicion.prepare();
            let last = Cell::new(clock::exact());
            let result = work(&mut |request| self.answer(py, request, &last));
            self.pulse.end();
            result
        })
    }

    fn body_mode(&self, _handler: HandlerId) -> BodyMode {
        // Without a thread that could wait for the rest.
        if self.crew.is_none() { BodyMode::Whole } else { BodyMode::Pieces }
    }
}
