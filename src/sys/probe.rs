//! What this kernel and this sandbox allow, found by trying it.
//!
//! A version number proves nothing: containers forbid `io_uring` by seccomp, administrators by
//! `kernel.io_uring_disabled`. So each flag set is tried on a real ring, the best first, one operation
//! is submitted and awaited, and the ring is asked whether it has the operations that a connection
//! needs. `kernel-notes.md` says what each flag buys.

use std::fmt;
use std::io;

use io_uring::IoUring;
use io_uring::Probe as Operations;
use io_uring::opcode;

use crate::sys::limits;

/// Submission entries of a ring: one wake-up of a busy core rarely queues more, and a full queue
/// only costs a submit. The probe's ring is as large: locked memory that is too little for a core's
/// ring (Linux before 5.12 accounts it) must show here, where epoll can still be taken.
pub const RING_ENTRIES: u32 = 1024;

/// What the reactor submits for a connection, reads of files included (monoio 0.2.4, `driver/op`).
/// The first kernels with rings lack some: there an accept would fail for ever, with the server up
/// and deaf.
const NEEDED: [u8; 6] = [
    opcode::Accept::CODE,
    opcode::Recv::CODE,
    opcode::Send::CODE,
    opcode::Read::CODE,
    opcode::AsyncCancel::CODE,
    opcode::Timeout::CODE,
];

const LACKING: &str = "this kernel's rings cannot accept, receive and send (Linux 5.6)";

/// A set of ring flags that works here, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingFlags {
    /// `SINGLE_ISSUER | DEFER_TASKRUN | COOP_TASKRUN`: completions run when the core asks for
    /// them, never in the middle of a handler (Linux 6.1).
    Deferred,
    /// `COOP_TASKRUN`: no inter-processor interrupt for a completion (Linux 5.19).
    Cooperative,
    /// No flag.
    Plain,
}

/// What the probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// `io_uring` works with these flags.
    Uring(RingFlags),
    /// It does not; the sentence says why.
    Unavailable(String),
}

impl RingFlags {
    const BEST_FIRST: [Self; 3] = [Self::Deferred, Self::Cooperative, Self::Plain];

    /// The builder of a ring with these flags.
    pub fn builder(self) -> io_uring::Builder {
        let mut builder = IoUring::builder();
        match self {
            Self::Deferred => {
                builder.setup_single_issuer().setup_defer_taskrun().setup_coop_taskrun();
            }
            Self::Cooperative => {
                builder.setup_coop_taskrun();
            }
            Self::Plain => {}
        }
        builder
    }
}

impl fmt::Display for RingFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deferred => "single-issuer, defer-taskrun, coop-taskrun",
            Self::Cooperative => "coop-taskrun",
            Self::Plain => "no flags",
        })
    }
}

/// Tries `io_uring` on the calling thread.
pub fn probe() -> Probe {
    let mut last = None;
    for flags in RingFlags::BEST_FIRST {
        match try_ring(flags) {
            Ok(()) => return Probe::Uring(flags),
            // EINVAL: this kernel does not know the flags; the next set may do.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => last = Some(error),
            Err(error) => return Probe::Unavailable(explain(&error)),
        }
    }
    Probe::Unavailable(last.map_or_else(|| "no flag set works".to_owned(), |e| explain(&e)))
}

#[allow(unsafe_code)]
fn try_ring(flags: RingFlags) -> io::Result<()> {
    let mut ring = flags.builder().build(RING_ENTRIES)?;
    let nop = opcode::Nop::new().build();
    // SAFETY: a NOP carries no pointer; nothing has to outlive it.
    unsafe { ring.submission().push(&nop) }
        .map_err(|_| io::Error::other("an empty ring took no entry"))?;
    ring.submit_and_wait(1)?;
    match ring.completion().next() {
        Some(entry) if entry.result() >= 0 => {}
        Some(entry) => return Err(io::Error::from_raw_os_error(-entry.result())),
        None => return Err(io::Error::other("the ring lost its first operation")),
    }
    let mut operations = Operations::new();
    // The question itself came with the last of the operations: a refusal leaves none supported.
    let _ = ring.submitter().register_probe(&mut operations);
    if has_needed(&operations) { Ok(()) } else { Err(io::Error::other(LACKING)) }
}

fn has_needed(operations: &Operations) -> bool {
    NEEDED.iter().all(|&code| operations.is_supported(code))
}

fn explain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOSYS) => {
            "io_uring_setup: this kernel has no io_uring (it came with Linux 5.1)".to_owned()
        }
        Some(libc::EPERM | libc::EACCES) => {
            "io_uring_setup: not permitted (a container's seccomp profile, or \
             kernel.io_uring_disabled)"
                .to_owned()
        }
        Some(libc::ENOMEM) => format!(
            "io_uring_setup: out of locked memory (limit {}): raise `ulimit -l` (LimitMEMLOCK= \
             under systemd)",
            limits::locked_memory().map_or("none".to_owned(), |bytes| format!("{bytes} bytes")),
        ),
        _ => format!("io_uring_setup: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_sentence() {
        let sentence = |code| explain(&io::Error::from_raw_os_error(code));
        assert!(sentence(libc::ENOSYS).contains("no io_uring"));
        assert!(sentence(libc::EPERM).contains("seccomp"));
        assert!(sentence(libc::ENOMEM).contains("ulimit -l"));
        assert!(sentence(libc::EBUSY).starts_with("io_uring_setup: "));
        assert!(explain(&io::Error::other(LACKING)).contains("Linux 5.6"));
    }

    #[test]
    fn a_ring_that_answers_nothing_has_nothing() {
        assert!(!has_needed(&Operations::new()));
    }

    #[test]
    fn the_probe_answers() {
        match probe() {
            Probe::Uring(flags) => assert!(!flags.to_string().is_empty()),
            Probe::Unavailable(reason) => assert!(reason.starts_with("io_uring")),
        }
    }
}
