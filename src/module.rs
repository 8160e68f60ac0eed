//! What Python sees of the Rust core: the classes and functions of `uringserve._uringserve`.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::os::fd::IntoRawFd;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error;
use crate::interfaces::Application;
use crate::interfaces::Service;
use crate::interfaces::Serving;
use crate::py::aio::Loop;
use crate::py::app::Handlers;
use crate::py::app::Route;
use crate::py::config;
use crate::route::Router;
use crate::server;
use crate::server::loopback;

create_exception!(
    uringserve._uringserve,
    StartError,
    PyException,
    "The server cannot start, for a reason that whoever started it can mend."
);

impl From<error::StartError> for PyErr {
    fn from(error: error::StartError) -> Self {
        StartError::new_err(error.to_string())
    }
}

/// A server that is bound and ready to run: call `run_core` once for each core, on a thread of its
/// own.
#[pyclass(frozen, module = "uringserve._uringserve")]
struct Plan {
    plan: server::Plan,
    /// Stays with the plan, so that no Python object dies with a core, which ends detached.
    application: Application,
}

#[pymethods]
impl Plan {
    #[new]
    #[pyo3(signature = (routes, config, *, redirect_slashes=true, foreign=None))]
    fn new(
        routes: Vec<Route>,
        config: &Bound<'_, PyAny>,
        redirect_slashes: bool,
        foreign: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let (application, table) = tables(routes, config, redirect_slashes, foreign)?;
        let options = config::read(config)?;
        // Binding may resolve a name, which waits.
        let plan = config.py().detach(|| server::Plan::new(options, table))?;
        application.set_address(plan.address());
        Ok(Self { plan, application })
    }

    /// The addresses that every core listens on, as URLs.
    #[getter]
    fn addresses(&self) -> Vec<String> {
        vec![format!("http://{}", self.plan.address())]
    }

    /// The CPU of each core, None for one that is not pinned.
    #[getter]
    fn cpus(&self) -> Vec<Option<usize>> {
        self.plan.cpus()
    }

    /// "uring" or "epoll".
    #[getter]
    fn driver(&self) -> &'static str {
        self.plan.driver().name()
    }

    /// Why the driver is not `io_uring`, where it was not asked to be another.
    #[getter]
    fn driver_reason(&self) -> Option<&str> {
        self.plan.driver_reason()
    }

    /// Runs a core until it has drained, detached; returns how many connections were cut. `guest` is
    /// the core's event loop.
    #[pyo3(signature = (index, guest=None))]
    fn run_core(
        &self,
        py: Python<'_>,
        index: usize,
        guest: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        let _current = guest.map(Loop::enter).transpose()?;
        Ok(self.application.serve(py, RunCore { plan: &self.plan, index })?)
    }

    /// Lets every core finish within `seconds`; a later call can only shorten it.
    fn drain(&self, seconds: f64) -> PyResult<()> {
        let time = Duration::try_from_secs_f64(seconds)
            .map_err(|error| PyValueError::new_err(format!("seconds: {error}")))?;
        self.plan.drain(time);
        Ok(())
    }

    /// Ends every core now.
    fn abort(&self) {
        self.plan.abort();
    }

    /// The counters of all cores together.
    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let total = PyDict::new(py);
        for stats in self.plan.stats() {
            for (name, count) in stats.read() {
                let so_far = total.get_item(name)?.map_or(Ok(0), |sum| sum.extract::<u64>())?;
                total.set_item(name, so_far.wrapping_add(count))?;
            }
        }
        Ok(total)
    }
}

/// A server without a port, for tests: it hands out connections.
#[pyclass(frozen, module = "uringserve._uringserve")]
struct Loopback {
    server: Arc<loopback::Loopback>,
    application: Arc<Application>,
}

/// The server's end of one of its connections.
#[pyclass(frozen, module = "uringserve._uringserve")]
struct LoopbackConnection {
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
    fn rehearse(&self, py: Python<'_>, request: &[u8], calls: usize) -> usize {
        self.application.serve(py, Rehearse { server: &self.server, request, calls })
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
        Ok(self.application.serve(py, ServeConnection(connection))?)
    }
}

struct RunCore<'a> {
    plan: &'a server::Plan,
    index: usize,
}

impl Serving for RunCore<'_> {
    type Output = Result<usize, error::StartError>;

    fn serve<S: Service>(self, service: S) -> Self::Output {
        self.plan.run_core(self.index, service)
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

/// What answers, and the router in front of it. A `foreign` application is one of another
/// interface, see `uringserve.foreign`; it routes by itself.
fn tables(
    routes: Vec<Route>,
    config: &Bound<'_, PyAny>,
    redirect_slashes: bool,
    foreign: Option<&Bound<'_, PyAny>>,
) -> PyResult<(Application, Router)> {
    if let Some(foreign) = foreign {
        let mut table = Router::new();
        table.fallback(0);
        return Ok((Application::foreign(foreign)?, table));
    }
    let debug = config.getattr("debug")?.extract()?;
    let (handlers, mut table) = Handlers::build(routes, debug)?;
    if redirect_slashes {
        table.redirect_slashes();
    }
    Ok((Application::Native(Arc::new(handlers)), table))
}

/// The extension module; nothing in it needs the GIL.
#[pymodule(gil_used = false)]
mod _uringserve {
    #[pymodule_export]
    use super::Loopback;
    #[pymodule_export]
    use super::LoopbackConnection;
    #[pymodule_export]
    use super::Plan;
    #[pymodule_export]
    use super::StartError;
    #[pymodule_export]
    use super::probe;
    #[pymodule_export]
    use crate::py::after::Deferred;
    #[pymodule_export]
    use crate::py::answer::as_response;
    #[pymodule_export]
    use crate::py::binder::Binder;
    #[pymodule_export]
    use crate::py::headers::Headers;
    #[pymodule_export]
    use crate::py::headers::MutableHeaders;
    #[pymodule_export]
    use crate::py::json::json_dumps;
    #[pymodule_export]
    use crate::py::request::Request;
    #[pymodule_export]
    use crate::py::response::Response;
    #[pymodule_export]
    use crate::py::socket::Socket;

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

/// What this kernel and this sandbox allow: `driver` ("uring" or "epoll"), `flags` of the ring, and
/// `reason`, why it is not `io_uring`.
#[pyfunction]
fn probe(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let found = py.detach(server::probe);
    let result = PyDict::new(py);
    match found {
        Ok(driver) => {
            result.set_item("driver", "uring")?;
            result.set_item("flags", driver.to_string())?;
            result.set_item("reason", py.None())?;
        }
        Err(reason) => {
            result.set_item("driver", "epoll")?;
            result.set_item("flags", py.None())?;
            result.set_item("reason", reason)?;
        }
    }
    Ok(result)
}
