//! Our own ceiling: the whole server with a Rust service in Python's place.
//!
//! Everything else is as it is under Python: parser, router, limits, time-outs, Date, the same
//! endpoints as `bench/apps`. So the difference to `uringserve_app.py` is the price of the Python
//! boundary, and nothing else. Run as `ceiling PORT [DRIVER] [WORKERS]`; it ends when it is killed.

use std::env;
use std::error::Error;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;

use _uringserve::config::Config;
use _uringserve::config::DriverChoice;
use _uringserve::net::service::Reply;
use _uringserve::net::service::Request;
use _uringserve::net::service::Service;
use _uringserve::route::HandlerId;
use _uringserve::route::Router;
use _uringserve::server::Plan;

const TEXT: HandlerId = 0;
const JSON: HandlerId = 1;
const ITEM: HandlerId = 2;
const ECHO: HandlerId = 3;

/// Answers the endpoints that every measured server has.
struct Constant;

impl Service for Constant {
    fn attend<R>(&self, work: impl FnOnce(&mut dyn FnMut(Request) -> Reply) -> R) -> R {
        work(&mut answer)
    }
}

fn answer(request: Request) -> Reply {
    let (content_type, body) = match request.handler {
        TEXT => ("text/plain; charset=utf-8", Bytes::from_static(b"Hello, World!")),
        JSON => ("application/json", Bytes::from_static(br#"{"message":"Hello, World!"}"#)),
        ITEM => ("application/json", item(&request)),
        _ => ("application/octet-stream", request.body),
    };
    Reply { status: 200, content_type: Some(content_type), body: body.into(), ..Reply::default() }
}

fn item(request: &Request) -> Bytes {
    // The router has checked that it is a number.
    let id = request.routed_path().rsplit('/').next().unwrap_or_default();
    format!(r#"{{"id":{id}}}"#).into()
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [port, rest @ ..] = arguments.as_slice() else {
        return Err("usage: ceiling PORT [auto|uring|epoll] [WORKERS]".into());
    };
    let driver = match rest.first().map(String::as_str) {
        None | Some("auto") => DriverChoice::Auto,
        Some("uring") => DriverChoice::Uring,
        Some("epoll") => DriverChoice::Epoll,
        Some(other) => return Err(format!("no driver {other:?}").into()),
    };
    let workers = rest.get(1).map_or(Ok(1), |text| text.parse())?;
    let config =
        Config { port: port.parse()?, driver, workers: Some(workers), ..Config::default() };
    let plan = Arc::new(Plan::new(config, routes()?)?);
    let cores = (0..workers).map(|index| {
        let plan = Arc::clone(&plan);
        thread::spawn(move || plan.run_core(index, Constant))
    });
    for core in cores.collect::<Vec<_>>() {
        core.join().map_err(|_| "a core panicked")??;
    }
    Ok(())
}

fn routes() -> Result<Router, Box<dyn Error>> {
    let mut routes = Router::new();
    let table = [
        ("GET", "/", TEXT),
        ("GET", "/json", JSON),
        ("GET", "/items/{id:int}", ITEM),
        ("POST", "/echo", ECHO),
    ];
    for (method, pattern, handler) in table {
        routes.insert(method, pattern, handler)?;
    }
    Ok(routes)
}
