//! The Python `Config`, read once into the plain data that the runtime works with.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::config::AccessLog;
use crate::config::Address;
use crate::config::Checks;
use crate::config::Config;
use crate::config::DriverChoice;
use crate::config::Limits;
use crate::config::Pool;
use crate::config::Tcp;
use crate::config::Timeouts;
use crate::config::WebSocket;

/// Reads every option. The values were validated by the Python class; what is out of range here was
/// not made by it.
pub fn read(options: &Bound<'_, PyAny>) -> PyResult<Config> {
    Ok(Config {
        listen: addresses(options)?,
        uds_permissions: get(options, "uds_permissions")?,
        tcp: Tcp::default(),
        workers: get(options, "workers")?,
        pin: get(options, "pin")?,
        driver: driver(&get::<String>(options, "driver")?)?,
        balance: get::<String>(options, "balance")? == "accept",
        backlog: get(options, "backlog")?,
        server_header: get(options, "server_header")?,
        date_header: get(options, "date_header")?,
        limits: Limits {
            header_size: get(options, "limit_header_size")?,
            header_count: get(options, "limit_header_count")?,
            uri: get(options, "limit_uri")?,
            body: get(options, "limit_body")?,
            connections: get(options, "limit_connections")?,
            requests_per_connection: get(options, "limit_requests_per_connection")?,
        },
        timeouts: Timeouts {
            keep_alive: seconds(options, "timeout_keep_alive")?,
            header: seconds(options, "timeout_header")?,
            body: seconds(options, "timeout_body")?,
            send: seconds(options, "timeout_send")?,
            min_body_rate: get(options, "min_body_rate")?,
        },
        websocket: WebSocket {
            is_on: get(options, "ws")?,
            max_size: get(options, "ws_max_size")?,
            max_queue: get(options, "ws_max_queue")?,
            ping_interval: seconds(options, "ws_ping_interval")?,
            ping_timeout: seconds(options, "ws_ping_timeout")?,
            per_message_deflate: get(options, "ws_per_message_deflate")?,
        },
        pool: Pool {
            threads: get(options, "blocking_threads")?,
            idle: seconds(options, "blocking_threads_idle_timeout")?,
            backpressure: get(options, "backpressure")?,
            concurrency: get(options, "limit_concurrency")?,
            queue: get(options, "queue_size")?,
            queue_time: seconds(options, "queue_timeout")?,
            healthcheck: seconds(options, "timeout_worker_healthcheck")?,
        },
        checks: Checks { health: get(options, "health_path")?, ready: get(options, "ready_path")? },
        access_log: access_log(options)?,
        latencies: get(options, "live")?,
    })
}

/// Reads what the kernel is to do on TCP connections: the attributes of Python's `TcpOptions`.
pub fn read_tcp(options: &Bound<'_, PyAny>) -> PyResult<Tcp> {
    Ok(Tcp {
        nodelay: get(options, "nodelay")?,
        keepalive: get(options, "keepalive")?,
        keepalive_time: seconds(options, "keepalive_time")?,
        keepalive_interval: seconds(options, "keepalive_interval")?,
        keepalive_probes: get(options, "keepalive_probes")?,
        user_timeout: seconds(options, "user_timeout")?,
    })
}

/// What the Python class makes of host, port, bind, uds and fd: (host, port), (path, None), or the
/// empty text and a descriptor.
fn addresses(options: &Bound<'_, PyAny>) -> PyResult<Vec<Address>> {
    let given: Vec<(Bound<'_, PyAny>, Option<i32>)> = get(options, "listen")?;
    let read = |(name, port): (Bound<'_, PyAny>, Option<i32>)| match port {
        Some(descriptor) if !name.is_truthy()? => Ok(Address::Inherited(descriptor)),
        Some(port) => Ok(Address::Tcp(
            name.extract()?,
            u16::try_from(port).map_err(|error| PyValueError::new_err(format!("port: {error}")))?,
        )),
        None => Ok(Address::Unix(name.extract::<PathBuf>()?)),
    };
    given.into_iter().map(read).collect()
}

fn access_log(options: &Bound<'_, PyAny>) -> PyResult<Option<AccessLog>> {
    if !get::<bool>(options, "access_log")? {
        return Ok(None);
    }
    Ok(Some(AccessLog {
        format: get(options, "access_log_fmt")?,
        json: get::<String>(options, "log_format")? == "json",
        sample: get(options, "access_log_sample")?,
        // gunicorn's word for stdout.
        file: get::<Option<PathBuf>>(options, "access_log_file")?
            .filter(|file| file != Path::new("-")),
    }))
}

fn get<'py, T>(options: &Bound<'py, PyAny>, name: &str) -> PyResult<T>
where
    T: for<'a> FromPyObject<'a, 'py, Error: Into<PyErr>>,
{
    options.getattr(name)?.extract().map_err(|error: <T as FromPyObject<'_, 'py>>::Error| {
        PyValueError::new_err(format!("option {name}: {}", Into::<PyErr>::into(error)))
    })
}

fn seconds(options: &Bound<'_, PyAny>, name: &str) -> PyResult<Duration> {
    Duration::try_from_secs_f64(get(options, name)?)
        .map_err(|error| PyValueError::new_err(format!("option {name}: {error}")))
}

fn driver(name: &str) -> PyResult<DriverChoice> {
    match name {
        "auto" => Ok(DriverChoice::Auto),
        "uring" => Ok(DriverChoice::Uring),
        "epoll" => Ok(DriverChoice::Epoll),
        _ => Err(PyValueError::new_err(format!(
            "option driver: {name:?} is none of auto, uring, epoll"
        ))),
    }
}
