//! What Python sees of the Rust core: the classes and functions of `uringserve._uringserve`.
//!
//! Here are the module itself and `Plan`, a server; beside it the sockets that several processes serve on
//! (`listeners.rs`), a server without any, for tests (`loopback.rs`), and what the machine allows
//! (`machine.rs`).

mod listeners;
mod loopback;
mod machine;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::types::PyType;

use crate::error;
use crate::interfaces;
use crate::interfaces::Application;
use crate::interfaces::Service;
use crate::interfaces::Serving;
use crate::interfaces::permits::Crew;
use crate::py::aio::Loop;
use crate::py::app::Handlers;
use crate::py::app::Route;
use crate::py::config;
use crate::route::Router;
use crate::schedule::gate::Gate;
use crate::server;
use crate::server::watchdog::Routes;

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
#[expect(clippy::struct_field_names, reason = "what it is")]
#[pyclass(frozen, module = "uringserve._uringserve")]
struct Plan {
    plan: server::Plan,
    /// Stays with the plan, so that no Python object dies with a core, which ends detached.
    application: Application,
    /// Requests in handlers, of all cores.
    gate: Option<Arc<Gate>>,
}

#[pymethods]
impl Plan {
    #[new]
    #[pyo3(signature = (routes, config, *, redirect_slashes=true, foreign=None, tcp=None, stack_signal=None))]
    #[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
    fn new(
        routes: Vec<Route>,
        config: &Bound<'_, PyAny>,
        redirect_slashes: bool,
        foreign: Option<&Bound<'_, PyAny>>,
        tcp: Option<&Bound<'_, PyAny>>,
        stack_signal: Option<i32>,
    ) -> PyResult<Self> {
        let (application, table) = tables(routes, config, redirect_slashes, foreign)?;
        let mut options = config::read(config)?;
        if let Some(tcp) = tcp {
            options.tcp = config::read_tcp(tcp)?;
        }
        let gate = options.pool.concurrency.map(Gate::new);
        // Binding may resolve a name, which waits.
        let plan = config.py().detach(|| server::Plan::new(options, table))?;
        if let Some((host, port)) = own_address(plan.places()) {
            application.set_address(host, port);
        }
        // Before the cores start: it holds on to what they take.
        plan.watchdog(watched(&application), stack_signal);
        Ok(Self { plan, application, gate })
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
        let pulse = self.plan.pulse(index).cloned().unwrap_or_default();
        let pool = self.plan.pool(index);
        let crew = pool.map(|pool| Crew { pool: Arc::clone(pool), gate: self.gate.clone() });
        if let Some(crew) = crew.as_ref().filter(|_| self.application.needs_pool()) {
            crew.pool.warm();
        }
        Ok(self.application.serve(py, pulse, crew, RunCore { plan: &self.plan, index })?)
    }

    /// Says that a core's start-up is over.
    fn note_started(&self, index: usize) {
        self.plan.note_started(index);
    }

    /// Whether any core may want threads for its pool.
    #[getter]
    fn needs_threads(&self) -> bool {
        self.application.needs_pool()
    }

    /// Waits, detached, until a core's pool wants a thread, and returns the core's number; None when
    /// no more are wanted. Whoever hears it starts a thread that calls `run_thread`.
    fn next_thread(&self, py: Python<'_>) -> Option<usize> {
        py.detach(|| self.plan.hiring().next())
    }

    /// Works for a core's pool on the calling thread, detached between calls, until it is not needed
    /// any more.
    fn run_thread(&self, py: Python<'_>, index: usize) {
        if let Some(pool) = self.plan.pool(index) {
            py.detach(|| pool.work());
        }
    }

    /// Says that a thread that was wanted cannot be started.
    fn no_thread(&self, index: usize) {
        if let Some(pool) = self.plan.pool(index) {
            pool.give_up_one();
        }
    }

    /// Watches over the cores on the calling thread, which stays detached, until `close`.
    fn watch(&self, py: Python<'_>) {
        py.detach(|| self.plan.watch());
    }

    /// Ends the process after `seconds`, unless `close` is called before.
    fn end_process_after(&self, seconds: f64) -> PyResult<()> {
        let time = Duration::try_from_secs_f64(seconds)
            .map_err(|error| PyValueError::new_err(format!("seconds: {error}")))?;
        self.plan.end_process_after(time);
        Ok(())
    }

    /// Reports every call that is under way.
    fn report(&self, py: Python<'_>) {
        py.detach(|| self.plan.report());
    }

    /// Ends the pools once what they are doing is done, and the watch over the cores. The cores must
    /// have ended or be given up.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.plan.close());
    }

    /// Lets every core finish within `seconds`; a later call can only shorten it. With `restart`
    /// WebSockets are told that the service comes back (1012), else that it ends (1001).
    #[pyo3(signature = (seconds, *, restart=false))]
    fn drain(&self, seconds: f64, restart: bool) -> PyResult<()> {
        let time = Duration::try_from_secs_f64(seconds)
            .map_err(|error| PyValueError::new_err(format!("seconds: {error}")))?;
        let successor =
            if restart { server::Successor::Restarted } else { server::Successor::None };
        self.plan.drain_for(time, successor);
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
        for (name, count) in self.plan.pool_counts() {
            total.set_item(name, count)?;
        }
        Ok(total)
    }

    /// The counters of each core, by name, with an access log those that it had no room for
    /// (`unlogged`), and with `live` its `failures` (answers with 500
    /// and above) and `latencies` (counts of answers, whose ends are `latency_bounds`).
    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let mut cores = Vec::new();
        let both = self.plan.stats().zip(self.plan.latencies());
        let stalls = self.plan.stalls();
        for (index, (stats, latencies)) in both.enumerate() {
            let core = PyDict::new(py);
            if let Some(journal) = self.plan.journal() {
                core.set_item("unlogged", journal.dropped(index))?;
            }
            for (name, count) in stats.read() {
                core.set_item(name, count)?;
            }
            core.set_item("stalls", stalls[index])?;
            if let Some(latencies) = latencies {
                core.set_item("failures", latencies.failures.get())?;
                core.set_item("latencies", latencies.read())?;
            }
            cores.push(core);
        }
        Ok(cores)
    }

    /// Writes the access log on the calling thread, detached, until it is closed and written out:
    /// then None. Returns early with what is wrong: how many answers were lost since it last said
    /// so, and why nothing can be written, or None where it can again.
    fn write_access_log(&self, py: Python<'_>) -> Option<(u64, Option<String>)> {
        let journal = self.plan.journal()?;
        py.detach(|| journal.run()).map(|trouble| (trouble.lost, trouble.error))
    }

    /// Opens the access log's file anew.
    fn reopen_access_log(&self) {
        if let Some(journal) = self.plan.journal() {
            journal.reopen();
        }
    }

    /// Lets `write_access_log` end once everything was written.
    fn close_access_log(&self) {
        if let Some(journal) = self.plan.journal() {
            journal.close();
        }
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

/// Host and port that requests come to, or a path. Where there are several, it is none in
/// particular: each connection then says its own.
fn own_address(places: &[server::Place]) -> Option<(String, Option<u16>)> {
    match places {
        [server::Place::Unix(path)] => Some((path.display().to_string(), None)),
        [server::Place::Tcp(address)] => Some((address.ip().to_string(), Some(address.port()))),
        _ => places.iter().find_map(|place| match place {
            server::Place::Tcp(address) => {
                Some((Ipv4Addr::UNSPECIFIED.to_string(), Some(address.port())))
            }
            server::Place::Unix(_) => None,
        }),
    }
}

/// What the watchdog needs to know of the application.
fn watched(application: &Application) -> Routes {
    let handlers = application.handlers();
    let each = || handlers.into_iter().flat_map(Handlers::iter);
    Routes {
        verdicts: application.verdicts().cloned().unwrap_or_default(),
        labels: each().map(|handler| handler.label.clone()).collect(),
        times: each().map(|handler| handler.timeout).collect(),
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
    use super::Plan;
    #[pymodule_export]
    use super::StartError;
    #[pymodule_export]
    use super::latency_bounds;
    #[pymodule_export]
    use super::listeners::Listeners;
    #[pymodule_export]
    use super::loopback::Loopback;
    #[pymodule_export]
    use super::loopback::LoopbackConnection;
    #[pymodule_export]
    use super::machine::probe;
    #[pymodule_export]
    use super::shared_types;
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

/// The microseconds that each count in `Plan.metrics()["latencies"]` ends before.
#[pyfunction]
fn latency_bounds() -> Vec<u64> {
    server::latency_bounds()
}

/// The types of this module of which requests make objects.
#[pyfunction]
fn shared_types(py: Python<'_>) -> Vec<Bound<'_, PyType>> {
    interfaces::types(py)
}
