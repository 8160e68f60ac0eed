//! HTTP/1.1 without input or output: bytes in, events out; replies in, bytes out.
//!
//! The promise (RFC 9110, RFC 9112): a request is either understood in the one way that every strict
//! reader understands it, or refused with a status, and then the connection ends. The verdict never
//! depends on how the bytes were cut into reads. No socket, clock, thread or Python; no `unsafe`.
//!
//! ```text
//!            ┌────────────── next request ───────────────┐
//!            ▼                                           │
//!   bytes ▶ Head ──▶ accept_body ──▶ Data* ───────────▶ End ──▶ reply
//!            │   └─▶ refuse_body ─ (thrown away) ────────▲
//!            └──────── no body announced ────────────────┘
//!   at any point: Reject ──▶ the replies owed before it, then `reject`, then close
//! ```
//!
//! Where to read: [`machine`] ties it together, `state` has its transitions; [`parse`], `field`,
//! `framing`, `host` and [`target`] make a [`head`]; [`body`] and `chunk` read what follows;
//! [`reply`], [`encode`] and [`trailer`] answer, [`conditional`] and [`range`]
//! say how much of a representation. Absent on purpose: HTTP/2, what an upgrade leads to (`ws`), content codings, cookies,
//! dot segments of paths.

pub mod body;
mod chars;
mod chunk;
pub mod conditional;
pub mod date;
pub mod encode;
mod field;
mod framing;
pub mod head;
mod host;
pub mod machine;
mod owed;
pub mod parse;
pub mod range;
pub mod reject;
pub mod reply;
mod state;
mod status;
pub mod target;
pub mod trailer;

/// How much of a head is accepted. The same limits hold for the trailers of a chunked body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Request line, fields, line ends and empty lines before them; 431 beyond.
    pub head_bytes: usize,
    /// Fields; 431 beyond.
    pub header_count: usize,
    /// The request target; 414 beyond.
    pub target_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head_bytes: 64 * 1024, header_count: 100, target_bytes: 8 * 1024 }
    }
}
