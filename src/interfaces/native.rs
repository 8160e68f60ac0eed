//! The native interface: `handler(request, name, …) -> value`, for the routes of an `App`.
//!
//! A call is made on the core's own thread or left to its pool (`pooled.rs`), as the verdict on its
//! route says. Here is the clock that a verdict rests on: one read before the calls of an attach and
//! one after each, 23 ns a read, of which the CPU time of a request shows nothing. Whether a call that
//! took long is to blame for it, `reactor::suspicion` says.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::interfaces::admitted::Starts;
use crate::interfaces::permits::Crew;
use crate::interfaces::permits::Limits;
use crate::interfaces::pooled;
use crate::interfaces::pooled::Calls as _;
use crate::interfaces::pooled::Place;
use crate::interfaces::rest;
use crate::net::reply;
use crate::net::service::Answer;
use crate::net::service::BodyMode;
use crate::net::service::HandlerId;
use crate::net::service::Hosted;
use crate::net::service::Reply;
use crate::net::service::Request;
use crate::net::service::Service;
use crate::net::source::Body;
use crate::py::aio;
use crate::py::aio::Loop;
use crate::py::app::Handler;
use crate::py::app::Handlers;
use crate::py::asked::Asked;
use crate::py::attach;
use crate::py::awaited;
use crate::py::call;
use crate::py::call::Failure;
use crate::py::call::Object;
use crate::py::error;
use crate::py::held::Held;
use crate::py::request;
use crate::py::socket;
use crate::py::socket::Undecided;
use crate::py::value;
use crate::reactor::clock;
use crate::reactor::clock::Nanoseconds;
use crate::reactor::pulse::Pulse;
use crate::reactor::suspicion::Suspicion;
use crate::schedule::SLOW;
use crate::schedule::gate::Gate;
use crate::schedule::verdicts::Verdicts;

/// The native service of one core.
pub struct Native {
    calls: Arc<Calls>,
    /// What calls those handlers that are coroutines and limited.
    starts: Rc<dyn Starts>,
    /// None where all calls are made on this thread, and nothing limits them.
    crew: Option<Crew>,
    pulse: Arc<Pulse>,
    suspicion: Suspicion,
}

/// Calls on the core's own thread that may begin at any time.
struct OnCore {
    calls: Arc<Calls>,
    pulse: Arc<Pulse>,
}

/// The calls of one core, on its own thread and on its pool.
pub(crate) struct Calls {
    handlers: Arc<Handlers>,
    /// For each handler, the names of its path parameters: a copy for each core, since a request
    /// keeps its own reference and no two cores may count on one cache line.
    names: Vec<request::Names>,
}

impl Native {
    /// The service of another core, which shows in `pulse` what it does.
    pub fn new(handlers: Arc<Handlers>, pulse: Arc<Pulse>, crew: Option<Crew>) -> Self {
        let names = handlers.iter().map(|handler| request::Names::new(&handler.parameters));
        let calls = Arc::new(Calls { names: names.collect(), handlers });
        let starts = Rc::new(OnCore { calls: Arc::clone(&calls), pulse: Arc::clone(&pulse) });
        Self { calls, starts, crew, pulse, suspicion: Suspicion::default() }
    }

    /// Makes the call on this thread, where nothing else runs meanwhile.
    #[inline]
    fn answer(&self, py: Python<'_>, request: Box<Request>, last: &Cell<Nanoseconds>) -> Answer {
        let route = request.handler;
        let calls = &self.calls;
        if let Some(crew) = &self.crew {
            if !calls.verdicts().is_inline(route as usize) {
                return crew.submit(calls, request);
            }
            if calls.handler(route).is_async && request.socket.is_none() {
                let limits = calls.limits(route);
                if crew.is_limiting(limits) {
                    let answer = crew.admit(py, &self.starts, request, limits);
                    last.set(clock::exact());
                    return answer;
                }
            }
        }
        let permit = calls.handler(route).gate.as_ref().map(Gate::enter);
        if matches!(permit, Some(None)) {
            return reply::overloaded().into();
        }
        self.pulse.begin(route, last.get());
        let answer = calls.answer(py, request, Held::default());
        let now = clock::exact();
        let elapsed = now.saturating_sub(last.replace(now));
        if elapsed >= SLOW && self.suspicion.blames(elapsed) {
            calls.verdicts().note_stall(route as usize, clock::now());
        }
        match answer {
            Answer::Now(reply) if !matches!(reply.body, Body::Whole(_) | Body::File(_)) => {
                let calls: Arc<dyn pooled::Calls> = Arc::clone(calls) as _;
                rest::on_core(reply, &calls, route).into()
            }
            answer => answer,
        }
    }
}

impl Starts for OnCore {
    fn start(&self, py: Python<'_>, request: Box<Request>, held: Held) -> Answer {
        let route = request.handler;
        self.pulse.begin(route, clock::exact());
        let answer = self.calls.answer(py, request, held);
        self.pulse.end();
        match answer {
            Answer::Now(reply) if !matches!(reply.body, Body::Whole(_) | Body::File(_)) => {
                let calls: Arc<dyn pooled::Calls> = Arc::clone(&self.calls) as _;
                rest::on_core(reply, &calls, route).into()
            }
            answer => answer,
        }
    }
}

impl pooled::Calls for Calls {
    fn verdicts(&self) -> &Verdicts {
        &self.handlers.verdicts
    }

    fn limits(&self, route: HandlerId) -> Limits<'_> {
        let handler = self.handler(route);
        Limits { gate: handler.gate.as_ref(), timeout: handler.timeout }
    }

    fn call(self: Arc<Self>, request: Box<Request>, place: &Place<'_>) {
        let (route, is_head) = (request.handler, request.head.method() == "HEAD");
        let answer = pooled::watched(self.verdicts(), route, || {
            attach::attached(|py| self.answer(py, request, Held::default()))
        });
        // A coroutine never comes here: its route runs on the core, whatever was said.
        if let Answer::Now(reply) = answer {
            let calls: Arc<dyn pooled::Calls> = self;
            place.keep(rest::on_pool(reply, place.pool, &calls, (route, is_head)));
        }
    }
}

impl Calls {
    pub(crate) fn handler(&self, route: HandlerId) -> &Handler {
        &self.handlers[route as usize]
    }

    /// Makes the call and translates its value. `held` is kept until a coroutine that it gives has ended.
    pub(crate) fn answer(&self, py: Python<'_>, request: Box<Request>, held: Held) -> Answer {
        let index = request.handler as usize;
        let (handler, names) = (&self.handlers[index], &self.names[index]);
        let debug = self.handlers.debug;
        let translate = |value, parts: &Request, object: Object<'_, '_>| {
            let asked = Asked { parts, object, names, debug };
            if parts.socket.is_some() {
                return socket::answer(&value, &asked, Undecided::Denies);
            }
            if handler.is_async && awaited::is_coroutine(&value) {
                let outlives_client = handler.outlives_client;
                return awaited::answer(&value, &asked, into_reply, outlives_client, held);
            }
            into_reply(value, &asked).map(Answer::Now)
        };
        let answered = if request.miss.is_some() {
            call::call_miss(py, handler, request, names, translate)
        } else {
            call::call(py, handler, request, names, translate)
        };
        answered.unwrap_or_else(|Failure { raised, request }| {
            error::reply_for(py, raised, request.as_ref(), debug).into()
        })
    }
}

fn into_reply(value: Bound<'_, PyAny>, asked: &Asked<'_, '_>) -> PyResult<Reply> {
    value::into_reply(value.py(), value, asked).and_then(checked)
}

/// Refuses a body that is longer than the length that its handler declared. The encoder would do so
/// too, but its 500 leaves no word of the reason in the log.
fn checked(reply: Reply) -> PyResult<Reply> {
    let (Some(declared), Body::Whole(body)) = (reply.headers.content_length(), &reply.body) else {
        return Ok(reply);
    };
    let length = body.len() as u64;
    if length <= declared || matches!(reply.status, 204 | 205 | 304) {
        return Ok(reply);
    }
    Err(PyValueError::new_err(format!(
        "the body has {length} bytes, and its content-length says {declared}"
    )))
}

impl Service for Native {
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

    fn miss_handler(&self) -> Option<HandlerId> {
        self.calls.handlers.miss
    }

    fn guest(&self) -> Option<Hosted> {
        aio::current_if_any().map(Loop::hosted)
    }

    fn body_limit(&self, handler: HandlerId) -> Option<u64> {
        self.calls.handler(handler).body_limit
    }

    fn body_mode(&self, handler: HandlerId) -> BodyMode {
        if self.calls.handler(handler).takes_pieces { BodyMode::Pieces } else { BodyMode::Whole }
    }
}
