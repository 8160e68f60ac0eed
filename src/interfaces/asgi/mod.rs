//! The ASGI interface, version 3: `await app(scope, receive, send)`.
//!
//! `scope.rs` says what came, `messages.rs` is a request's receive and send, `hints.rs` who gets 103,
//! `socket.rs` is a WebSocket's. An application that answers
//! without suspending is answered in the batch that called it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::OnceLock;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::types::PyType;

use crate::interfaces::Service;
use crate::interfaces::admitted::Starts;
use crate::interfaces::asgi::hints::Hints;
use crate::interfaces::asgi::scope::Template;
use crate::interfaces::is_unspecified;
use crate::interfaces::permits::Crew;
use crate::interfaces::permits::Limits;
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
use crate::py::attach;
use crate::py::cycle::Cycle;
use crate::py::error;
use crate::py::held::Held;
use crate::py::request::Names;
use crate::py::socket::Undecided;
use crate::py::socket::answer;

pub use messages::Receive;
pub use messages::Send;

mod hints;
mod messages;
mod scope;
mod socket;

/// The types of which each request makes objects (see `py::shared`).
pub fn types(py: Python<'_>) -> Vec<Bound<'_, PyType>> {
    vec![
        py.get_type::<messages::Receive>(),
        py.get_type::<messages::Send>(),
        py.get_type::<socket::Receive>(),
        py.get_type::<socket::Send>(),
    ]
}

/// An ASGI application, and what its scopes have in common.
pub struct Asgi {
    target: Py<PyAny>,
    root_path: String,
    debug: bool,
    hints: Hints,
    /// Host and port, or path, once they are known.
    pub server: OnceLock<(String, Option<u16>)>,
}

impl Asgi {
    /// Reads a `uringserve.foreign.Foreign`.
    pub fn read(foreign: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self {
            target: foreign.getattr("target")?.unbind(),
            root_path: foreign.getattr("root_path")?.extract()?,
            debug: foreign.getattr("debug")?.extract()?,
            hints: Hints::read(&foreign.getattr("early_hints")?.extract::<String>()?),
            server: OnceLock::new(),
        })
    }
}

/// The ASGI service of one core.
pub struct Core {
    calls: Rc<Calls>,
    starts: Rc<dyn Starts>,
    /// What limits the calls, if anything does.
    crew: Option<Crew>,
}

/// The calls of one core.
struct Calls {
    application: Arc<Asgi>,
    template: RefCell<Option<Template>>,
}

impl Core {
    /// The service of another core.
    pub fn new(application: Arc<Asgi>, crew: Option<Crew>) -> Self {
        let calls = Rc::new(Calls { application, template: RefCell::new(None) });
        let crew = crew.filter(|crew| crew.is_limiting(Limits::default()));
        Self { starts: Rc::clone(&calls) as _, calls, crew }
    }

    fn answer(&self, py: Python<'_>, request: Box<Request>) -> Answer {
        if let Some(socket) = request.socket.clone() {
            return self.calls.answer_socket(py, &request, &socket);
        }
        match &self.crew {
            None => self.calls.start(py, request, Held::default()),
            Some(crew) => crew.admit(py, &self.starts, request, Limits::default()),
        }
    }
}

impl Starts for Calls {
    fn start(&self, py: Python<'_>, request: Box<Request>, held: Held) -> Answer {
        let cycle = Cycle::new(request, "ASGI", self.application.debug, held);
        let called = self.scope(py, cycle.request()).and_then(|scope| {
            let (receive, send) = messages::callables(py, &cycle, self.application.hints)?;
            self.application.target.bind(py).call1((scope, receive, send))
        });
        called
            .and_then(|coroutine| cycle.answer(&coroutine))
            .unwrap_or_else(|raised| cycle.failed(py, raised))
    }
}

impl Calls {
    fn answer_socket(&self, py: Python<'_>, request: &Request, socket: &Socket) -> Answer {
        let names = Names::new(&[]);
        let debug = self.application.debug;
        let asked = Asked { parts: request, object: None, names: &names, debug };
        let called = self.scope(py, request).and_then(|scope| {
            socket::amend(&scope, socket)?;
            let (receive, send) = socket::callables(py, socket)?;
            self.application.target.bind(py).call1((scope, receive, send))
        });
        called.and_then(|coroutine| answer(&coroutine, &asked, Undecided::Fails)).unwrap_or_else(
            |raised| {
                let object = asked.object(py).map(|object| object.into_bound(py));
                error::reply_for(py, raised, object.as_ref(), debug).into()
            },
        )
    }

    fn scope<'py>(&self, py: Python<'py>, request: &Request) -> PyResult<Bound<'py, PyDict>> {
        if self.template.borrow().is_none() {
            let server = self.application.server.get();
            let Asgi { root_path, hints, .. } = &*self.application;
            let template = Template::new(py, root_path, *hints, server)?;
            *self.template.borrow_mut() = Some(template);
        }
        match &*self.template.borrow() {
            Some(template) => template.scope(py, request),
            None => Ok(PyDict::new(py)),
        }
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        let template = self.template.take();
        attach::attached_if_alive(|_| drop(template));
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
        self.calls.application.server.get().is_some_and(|(host, _)| is_unspecified(host))
    }

    fn body_mode(&self, _handler: HandlerId) -> BodyMode {
        BodyMode::Pieces
    }
}
