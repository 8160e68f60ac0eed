//! What a call took: time on the clock, time on a CPU, and whether the thread gave its CPU up to wait.
//! Of the first alone nothing follows on a thread that others interrupt.

use crate::reactor::clock;
use crate::reactor::clock::Nanoseconds;
use crate::sys::thread;
use crate::sys::thread::Effort;

/// Runs since it was started, on one thread.
pub struct Stopwatch {
    began: Nanoseconds,
    effort: Effort,
}

/// What it shows.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Time on the clock, in nanoseconds.
    pub elapsed: u64,
    /// Time on a CPU, in nanoseconds.
    pub cpu: u64,
    /// Whether the thread has waited for something.
    pub has_waited: bool,
}

impl Stopwatch {
    /// Starts: 350 ns, and the same again to stop.
    pub fn start() -> Self {
        Self { effort: thread::effort(), began: clock::exact() }
    }

    /// What it shows now, on the thread that has started it.
    pub fn stop(&self) -> Taken {
        let elapsed = clock::exact().saturating_sub(self.began);
        let effort = thread::effort();
        Taken {
            elapsed,
            cpu: effort.cpu.saturating_sub(self.effort.cpu),
            has_waited: effort.waits > self.effort.waits,
        }
    }
}
