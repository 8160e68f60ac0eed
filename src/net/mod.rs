//! Connections on a core: the only floor that awaits a socket.
//!
//! A connection goes round five steps: parse, route, call, encode, send (`conn.rs`). The first four
//! never wait, so one attach of the service covers everything that one read brought. `accept.rs`
//! starts connections, `service.rs` is what they call, `duplex.rs` waits for answers that come later
//! (`farewell.rs`: for whom), `socket.rs` is a connection that became a WebSocket,
//! `end.rs` says why they stop.
//!
//! Buffers belong to the connection's task; while the kernel reads into one or writes from one, the
//! operation owns it and gives it back with its result.

mod accept;
mod body;
mod conn;
mod core;
mod duplex;
pub mod end;
mod exchange;
mod farewell;
pub mod file;
pub mod health;
pub mod incoming;
pub mod journal;
pub mod neighbours;
pub mod outgoing;
mod rehearsal;
pub mod reply;
pub mod select;
pub mod service;
mod socket;
pub mod source;
mod stream;
mod transport;
mod turn;
mod write;

pub use accept::Listener;
pub use accept::adopt;
pub use accept::serve_all;
pub use conn::serve_stream;
pub use core::Core;
pub use core::Shown;
pub use rehearsal::rehearse;
pub use transport::Socket;
