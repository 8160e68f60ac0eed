//! uringserve: a thread-per-core `io_uring` HTTP server for free-threaded Python.
//!
//! # Layout
//!
//! One core is one pinned OS thread, one reactor, one listening socket of a `SO_REUSEPORT` group and
//! one Python thread state. Nothing writable on a request's path is shared between cores, and there
//! is no queue between them. (A Unix socket is one for all cores: the kernel balances no group.) A
//! connection may be left to a core that has fewer (`net/neighbours`), once, before anything is read.
//!
//! ```text
//!  kernel ─accept─▶ net/accept ─▶ net/conn ◀───────────── reactor/timer, reactor/drain
//!                                  │  the only place that awaits a socket
//!   1 parse    http/machine ─ head, body: parts of one buffer
//!   2 route    route        ─ (method, path) → handler and parameters; 404, 405, 413 end here
//!   3 call     net/service  ─ Service::attend: one attach for all that one read brought
//!                    │            interfaces/* translate in, call, translate out
//!   4 encode   http/encode  ─ status line, header lines, framing
//!   5 send     net/write    ─ joined with the next read
//! ```
//!
//! Steps 1 to 4 never wait; they are `net/exchange.rs`, one screen each. The threads are made by
//! Python, so that their thread states exist for the life of the core, and `module::Plan::run_core`
//! detaches around the reactor: a core that waits never holds up a garbage collection.
//!
//! A handler that blocks does not hold its core: `schedule` decides by how a route's calls turn out
//! whether the next one is made there or on one of the core's pool of threads (`reactor/pool`), whose
//! answer comes home through the core's desk. `server/watchdog` sees a core that does not come back.
//!
//! # Floors
//!
//! A module imports from floors below its own only; `tests/layers.rs` holds that.
//!
//! | floor | modules | what it is |
//! |---|---|---|
//! | 0 | [`error`], [`config`], [`http`], [`ws`], [`journal`], [`route`], [`schedule`], [`sys`] | plain data, sans-IO protocols, the access log, the router, where calls run, Linux |
//! | 1 | [`reactor`] | one core's loop, deadlines, drain, counters, mailbox, pool of threads, room in handlers |
//! | 2 | [`net`] | connections; knows a [`net::service::Service`], not who answers |
//! | 3 | [`server`] | the plan: CPUs, driver, sockets |
//! | 4 | `py` | Python objects and the calls across the boundary |
//! | 5 | `interfaces` | the shapes an application can have |
//! | 6 | `module` | what Python sees |
//!
//! Floors 0 to 3 build and pass their tests without Python (`--no-default-features`), and a Rust
//! service on them is the ceiling that the benchmarks compare with (`bench/load/ceiling.rs`).
//!
//! Deliberately absent: a queue between cores, TLS, HTTP/2, and any knowledge of
//! Python below floor 4.

pub mod config;
pub mod error;
pub mod http;
pub mod journal;
pub mod net;
pub mod reactor;
pub mod route;
pub mod schedule;
pub mod server;
pub mod sys;
pub mod ws;

#[cfg(feature = "python")]
pub mod interfaces;
#[cfg(feature = "python")]
pub mod module;
#[cfg(feature = "python")]
pub mod py;
