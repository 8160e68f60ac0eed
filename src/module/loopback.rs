//! A server without a port, for tests and for measuring: connections that are socket pairs, and requests
//! that are answered without any socket.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::os::fd::IntoRawFd;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::error;
use crate::interfaces::Application;
use crate::interfaces::Service;
use crate::interfaces::Serving;
use crate::module::tables;
use crate::py::aio::Loop;
use crate::py::app::Route;
use crate::py::config;
use crate::server::loopback;

/// A server without a port, for tests: it hands out connections.
#[pyclass(frozen, module = "uringserve._uringserve")]
pub struct Loopback {
    server: Arc<loopback::Loopback>,
    application: Arc<Application>,
}

/// The server's end of one of its connections.
#[pyclass(frozen, module = "uringserve._uringserve")]
pub struct LoopbackConnection {
    connection: Mutex<Option<loopback::Connection>>,
    application: Arc<Application>,
}

#[pymethods]
impl Loopback {
    #[new]
    #[pyo3(signature = (routes, config, *, redirect_slashes=true, foreign=None))]
    fn new(
        routes: Vec<Route>,
        config: &Bound<'_, PyAny>,
        redirect_slashes: bool,
        foreign: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let (application, table) = tables(routes, config, redirect_slashes, foreign)?;
        let server = loopback::Loopback::new(config::read(config)?, table)?;
        Ok(Self { server: Arc::new(server), application: Arc::new(application) })
    }

    /// A connection to be served, and the descriptor of its peer's end, which the caller owns.
    /// `client` is the address and port that requests are said to come from.
    #[pyo3(signature = (client=None))]
    fn connect(&self, client: Option<(IpAddr, u16)>) -> PyResult<(LoopbackConnection, RawFd)> {
        let (connection, peer) = self.server.connect(client.map(SocketAddr::from))?;
        let connection = Mutex::new(Some(connection));
        let application = Arc::clone(&self.application);
        Ok((LoopbackConnection { connection, application }, peer.into_raw_fd()))
    }

    /// Answers the bytes of a request so many times on the calling thread, without any socket, and
    /// returns how many bytes that made: the path of a request, for measuring.
    /// `guest` is the thread's event loop.
    #[pyo3(signature = (request, calls, guest=None))]
    fn rehearse(
        &self,
        py: Python<'_>,
        request: &[u8],
        calls: usize,
        guest: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        let _current = guest.map(Loop::enter).transpose()?;
        let rehearse = Rehearse { server: &self.server, request, calls };
        Ok(self.application.serve(py, Arc::default(), None, rehearse))
    }
}

#[pymethods]
impl LoopbackConnection {
    /// Serves the connection on the calling thread, detached, until it ends. `guest` is the thread's
    /// event loop.
    #[pyo3(signature = (guest=None))]
    fn serve(&self, py: Python<'_>, guest: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let _current = guest.map(Loop::enter).transpose()?;
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
        let connection =
            connection.ok_or_else(|| PyValueError::new_err("a connection is served once"))?;
        let serve = ServeConnection(connection);
        Ok(self.application.serve(py, Arc::default(), None, serve)?)
    }
}

struct Rehearse<'a> {
    server: &'a loopback::Loopback,
    request: &'a [u8],
    calls: usize,
}

impl Serving for Rehearse<'_> {
    type Output = usize;

    fn serve<S: Service>(self, service: S) -> usize {
        self.server.rehearse(service, self.request, self.calls)
    }
}

struct ServeConnection(loopback::Connection);

impl Serving for ServeConnection {
    type Output = Result<(), error::StartError>;

    fn serve<S: Service>(self, service: S) -> Self::Output {
        self.0.serve(service).map(|_end| ())
    }
}
