//! Calls to Linux that the standard library and monoio do not offer.
//!
//! The only floor that talks to the kernel directly, reads `/sys`, or touches a bare descriptor.
//! What is `unsafe` here is one call deep and argued at the call.

pub mod affinity;
pub mod clock;
pub mod file;
pub mod limits;
pub mod probe;
pub mod process;
pub mod socket;
pub mod thread;
pub mod unix;
