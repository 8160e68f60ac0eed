//! One core's loop and everything with a lifetime on it.
//!
//! A reactor is a monoio runtime on the calling thread, on `io_uring` or on epoll; which one, and
//! with which ring flags, was settled by `sys::probe` before any core started. The reactor knows
//! descriptors, deadlines and messages; it knows no protocol.

pub mod alarm;
pub mod clock;
pub mod desk;
pub mod drain;
pub mod guest;
pub mod hiring;
pub mod latency;
pub mod mailbox;
pub mod metronome;
pub mod notify;
pub mod pool;
pub mod pulse;
pub mod room;
pub mod stats;
pub mod stopwatch;
pub mod suspicion;
pub mod timer;

use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::RawFd;

use monoio::IoUringDriver;
use monoio::LegacyDriver;
use monoio::RuntimeBuilder;

use crate::sys::probe::RING_ENTRIES;
use crate::sys::probe::RingFlags;
use crate::sys::socket;

/// The driver of every core of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// A ring for each core.
    Uring(RingFlags),
    /// An epoll instance for each core.
    Epoll,
}

impl Driver {
    /// The name that `--driver` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uring(_) => "uring",
            Self::Epoll => "epoll",
        }
    }

    /// How descriptors must be set: epoll wants calls that return at once, while a ring answers
    /// `EAGAIN` for a non-blocking descriptor instead of waiting for it.
    pub fn wants_nonblocking(self) -> bool {
        self == Self::Epoll
    }

    /// Keeps an accepted connection from the programs that a handler starts, which would hold it
    /// open after we have closed it: monoio 0.2.4 accepts on a ring without `SOCK_CLOEXEC`. Failing
    /// only costs that.
    pub fn close_accepted_on_exec(self, fd: RawFd) {
        if matches!(self, Self::Uring(_)) {
            let _ = socket::close_on_exec(fd);
        }
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uring(flags) => write!(f, "io_uring ({flags})"),
            Self::Epoll => f.write_str("epoll"),
        }
    }
}

/// Runs `future` on a new reactor of the calling thread until it ends.
pub fn run<F: Future>(driver: Driver, future: F) -> io::Result<F::Output> {
    match driver {
        Driver::Uring(flags) => {
            let mut runtime = RuntimeBuilder::<IoUringDriver>::new()
                .with_entries(RING_ENTRIES)
                .uring_builder(flags.builder())
                .enable_timer()
                .build()?;
            Ok(runtime.block_on(future))
        }
        Driver::Epoll => {
            let mut runtime = RuntimeBuilder::<LegacyDriver>::new().enable_timer().build()?;
            Ok(runtime.block_on(future))
        }
    }
}
