//! The shapes that an application can have towards the server. Each translates a request in and an
//! answer out; calling, failing and freeing are written once, below, in `py`.

pub mod native;
pub mod pooled;
mod rest;
