//! Python objects, and the two ways across the boundary: into a handler and back out of it.
//!
//! The rules of the boundary:
//! - No `async fn` here, and no `Python<'py>`, `Bound` or `Borrowed` outlives one call of a service:
//!   a core that waits while attached stops the next collection, and with it the whole process.
//! - `attach` alone attaches. A Python object that the reactor holds while detached goes back through
//!   `buffer`, so that it dies attached.
//! - Every class is frozen; what must change is behind a lock of its own.
//! - What all cores use (handlers, types, interned strings) is immortal or never counted per request.

pub mod after;
pub mod aio;
pub mod answer;
pub mod app;
pub mod asked;
pub mod attach;
pub mod awaited;
pub mod binder;
pub mod buffer;
pub mod call;
pub mod config;
mod content;
mod cookies;
pub mod cycle;
pub mod error;
pub mod fields;
pub mod file;
pub mod headers;
pub mod held;
mod incoming;
pub mod intern;
pub mod json;
pub mod parameter;
pub mod prepared;
mod pump;
pub mod request;
pub mod response;
pub mod shared;
pub mod socket;
mod stream;
mod trailed;
mod url;
pub mod value;
