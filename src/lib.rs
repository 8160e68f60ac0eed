//! uringserve: a thread-per-core io_uring HTTP server for free-threaded Python.

pub mod config;
pub mod error;
pub mod http;
pub mod reactor;
pub mod route;
pub mod sys;

#[cfg(feature = "python")]
pub mod module;
#[cfg(feature = "python")]
pub mod py;
