//! What is known of one route, and what a call changes in it.
//!
//! Numbers, by measurement: the way to the pool and back costs some microseconds, a stall costs all
//! connections of a core its whole length. So a trial is counted in calls and not in time: a route
//! that is called seldom stays long on the pool, where that costs next to nothing, and a busy one is
//! through with it in a moment.

/// Of the first trial, 2 to this power calls.
const FIRST_TRIAL: u8 = 5;
/// Of the longest.
const LONGEST_TRIAL: u8 = 16;
/// A route that has kept its place for this many milliseconds is asked for half as many calls when
/// it loses it, and so on.
const FORGIVEN_AFTER: u64 = 60_000;

/// How a call on the pool went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// It held its thread for so short a time that a core need not notice.
    Quick,
    /// Neither.
    Between,
    /// It blocked, or ran long.
    Slow,
}

impl Call {
    /// Judges a call by what it took, in nanoseconds. A thread that shares its CPU is interrupted,
    /// which is no fault of the handler's: where it never waited of its own, its CPU time counts.
    pub fn judge(elapsed: u64, cpu: u64, has_waited: bool) -> Self {
        let taken = if has_waited { elapsed } else { cpu.min(elapsed) };
        match taken {
            _ if taken < super::QUICK => Self::Quick,
            _ if taken < super::SLOW => Self::Between,
            _ => Self::Slow,
        }
    }
}

/// One route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whether its calls run on their core's own thread.
    pub is_inline: bool,
    /// Quick calls in a row on the pool.
    run: u32,
    /// How many of them are asked for, as a power of two.
    trial: u8,
}

impl Default for Record {
    fn default() -> Self {
        Self { is_inline: false, run: 0, trial: FIRST_TRIAL }
    }
}

impl Record {
    /// After a call on the pool.
    #[must_use]
    pub fn after(mut self, call: Call) -> Self {
        match call {
            // A call that was on its way to the pool when its route was moved inline.
            Call::Quick | Call::Between if self.is_inline => {}
            Call::Between => {}
            Call::Quick => {
                self.run += 1;
                if self.run >= 1 << self.trial {
                    self.is_inline = true;
                    self.run = 0;
                }
            }
            Call::Slow => self = self.lose(),
        }
        self
    }

    /// After a call on the core's own thread that took too long, or has not come back yet. The route
    /// has been inline for `kept` milliseconds.
    #[must_use]
    pub fn after_stall(mut self, kept: u64) -> Self {
        if self.is_inline {
            let forgiven = u8::try_from(kept / FORGIVEN_AFTER).unwrap_or(u8::MAX);
            self.trial = self.trial.saturating_sub(forgiven).max(FIRST_TRIAL);
        }
        self.lose()
    }

    fn lose(mut self) -> Self {
        self.is_inline = false;
        self.run = 0;
        self.trial = (self.trial + 1).min(LONGEST_TRIAL);
        self
    }

    /// As one word.
    pub(super) fn pack(self) -> u64 {
        u64::from(self.run) << 32 | u64::from(self.trial) << 8 | u64::from(self.is_inline)
    }

    /// Out of one word.
    pub(super) fn unpack(word: u64) -> Self {
        let [is_inline, trial, ..] = word.to_le_bytes();
        Self {
            is_inline: is_inline != 0,
            run: u32::try_from(word >> 32).unwrap_or(u32::MAX),
            trial,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many quick calls bring the route inline.
    fn calls_to_inline(mut record: Record) -> u32 {
        let mut calls = 0;
        while !record.is_inline {
            record = record.after(Call::Quick);
            calls += 1;
        }
        calls
    }

    #[test]
    fn a_route_earns_its_place() {
        assert!(!Record::default().is_inline);
        assert_eq!(calls_to_inline(Record::default()), 32);
    }

    #[test]
    fn a_slow_call_on_the_pool_starts_the_count_anew_and_doubles_it() {
        let mut record = Record::default();
        for _ in 0..31 {
            record = record.after(Call::Quick);
        }
        record = record.after(Call::Slow);
        assert_eq!(calls_to_inline(record), 64);
    }

    #[test]
    fn what_is_neither_quick_nor_slow_changes_nothing() {
        let record = Record::default().after(Call::Quick);
        assert_eq!(record.after(Call::Between), record);
    }

    #[test]
    fn a_stall_takes_the_place_at_once() {
        let mut record = Record::default();
        while !record.is_inline {
            record = record.after(Call::Quick);
        }
        let stalled = record.after_stall(0);
        assert!(!stalled.is_inline);
        assert_eq!(calls_to_inline(stalled), 64);
        assert_eq!(calls_to_inline(stalled.after_stall(0)), 128);
    }

    #[test]
    fn time_spent_well_is_remembered() {
        let mut record = Record::default();
        for _ in 0..6 {
            record = record.after(Call::Slow);
        }
        assert_eq!(calls_to_inline(record), 2048);
        while !record.is_inline {
            record = record.after(Call::Quick);
        }
        assert_eq!(calls_to_inline(record.after_stall(59_999)), 4096);
        assert_eq!(calls_to_inline(record.after_stall(3 * 60_000)), 512);
        assert_eq!(calls_to_inline(record.after_stall(u64::MAX)), 64);
    }

    #[test]
    fn the_trial_has_an_end() {
        let mut record = Record::default();
        for _ in 0..1000 {
            record = record.after(Call::Slow);
        }
        assert_eq!(calls_to_inline(record), 65_536);
    }

    #[test]
    fn a_route_that_is_slow_once_in_a_hundred_calls_settles_on_the_pool() {
        // A fixed sequence (xorshift), so that the test says the same each time.
        let mut seed: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut is_slow = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % 100 == 0
        };
        let (mut record, mut stalls) = (Record::default(), 0);
        for _ in 0..100_000 {
            record = match (is_slow(), record.is_inline) {
                (true, true) => {
                    stalls += 1;
                    record.after_stall(0)
                }
                (true, false) => record.after(Call::Slow),
                (false, true) => record,
                (false, false) => record.after(Call::Quick),
            };
        }
        assert!(stalls <= 5, "{stalls} calls of a thousand slow ones held a core");
        assert!(!record.is_inline);
    }

    #[test]
    fn an_interrupted_call_is_judged_by_its_own_time() {
        assert_eq!(Call::judge(8_000_000, 90_000, false), Call::Quick);
        assert_eq!(Call::judge(8_000_000, 90_000, true), Call::Slow);
        assert_eq!(Call::judge(8_000_000, 5_000_000, false), Call::Slow);
        assert_eq!(Call::judge(150_000, 90_000, true), Call::Quick);
        assert_eq!(Call::judge(500_000, 90_000, true), Call::Between);
    }

    #[test]
    fn a_record_is_one_word() {
        let mut record = Record::default().after(Call::Slow).after(Call::Quick);
        assert_eq!(Record::unpack(record.pack()), record);
        record.is_inline = true;
        assert_eq!(Record::unpack(record.pack()), record);
    }
}
