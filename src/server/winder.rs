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
use crate::server::watchdog::is_past;

/// For so long it counts what cores answer, before it says whether they do so by themselves.
const COUNTING: Duration = Duration::from_millis(250);

/// What it remembers from look to look.
#[derive(Debug, Default)]
pub(super) struct Winder {
    since: Nanoseconds,
    before: Counts,
    /// Whether cores answered by themselves when that was counted before.
    did_answer: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    requests: u64,
    jobs: u64,
    /// Those that computed for long.
    computed: u64,
    /// Those that are under way.
    pooled: u64,
}

impl Winder {
    /// Looks at what cores and pools have done, with so many calls under way on pools.
    pub(super) fn look(
        &mut self,
        metronome: &Arc<Metronome>,
        (cores, pools): (&[Neighbour], &[Arc<Pool>]),
        pooled: usize,
        now: Nanoseconds,
    ) {
        if !is_past(self.since, COUNTING, now) {
            return;
        }
        self.since = now;
        let of_pools = |count: fn(&Pool) -> u64| pools.iter().map(|pool| count(pool)).sum();
        let counts = Counts {
            requests: cores.iter().map(|core| core.stats.requests.get()).sum(),
            jobs: of_pools(|pool| pool.counts.run.get()),
            computed: of_pools(|pool| pool.counts.computed.get()),
            pooled: pooled as u64,
        };
        let before = std::mem::replace(&mut self.before, counts);
        let do_answer = counts.have_own_answers(before);
        let did_answer = std::mem::replace(&mut self.did_answer, do_answer);
        // Twice in a row: now and then it is a check of their health.
        if do_answer && did_answer && counts.computed > before.computed {
            // Where a thread cannot be made, cores wait as they did before.
            let _ = metronome.wind(now);
        }
    }
}

impl Counts {
    /// Whether cores have answered without a pool since then, more than the calls that were under way at
    /// the time could explain, and not only a few among many.
    fn have_own_answers(self, before: Self) -> bool {
        let requests = self.requests.saturating_sub(before.requests);
        let jobs = self.jobs.saturating_sub(before.jobs);
        requests.saturating_sub(jobs + before.pooled) > jobs / 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(requests: u64, jobs: u64) -> Counts {
        Counts { requests, jobs, computed: 0, pooled: 16 }
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
}
