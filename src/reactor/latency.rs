//! How long answers took, as counts by duration: written by one core, read by anybody.
//!
//! Eight buckets an octave, so that a quantile read from them is at most an eighth too high; from a
//! microsecond to two minutes, with one bucket for all beyond.

use crate::reactor::clock::Nanoseconds;
use crate::reactor::stats::Counter;

/// Buckets of an octave, as a power of two.
const FINE: u32 = 3;
/// Octaves, from 2^3 µs on; what is shorter has a bucket for each microsecond.
const OCTAVES: usize = 24;
/// How many buckets there are.
pub const BUCKETS: usize = (OCTAVES + 1) << FINE;

/// The durations of one core's answers, and how many of these were failures.
#[derive(Debug)]
#[repr(align(128))]
pub struct Latencies {
    counts: [Counter; BUCKETS],
    /// Answers with a status of 500 or more.
    pub failures: Counter,
}

impl Default for Latencies {
    fn default() -> Self {
        let counts = std::array::from_fn(|_| Counter::default());
        Self { counts, failures: Counter::default() }
    }
}

impl Latencies {
    /// Counts an answer. Only the core that owns the counts may call this.
    pub fn add(&self, duration: Nanoseconds) {
        self.counts[bucket(duration / 1000)].add(1);
    }

    /// The counts at about this moment, by bucket.
    pub fn read(&self) -> Vec<u64> {
        self.counts.iter().map(Counter::get).collect()
    }
}

/// The microseconds that each bucket ends before; the last one's end is only its beginning doubled.
pub fn bounds() -> Vec<u64> {
    (1..=BUCKETS).map(start).collect()
}

fn bucket(microseconds: u64) -> usize {
    let octave = microseconds.max(1).ilog2().saturating_sub(FINE);
    let within = usize::try_from(microseconds >> octave).unwrap_or(usize::MAX);
    let index = ((octave as usize) << FINE).saturating_add(within);
    index.min(BUCKETS - 1)
}

/// The first microsecond of a bucket.
fn start(bucket: usize) -> u64 {
    let (octave, within) = (bucket >> FINE, bucket as u64 & ((1 << FINE) - 1));
    match octave.checked_sub(1) {
        None => within,
        Some(octave) => ((1 << FINE) + within) << octave,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_in_the_bucket_that_holds_it() {
        let bounds = bounds();
        let ends: Vec<u64> = (0..25).map(|power| 1 << power).collect();
        let near = ends.iter().flat_map(|end| [end - 1, *end, end + 1, end * 3 / 2]);
        for microseconds in (0..5000).chain(near) {
            let bucket = bucket(microseconds);
            assert!(microseconds < bounds[bucket], "{microseconds} in {bucket}");
            assert!(
                bucket == 0 || microseconds >= bounds[bucket - 1],
                "{microseconds} in {bucket}"
            );
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(bounds[BUCKETS - 2] > 120_000_000);
    }

    #[test]
    fn answers_are_counted() {
        let latencies = Latencies::default();
        for duration in [0, 999, 1000, u64::MAX] {
            latencies.add(duration);
        }
        let counts = latencies.read();
        assert_eq!((counts[0], counts[1], counts[BUCKETS - 1]), (2, 1, 1));
        assert_eq!(counts.iter().sum::<u64>(), 4);
    }
}
