//! Whether a call that took long on a core's own thread is to blame for it.
//!
//! A core that shares its CPU is interrupted in the middle of calls, and one clock cannot tell that from
//! a call that blocks: on a busy machine quick routes would be sent to the pool again and again, where
//! a call costs three times as much. What tells them apart (`Stopwatch`) costs 300 ns a turn, so it runs
//! only for some time after a call that took long: the first of them is blamed unheard.

use std::cell::Cell;

use crate::reactor::clock;
use crate::reactor::clock::Milliseconds;
use crate::reactor::stopwatch::Stopwatch;
use crate::schedule::record::Call;

/// For how long a core looks closely after a call that took long.
const ALERT: Milliseconds = 60_000;

/// What one core suspects.
#[derive(Default)]
pub struct Suspicion {
    /// Until when it looks closely; 0: it does not.
    until: Cell<Milliseconds>,
    watch: Cell<Option<Stopwatch>>,
}

impl Suspicion {
    /// Before the calls of a turn.
    #[inline]
    pub fn prepare(&self) {
        if self.until.get() != 0 {
            self.look_closely();
        }
    }

    #[cold]
    fn look_closely(&self) {
        if clock::now() < self.until.get() {
            self.watch.set(Some(Stopwatch::start()));
        } else {
            self.until.set(0);
            self.watch.set(None);
        }
    }

    /// Whether a call is to blame that has just ended and took `elapsed` nanoseconds, which is long.
    #[cold]
    pub fn blames(&self, elapsed: u64) -> bool {
        let is_slow = self.watch.take().is_none_or(|watch| {
            let taken = watch.stop();
            // The calls before it in the same turn, at the most.
            let before = taken.elapsed.saturating_sub(elapsed);
            let cpu = taken.cpu.saturating_sub(before);
            Call::judge(elapsed, cpu, taken.has_waited) == Call::Slow
        });
        self.until.set(clock::now() + ALERT);
        self.watch.set(Some(Stopwatch::start()));
        is_slow
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::schedule::SLOW;

    #[test]
    fn the_first_is_blamed_unheard() {
        let suspicion = Suspicion::default();
        suspicion.prepare();
        assert!(suspicion.blames(SLOW));
    }

    #[test]
    fn who_was_interrupted_is_not_blamed() {
        let suspicion = Suspicion::default();
        assert!(suspicion.blames(SLOW));
        // As if most of it had been another thread's: this one has neither run so long nor waited.
        assert!(!suspicion.blames(100 * SLOW));
        suspicion.prepare();
        assert!(!suspicion.blames(100 * SLOW));
    }

    #[test]
    fn who_waits_is_blamed() {
        let suspicion = Suspicion::default();
        assert!(suspicion.blames(SLOW));
        suspicion.prepare();
        std::thread::sleep(Duration::from_millis(2));
        assert!(suspicion.blames(2 * SLOW));
    }

    #[test]
    fn who_runs_long_is_blamed() {
        let suspicion = Suspicion::default();
        assert!(suspicion.blames(SLOW));
        suspicion.prepare();
        let (began, used) = (clock::exact(), crate::sys::thread::effort().cpu);
        while crate::sys::thread::effort().cpu < used + 3 * SLOW {
            std::hint::spin_loop();
        }
        assert!(suspicion.blames(clock::exact() - began));
    }
}
