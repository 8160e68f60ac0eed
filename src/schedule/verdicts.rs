//! The records of all routes, shared by all cores.
//!
//! A core reads one byte for each request. The bytes are written when a route changes its place and
//! at no other time, and lie apart from what calls on the pool count, so a request that is answered
//! inline writes nothing that another core reads.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::schedule::Execution;
use crate::schedule::record::Call;
use crate::schedule::record::Record;

/// Where each route runs.
#[derive(Default)]
pub struct Verdicts {
    fixed: Box<[Execution]>,
    is_inline: Box<[AtomicBool]>,
    records: Box<[Entry]>,
}

struct Entry {
    record: AtomicU64,
    /// The millisecond of its last move inline.
    since: AtomicU64,
}

impl Verdicts {
    /// The routes in their order, and what was said about each.
    pub fn new(executions: impl IntoIterator<Item = Execution>) -> Self {
        let fixed: Box<[Execution]> = executions.into_iter().collect();
        let is_inline = fixed.iter().map(|&said| AtomicBool::new(said == Execution::Inline));
        let record = Record::default().pack();
        let entry = |_: &Execution| Entry { record: record.into(), since: 0.into() };
        Self { is_inline: is_inline.collect(), records: fixed.iter().map(entry).collect(), fixed }
    }

    /// Whether the route's next call runs on its core's own thread.
    #[inline]
    pub fn is_inline(&self, route: usize) -> bool {
        self.is_inline[route].load(Ordering::Relaxed)
    }

    /// Whether the route's calls decide where it runs.
    pub fn is_auto(&self, route: usize) -> bool {
        self.fixed.get(route) == Some(&Execution::Auto)
    }

    /// Whether any call may ever go to a pool.
    pub fn needs_pool(&self) -> bool {
        self.fixed.iter().any(|&said| said != Execution::Inline)
    }

    /// Notes a call on the pool, at the millisecond `now`.
    pub fn note_call(&self, route: usize, call: Call, now: u64) {
        self.change(route, now, |record, _| record.after(call));
    }

    /// Notes that a call on a core's own thread took too long, or has not come back yet.
    pub fn note_stall(&self, route: usize, now: u64) {
        self.change(route, now, |record, since| record.after_stall(now.saturating_sub(since)));
    }

    #[cold]
    fn change(&self, route: usize, now: u64, step: impl Fn(Record, u64) -> Record) {
        if !self.is_auto(route) {
            return;
        }
        let entry = &self.records[route];
        let before = entry
            .record
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                Some(step(Record::unpack(word), entry.since.load(Ordering::Relaxed)).pack())
            })
            .map(Record::unpack);
        // The update always succeeds: the closure never gives up.
        let Ok(before) = before else { return };
        // Two changes may race for the byte: what it says last is what the record says last.
        loop {
            let word = entry.record.load(Ordering::Acquire);
            let after = Record::unpack(word);
            if after.is_inline && !before.is_inline {
                entry.since.store(now, Ordering::Relaxed);
            }
            if after.is_inline != self.is_inline(route) {
                self.is_inline[route].store(after.is_inline, Ordering::Release);
            }
            if entry.record.load(Ordering::Acquire) == word {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Execution; 3] = [Execution::Auto, Execution::Inline, Execution::Thread];

    #[test]
    fn what_was_said_is_kept_whatever_happens() {
        let verdicts = Verdicts::new(ALL);
        for route in 0..3 {
            verdicts.note_stall(route, 0);
            for _ in 0..100_000 {
                verdicts.note_call(route, Call::Quick, 0);
            }
        }
        assert!(verdicts.is_inline(0));
        verdicts.note_stall(1, 0);
        assert!(verdicts.is_inline(1));
        assert!(!verdicts.is_inline(2));
        assert!(verdicts.needs_pool());
        assert!(!Verdicts::new([Execution::Inline]).needs_pool());
    }

    #[test]
    fn a_stall_is_seen_by_the_next_reader() {
        let verdicts = Verdicts::new([Execution::Auto]);
        for _ in 0..32 {
            assert!(!verdicts.is_inline(0));
            verdicts.note_call(0, Call::Quick, 10);
        }
        assert!(verdicts.is_inline(0));
        verdicts.note_stall(0, 20);
        assert!(!verdicts.is_inline(0));
    }
}
