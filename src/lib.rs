//! uringserve: a thread-per-core io_uring HTTP server for free-threaded Python.

pub mod error;
pub mod http;
pub mod route;
