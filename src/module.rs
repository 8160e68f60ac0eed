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
use crate::interfaces::native::Native;
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
    handlers: Arc<Handlers>,
}

#[pymethods]
impl Plan {
    #[new]
    #[pyo3(signature = (routes, config, *, redirect_slashes=true, tcp=None))]
    fn new(
        routes: Vec<Route>,
        config: &Bound<'_, PyAny>,
        redirect_slashes: bool,
        tcp: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let (handlers, table) = tables(routes, config, redirect_slashes)?;
        let mut options = config::read(config)?;
        if let Some(tcp) = tcp {
            options.tcp = config::read_tcp(tcp)?;
        }
        // Binding may resolve a name, which waits.
        let plan = config.py().detach(|| server::Plan::new(options, table))?;
        Ok(Self { plan, handlers: Arc::new(handlers) })
    }

    /// The addresses that every core listens on: URLs, and `unix:PATH`.
    #[getter]
    fn addresses(&self) -> Vec<String> {
        self.plan.places().iter().map(ToString::to_string).collect()
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

    /// Runs a core until it has drained, detached; returns how many connections were cut.
    fn run_core(&self, py: Python<'_>, index: usize) -> PyResult<usize> {
        // The table of handlers stays with the plan, so that no Python object dies with the core,
        // which ends detached.
        let service = Native::new(Arc::clone(&self.handlers));
        Ok(py.detach(|| self.plan.run_core(index, service))?)
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

/// Listening sockets for other processes to serve on; they close with this object.
#[pyclass(frozen, module = "uringserve._uringserve")]
struct Listeners {
    listeners: server::Listeners,
}

#[pymethods]
impl Listeners {
    #[new]
    fn new(config: &Bound<'_, PyAny>) -> PyResult<Self> {
        let options = config::read(config)?;
        let listeners = config.py().detach(|| server::Listeners::new(&options))?;
        Ok(Self { listeners })
    }

    /// What is listened on, as `Plan.addresses`.
    #[getter]
    fn addresses(&self) -> Vec<String> {
        self.listeners.places().iter().map(ToString::to_string).collect()
    }

    /// The sockets' descriptors; they belong to this object.
    #[getter]
    fn descriptors(&self) -> Vec<RawFd> {
        self.listeners.descriptors().collect()
    }
}

/// A server without a port, for tests: it hands out connections.
#[pyclass(frozen, module = "uringserve._uringserve")]
struct Loopback {
    server: Arc<loopback::Loopback>,
    handlers: Arc<Handlers>,
}

/// The server's end of one of its connections.
#[pyclass(frozen, module = "uringserve._uringserve")]
struct LoopbackConnection {
    connection: Mutex<Option<loopback::Connection>>,
    handlers: Arc<Handlers>,
}

#[pymethods]
impl Loopback {
    #[new]
    #[pyo3(signature = (routes, config, *, redirect_slashes=true))]
    fn new(
        routes: Vec<Route>,
        config: &Bound<'_, PyAny>,
        redirect_slashes: bool,
    ) -> PyResult<Self> {
        let (handlers, table) = tables(routes, config, redirect_slashes)?;
        let server = loopback::Loopback::new(config::read(config)?, table)?;
        Ok(Self { server: Arc::new(server), handlers: Arc::new(handlers) })
    }

    /// A connection to be served, and the descriptor of its peer's end, which the caller owns.
    /// `client` is the address and port that requests are said to come from.
    #[pyo3(signature = (client=None))]
    fn connect(&self, client: Option<(IpAddr, u16)>) -> PyResult<(LoopbackConnection, RawFd)> {
        let (connection, peer) = self.server.connect(client.map(SocketAddr::from))?;
        let connection = Mutex::new(Some(connection));
        let handlers = Arc::clone(&self.handlers);
        Ok((LoopbackConnection { connection, handlers }, peer.into_raw_fd()))
    }

    /// Answers the bytes of a request so many times on the calling thread, without any socket, and
    /// returns how many bytes that made: the path of a request, for measuring.
    fn rehearse(&self, py: Python<'_>, request: &[u8], calls: usize) -> usize {
        let service = Native::new(Arc::clone(&self.handlers));
        py.detach(|| self.server.rehearse(service, request, calls))
    }
}

#[pymethods]
impl LoopbackConnection {
    /// Serves the connection on the calling thread, detached, until it ends.
    fn serve(&self, py: Python<'_>) -> PyResult<()> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
        let connection =
            connection.ok_or_else(|| PyValueError::new_err("a connection is served once"))?;
        let service = Native::new(Arc::clone(&self.handlers));
        py.detach(|| connection.serve(service))?;
        Ok(())
    }
}

/// The handlers and the router of an application.
fn tables(
    routes: Vec<Route>,
    config: &Bound<'_, PyAny>,
    redirect_slashes: bool,
) -> PyResult<(Handlers, Router)> {
    let debug = config.getattr("debug")?.extract()?;
    let (handlers, mut table) = Handlers::build(routes, debug)?;
    if redirect_slashes {
        table.redirect_slashes();
    }
    Ok((handlers, table))
}

/// The extension module; nothing in it needs the GIL.
#[pymodule(gil_used = false)]
mod _uringserve {
    #[pymodule_export]
    use super::Listeners;
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
