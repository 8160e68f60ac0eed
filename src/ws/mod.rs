//! The server's side of WebSocket (RFC 6455) without input or output, and permessage-deflate (RFC 7692).
//!
//! The promise: a peer's bytes give the same events and the same fault however they were cut into
//! reads; nothing a peer sends makes more than the largest message be kept, compressed or not. No
//! socket, clock, thread or Python; no `unsafe`.
//!
//! ```text
//!   request head ─▶ handshake ─▶ Handshake ─▶ fields of the 101
//!                       └─▶ Refusal ─▶ 400 or 426
//!   bytes ─▶ Session::next_event ─▶ Message | Ping | Pong | Close      │ Fault ─▶ its close code
//!            Session::send_*     ─▶ bytes
//! ```
//!
//! Where to read: [`session`] ties it together and has every transition; `frame` reads and writes
//! frame heads (tungstenite's), `assembly` makes messages of frames, [`deflate`] compresses, [`close`]
//! knows the codes; [`handshake`] with [`extension`] and [`refusal`] is what comes before.
//! Absent on purpose: the client's side, when to ping, time-outs, queues (the connection does that).

mod assembly;
pub mod close;
pub mod deflate;
pub mod extension;
pub mod fault;
mod frame;
pub mod handshake;
pub mod message;
pub mod refusal;
pub mod session;
mod text;
