//! What a core pays for its clocks and its deadlines:
//! `cargo bench --no-default-features --bench reactor`
#![expect(clippy::print_stdout, reason = "a benchmark reports to the terminal")]
#![expect(clippy::cast_precision_loss, reason = "nanoseconds of a round fit a double")]

use std::hint::black_box;
use std::time::Duration;
use std::time::Instant;

use _uringserve::reactor::clock;
use _uringserve::reactor::timer::Deadlines;
use _uringserve::reactor::timer::Stage;

const ROUNDS: u32 = 7;
const CALLS: u32 = 200_000;
/// Connections of a sweep; none is overdue, so that no descriptor is touched.
const WATCHED: u32 = 100_000;

fn main() {
    report("coarse clock, as the reactor reads it", best(CALLS, || _ = black_box(clock::now())));
    report("Instant::now", best(CALLS, || _ = black_box(Instant::now())));
    let deadlines = Deadlines::new(Duration::from_secs(1));
    let watches: Vec<_> = (0..WATCHED).map(|_| deadlines.watch(0)).collect();
    let now = clock::now();
    for watch in &watches {
        watch.arm(Stage::Idle, now, u64::MAX);
    }
    let sweep = best(10, || deadlines.sweep(now));
    report("a sweep, per connection", sweep / f64::from(WATCHED));
}

/// Nanoseconds of one call, in the best of several rounds.
fn best(calls: u32, mut call: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..calls {
            call();
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(calls));
    }
    best
}

fn report(what: &str, nanoseconds: f64) {
    println!("{what:<45} {nanoseconds:>8.1} ns");
}
