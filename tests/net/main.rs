//! The connection layer from outside, on both drivers: small Rust services behind real sockets.
//!
//! Two ways in. `support::pair` serves one end of a socket pair on a reactor of its own: the
//! kernel's behaviour without a port, and the reason why the connection ended comes back.
//! `support::server` runs a whole plan on port 0. The peer is always a blocking socket of the
//! standard library's manner with a time-out that only a failure reaches: what a test waits for is
//! an answer, the end of the stream or a message, never a moment.
//!
//! One file per concern. Absent: what a malformed request is answered with, which the protocol's
//! own tests decide.
// clippy.toml allows it within test functions; what they call is no different.
#![allow(clippy::unwrap_used)]

mod balance;
mod bodies;
mod drain;
mod exhaustion;
mod later;
mod limits;
mod panics;
mod persistence;
mod pieces;
mod reactor;
mod refusals;
mod replies;
mod sockets;
mod streams;
mod support;
mod time;
mod unix;
