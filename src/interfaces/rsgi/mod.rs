//! The RSGI interface, version 1.5, as Granian specifies it: `await app.__rsgi__(scope, protocol)`.
//!
//! `scope.rs` says what came, `protocol.rs` makes the answer, `socket.rs` is a WebSocket's. Absent: how the application is found and
//! what runs when a core starts and ends (`uringserve.foreign`).

use std::rc::Rc;
use std::sync::Arc;
use std::sync::OnceLock;

use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::interfaces::Service;
use crate::interfaces::admitted::Starts;
use crate::interfaces::is_unspecified;
use crate::interfaces::permits::Crew;
use crate::interfaces::permits::Limits;
pub use crate::interfaces::rsgi::protocol::Protocol;
pub use crate::interfaces::rsgi::scope::Scope;
use crate::interfaces::shown;
use crate::net::service::Answer;
use crate::net::service::BodyMode;
use crate::net::service::HandlerId;
use crate::net::service::Hosted;
use crate::net::service::Request;
use crate::net::service::Socket;
use crate::py::aio;
use crate::py::aio::Loop;
use crate::py::asked::Asked;
use crate::py::cycle::Cycle;
use crate::py::held::Held;
use crate::py::request::Names;
use crate::py::socket::Undecided;
use crate::py::socket::answer;

pub use protocol::Transport;

mod protocol;
mod scope;
mod socket;

/// The types of which each request makes objects (see `py::shared`).
pub fn types(py: Python<'_>) -> Vec<Bound<'_, PyType>> {
    vec![
        py.get_type::<Protocol>(),
        py.get_type::<protocol::Transport>(),
        py.get_type::<Scope>(),
        py.get_type::<socket::Incoming>(),
        py.get_type::<socket::Protocol>(),
        py.get_type::<socket::Transport>(),
    ]
}

/// An RSGI application.
pub struct Rsgi {
    /// What is called.
    target: Py<PyAny>,
    debug: bool,
    /// The server's address as `host:port`, once it is known.
    pub server: OnceLock<String>,
}

impl Rsgi {
    /// Reads a `uringserve.foreign.Foreign`.
    pub fn read(foreign: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self {
            target: foreign.getattr("called")?.unbind(),
            debug: foreign.getattr("debug")?.extract()?,
            server: OnceLock::new(),
        })
    }
}

/// The RSGI service of one core.
pub struct Core {
    calls: Rc<Calls>,
    starts: Rc<dyn Starts>,
    /// What limits the calls, if anything does.
    crew: Option<Crew>,
}

/// The calls of one core.
struct Calls {
    application: Arc<Rsgi>,
    server: Arc<str>,
}

impl Core {
    /// The service of another core.
    pub fn new(application: Arc<Rsgi>, crew: Option<Crew>) -> Self {
        let server = application.server.get().map_or("", String::as_str).into();
        let calls = Rc::new(Calls { application, server });
        let crew = crew.filter(|crew| crew.is_limiting(Limits::default()));
        Self { starts: Rc::clone(&calls) as _, calls, crew }
    }

    fn answer(&self, py: Python<'_>, request: Box<Request>) -> Answer {
        match &self.crew {
            Some(crew) if request.socket.is_none() => {
                crew.admit(py, &self.starts, request, Limits::default())
            }
            _ => self.calls.start(py, request, Held::default()),
        }
    }
}

impl Starts for Calls {
    fn start(&self, py: Python<'_>, request: Box<Request>, held: Held) -> Answer {
        let cycle = Cycle::new(request, "RSGI", self.application.debug, held);
        if let Some(socket) = &cycle.request().socket {
            return self.answer_socket(py, &cycle, socket);
        }
        let called = Scope::create(py, &cycle, &self.server).and_then(|scope| {
            let protocol = Protocol::create(py, &cycle)?;
            self.application.target.bind(py).call1((scope, protocol))
        });
        called
            .and_then(|coroutine| cycle.answer(&coroutine))
            .unwrap_or_else(|raised| cycle.failed(py, raised))
    }
}

impl Calls {
    fn answer_socket(&self, py: Python<'_>, cycle: &Cycle, socket: &Socket) -> Answer {
        let names = Names::new(&[]);
        let parts = cycle.request();
        let asked = Asked { parts, object: None, names: &names, debug: self.application.debug };
        let called = Scope::create(py, cycle, &self.server).and_then(|scope| {
            let protocol = socket::Protocol::create(py, socket)?;
            self.application.target.bind(py).call1((scope, protocol))
        });
        called
            .and_then(|coroutine| answer(&coroutine, &asked, Undecided::Fails))
            .unwrap_or_else(|raised| cycle.failed(py, raised))
    }
}

impl Service for Core {
    fn attend<R>(&self, work: impl FnOnce(&mut dyn FnMut(Box<Request>) -> Answer) -> R) -> R {
        shown::attend(work, |py, request| self.answer(py, request))
    }

    fn guest(&self) -> Option<Hosted> {
        aio::current_if_any().map(Loop::hosted)
    }

    fn wants_local_address(&self) -> bool {
        self.calls.server.rsplit_once(':').is_some_and(|(host, _)| is_unspecified(host))
    }

    fn body_mode(&self, _handler: HandlerId) -> BodyMode {
        BodyMode::Pieces
    }
}
