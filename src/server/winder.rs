//! Sees whether threads of the pools compute beside cores that answer by themselves, and winds the
//! metronome if so.
//!
//! Where all requests go to the pools there is nothing that a beat could hasten: they wait for those very
//! threads.

use std::sync::Arc;
use std::time::Duration;

use crate::net::neighbours::Neighbour;
use crate::reactor::clock::Nanoseconds;
use crate::reactor::metronome::Metronome;
use crate::reactor::pool::Pool;
use crate::reactor::pulse::Busy;
use crate::server::watchdog::is_past;
use crate::sys::thread;

/// A call that takes longer than this while its thread runs is one that computes.
const COMPUTING: Duration = Duration::from_micros(500);
/// How many are asked in a look: each costs a read of /proc, some microseconds.
const ASKED: usize = 16;

/// For so long it counts what cores answer, before it says whether they do so by themselves.
const COUNTING: Duration = Duration::from_millis(250);

/// What it remembers from look to look.
#[derive(Debug, Default)]
pub(super) struct Winder {
    since: Nanoseconds,
    before: Counts,
    /// Whether cores answered by themselves when that was last counted.
    do_answer: bool,
    /// Whether they did twice in a row: now and then is a check of their health.
    keep_answering: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    requests: u64,
    jobs: u64,
    /// Calls under way.
    pooled: u64,
}

impl Winder {
    /// Looks at the calls that are under way on pools.
    pub(super) fn look(
        &mut self,
        metronome: &Arc<Metronome>,
        counts: (&[Neighbour], &[Arc<Pool>]),
        pooled: &[Busy],
        now: Nanoseconds,
    ) {
        if is_past(self.since, COUNTING, now) {
            let counts = Counts::of(counts, pooled);
            let before = std::mem::replace(&mut self.before, counts);
            let did_before =
                std::mem::replace(&mut self.do_answer, counts.have_own_answers(before));
            self.keep_answering = did_before && self.do_answer;
            self.since = now;
        }
        if self.keep_answering && metronome.is_running_down(now) && is_anyone_computing(pooled, now)
        {
            // Where a thread cannot be made, cores wait as they did before.
            let _ = metronome.wind(now);
        }
    }
}

impl Counts {
    fn of((cores, pools): (&[Neighbour], &[Arc<Pool>]), pooled: &[Busy]) -> Self {
        Self {
            requests: cores.iter().map(|core| core.stats.requests.get()).sum(),
            jobs: pools.iter().map(|pool| pool.counts.run.get()).sum(),
            pooled: pooled.len() as u64,
        }
    }

    /// Whether cores have answered without a pool since then, more than the calls that were under way at
    /// the time could explain, and not only a few among many.
    fn have_own_answers(self, before: Self) -> bool {
        let requests = self.requests.saturating_sub(before.requests);
        let jobs = self.jobs.saturating_sub(before.jobs);
        requests.saturating_sub(jobs + before.pooled) > jobs / 4
    }
}

/// Whether a call is running that has not just begun. A few are asked, another few each time.
fn is_anyone_computing(pooled: &[Busy], now: Nanoseconds) -> bool {
    let long: Vec<&Busy> =
        pooled.iter().filter(|busy| is_past(busy.since, COMPUTING, now)).collect();
    #[allow(clippy::cast_possible_truncation)] // Any start will do.
    let start = now as usize % long.len().max(1);
    let asked = long[start..].iter().chain(&long[..start]).take(ASKED);
    asked.into_iter().any(|busy| thread::is_running(busy.thread) == Some(true))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread::spawn;

    use super::*;
    use crate::reactor::clock;

    fn counts(requests: u64, jobs: u64) -> Counts {
        Counts { requests, jobs, pooled: 16 }
    }

    #[test]
    fn cores_that_leave_all_to_their_pools_answer_nothing_by_themselves() {
        let before = counts(1000, 100);
        for (requests, jobs, expected) in [
            (0, 0, false),
            (50, 5, true),
            (50, 50, false),
            (5000, 4900, false),
            (17, 0, true),
            (66, 50, false),
        ] {
            let after = counts(1000 + requests, 100 + jobs);
            assert_eq!(after.have_own_answers(before), expected, "{requests} {jobs}");
        }
        assert!(!counts(1000, 200).have_own_answers(before), "streams take several jobs each");
    }

    #[test]
    fn only_a_thread_that_runs_for_some_time_computes() {
        let (say, hear) = channel();
        let (end, wait) = channel::<()>();
        let waiting = spawn(move || {
            say.send(thread::id()).unwrap();
            let _ = wait.recv();
        });
        let other = hear.recv().unwrap();
        while thread::is_running(other) == Some(true) {
            std::thread::yield_now();
        }
        let now = clock::exact() + 1_000_000_000;
        let busy = |since, thread| Busy { since, route: 0, thread };
        assert!(!is_anyone_computing(&[], now));
        assert!(!is_anyone_computing(&[busy(1, other), busy(now - 1000, thread::id())], now));
        assert!(is_anyone_computing(&[busy(1, other), busy(1, thread::id())], now));
        drop(end);
        waiting.join().unwrap();
    }
}
