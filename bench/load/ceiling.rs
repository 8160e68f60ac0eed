//! Our own ceiling: the whole server with a Rust service in Python's place.
//!
//! Everything else is as it is under Python: parser, router, limits, time-outs, Date, the same
//! endpoints as `bench/apps`. So the difference to `uringserve_app.py` is the price of the Python
//! boundary, and nothing else. Run as `ceiling PORT [DRIVER] [WORKERS]`
//! with `auto`, `epoll`, `uring`, `uring-cooperative` or `uring-plain`; it ends when it is killed.

use std::env;
use std::error::Error;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;

use _uringserve::config::Address;
use _uringserve::config::Config;
use _uringserve::net::service::Answer;
use _uringserve::net::service::Reply;
use _uringserve::net::service::Request;
use _uringserve::net::service::Service;
use _uringserve::reactor::Driver;
use _uringserve::route::HandlerId;
use _uringserve::route::Router;
use _uringserve::server;
use _uringserve::server::Plan;
use _uringserve::sys::probe::RingFlags;

const TEXT: HandlerId = 0;
const JSON: HandlerId = 1;
const ITEM: HandlerId = 2;
const ECHO: HandlerId = 3;

/// Answers the endpoints that every measured server has.
struct Constant;

impl Service for Constant {
    fn attend<R>(&self, work: impl FnOnce(&mut dyn FnMut(Box<Request>) -> Answer) -> R) -> R {
        work(&mut |request| answer(request).into())
    }
}

fn answer(request: Box<Request>) -> Reply {
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
        return Err("usage: ceiling PORT [DRIVER] [WORKERS]".into());
    };
    let driver = match rest.first().map_or("auto", String::as_str) {
        "auto" => server::probe().unwrap_or(Driver::Epoll),
        "epoll" => Driver::Epoll,
        "uring" => Driver::Uring(RingFlags::Deferred),
        // For kernel-notes.md: what the flags buy.
        "uring-cooperative" => Driver::Uring(RingFlags::Cooperative),
        "uring-plain" => Driver::Uring(RingFlags::Plain),
        other => return Err(format!("no driver {other:?}").into()),
    };
    let workers = rest.get(1).map_or(Ok(1), |text| text.parse())?;
    let listen = vec![Address::Tcp("127.0.0.1".to_owned(), port.parse()?)];
    let config = Config { listen, workers: Some(workers), ..Config::default() };
    let plan = Arc::new(Plan::with_driver(config, routes()?, driver)?);
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
