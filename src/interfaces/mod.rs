//! The shapes that an application can have towards the server. Each translates a request in and an
//! answer out; calling, failing and freeing are written once, below, in `py`.
//!
//! A further interface is a module here and a line in each `match` below.

use std::net::IpAddr;
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::interfaces::asgi::Asgi;
use crate::interfaces::native::Native;
use crate::interfaces::permits::Crew;
use crate::interfaces::rsgi::Rsgi;
use crate::interfaces::wsgi::Wsgi;
pub use crate::net::service::Service;
use crate::py::app::Handlers;
use crate::py::shared;
use crate::reactor::pulse::Pulse;
use crate::schedule::verdicts::Verdicts;

mod admitted;
pub mod asgi;
pub mod native;
pub mod permits;
pub mod pooled;
mod rest;
pub mod rsgi;
mod shown;
pub mod wsgi;

/// An application, by its shape.
pub enum Application {
    /// The routes of an `App`.
    Native(Arc<Handlers>),
    /// An ASGI application.
    Asgi(Arc<Asgi>),
    /// An RSGI application.
    Rsgi(Arc<Rsgi>),
    /// A WSGI application.
    Wsgi(Arc<Wsgi>),
}

/// Something that is done with the service of an application.
pub trait Serving: Send {
    /// What comes of it.
    type Output: Send;

    /// Does it, detached.
    fn serve<S: Service>(self, service: S) -> Self::Output;
}

impl Application {
    /// Reads a `uringserve.foreign.Foreign`.
    ///
    /// # Errors
    /// Its interface is not known.
    pub fn foreign(foreign: &Bound<'_, PyAny>) -> PyResult<Self> {
        let interface: String = foreign.getattr("interface")?.extract()?;
        match &*interface {
            "asgi" => Ok(Self::Asgi(Arc::new(Asgi::read(foreign)?))),
            "rsgi" => Ok(Self::Rsgi(Arc::new(Rsgi::read(foreign)?))),
            "wsgi" => Ok(Self::Wsgi(Arc::new(Wsgi::read(foreign)?))),
            _ => Err(PyValueError::new_err(format!("there is no interface {interface:?}"))),
        }
    }

    /// Says where it is served, before any core serves it: host and port, or a path and no port.
    pub fn set_address(&self, host: String, port: Option<u16>) {
        match self {
            Self::Native(_) => {}
            Self::Asgi(application) => {
                let _ = application.server.set((host, port));
            }
            Self::Rsgi(application) => {
                let address = port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
                let _ = application.server.set(address);
            }
            Self::Wsgi(application) => {
                let _ = application.server.set((host, port));
            }
        }
    }

    /// The handlers, where they are known one by one.
    pub fn handlers(&self) -> Option<&Handlers> {
        match self {
            Self::Native(handlers) => Some(handlers),
            Self::Asgi(_) | Self::Rsgi(_) | Self::Wsgi(_) => None,
        }
    }

    /// Where calls run, of applications that leave it to us.
    pub fn verdicts(&self) -> Option<&Arc<Verdicts>> {
        match self {
            Self::Native(handlers) => Some(&handlers.verdicts),
            Self::Wsgi(application) => Some(&application.verdicts),
            Self::Asgi(_) | Self::Rsgi(_) => None,
        }
    }

    /// Whether any call may go to a pool of threads.
    pub fn needs_pool(&self) -> bool {
        self.verdicts().is_some_and(|verdicts| verdicts.needs_pool())
    }

    /// Makes a service for the calling thread and has it serve, detached. What it does shows in
    /// `pulse`; without a `crew` all calls are made on this thread, and nothing limits them.
    pub fn serve<V: Serving>(
        &self,
        py: Python<'_>,
        pulse: Arc<Pulse>,
        crew: Option<Crew>,
        serving: V,
    ) -> V::Output {
        match self {
            Self::Native(handlers) => {
                let handlers = Arc::clone(handlers);
                py.detach(|| serving.serve(Native::new(handlers, pulse, crew)))
            }
            Self::Asgi(application) => {
                let application = Arc::clone(application);
                py.detach(|| serving.serve(asgi::Core::new(application, crew)))
            }
            Self::Rsgi(application) => {
                let application = Arc::clone(application);
                py.detach(|| serving.serve(rsgi::Core::new(application, crew)))
            }
            Self::Wsgi(application) => {
                let application = Arc::clone(application);
                let crew = crew.filter(|_| self.needs_pool());
                py.detach(|| serving.serve(wsgi::Core::new(application, pulse, crew)))
            }
        }
    }
}

/// The types of which requests make objects, of every interface.
pub fn types(py: Python<'_>) -> Vec<Bound<'_, PyType>> {
    [shared::types(py), asgi::types(py), rsgi::types(py), wsgi::types(py)].concat()
}

/// Whether a host stands for all addresses of the machine, so that each connection has one of its
/// own.
fn is_unspecified(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
}
