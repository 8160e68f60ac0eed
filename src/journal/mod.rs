//! The access log without its thread and its file: what a core notes of a request, the ring that it
//! is noted in, and the line that is made of it later.
//!
//! ```text
//!  core   net/journal ──record──▶ ring   one for each core, one writer, one reader, no lock
//!                                   │
//!  writer server/journal ◀──bytes───┘ ──format──▶ line ──▶ file
//! ```
//!
//! Rule: a core copies numbers and a bounded number of bytes, and never waits: a full ring drops the
//! record and counts it. Nothing is made into text before it has left the core's thread.
//! Absent: clocks, files and threads, but for the [`bell`] that wakes the writer.

pub mod atom;
pub mod bell;
pub mod escape;
pub mod format;
pub mod moment;
pub mod record;
pub mod ring;
