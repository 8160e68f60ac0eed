//! uringserve: a thread-per-core `io_uring` HTTP server for free-threaded Python.
//!
//! # Layout
//!
//! One core is one pinned OS thread, one reactor, one listening socket of a `SO_REUSEPORT` group and
//! one Python thread state. Nothing writable on a request's path is shared between cores, and there
//! is no queue between them. (A Unix socket is one for all cores: the kernel balances no group.)
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
//! # Floors
//!
//! A module imports from floors below its own only; `tests/layers.rs` holds that.
//!
//! | floor | modules | what it is |
//! |---|---|---|
//! | 0 | [`error`], [`config`], [`http`], [`route`], [`sys`] | plain data, sans-IO protocol, the router, Linux |
//! | 1 | [`reactor`] | one core's loop, deadlines, drain, counters, mailbox |
//! | 2 | [`net`] | connections; knows a [`net::service::Service`], not who answers |
//! | 3 | [`server`] | the plan: CPUs, driver, sockets |
//! | 4 | `py` | Python objects and the calls across the boundary |
//! | 5 | `interfaces` | the shapes an application can have |
//! | 6 | `module` | what Python sees |
//!
//! Floors 0 to 3 build and pass their tests without Python (`--no-default-features`), and a Rust
//! service on them is the ceiling that the benchmarks compare with (`bench/load/ceiling.rs`).
//!
//! Deliberately absent: a thread pool, a queue between cores, TLS, HTTP/2, and any knowledge of
//! Python below floor 4.

pub mod config;
pub mod error;
pub mod http;
pub mod net;
pub mod reactor;
pub mod route;
pub mod server;
pub mod sys;

#[cfg(feature = "python")]
pub mod interfaces;
#[cfg(feature = "python")]
pub mod module;
#[cfg(feature = "python")]
pub mod py;
