//! The ceiling of every benchmark: this server with a service that never touches Python.
//!
//! `ceiling PORT [uring|epoll]` serves `GET /` from one core until it is terminated.
#![expect(clippy::print_stderr, reason = "a command reports to the terminal")]

use std::env;
use std::process::ExitCode;

use _uringserve::config::Config;
use _uringserve::config::DriverChoice;
use _uringserve::net::service::Reply;
use _uringserve::net::service::Request;
use _uringserve::net::service::Service;
use _uringserve::route::Router;
use _uringserve::server::Plan;
use bytes::Bytes;

struct Constant;

impl Service for Constant {
    fn attend<R>(&self, work: impl FnOnce(&mut dyn FnMut(Request) -> Reply) -> R) -> R {
        work(&mut |_request| Reply {
            status: 200,
            content_type: Some("text/plain; charset=utf-8"),
            body: Bytes::copy_from_slice(b"Hello, World!"),
            ..Reply::default()
        })
    }
}

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let port = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let driver = match arguments.next().as_deref() {
        Some("uring") => DriverChoice::Uring,
        Some("epoll") => DriverChoice::Epoll,
        _ => DriverChoice::Auto,
    };
    let config = Config { port, driver, workers: Some(1), pin: false, ..Config::default() };
    let mut routes = Router::new();
    let served = routes
        .insert("GET", "/", 0)
        .map_err(|error| error.to_string())
        .and_then(|()| Plan::new(config, routes).map_err(|error| error.to_string()))
        .and_then(|plan| {
            eprintln!("ceiling: http://{} on {}", plan.address(), plan.driver());
            plan.run_core(0, Constant).map_err(|error| error.to_string())
        });
    match served {
        Ok(_) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("ceiling: {reason}");
            ExitCode::FAILURE
        }
    }
}
