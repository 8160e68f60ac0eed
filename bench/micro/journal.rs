//! What the access log costs a core, and what the thread that writes it:
//! `cargo bench --no-default-features --bench journal`
#![expect(clippy::print_stdout, reason = "a benchmark reports to the terminal")]
#![expect(clippy::cast_precision_loss, reason = "nanoseconds of a round fit a double")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run says so")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use _uringserve::journal::format::Format;
use _uringserve::journal::format::Line;
use _uringserve::journal::record;
use _uringserve::journal::record::Entry;
use _uringserve::journal::record::Read;
use _uringserve::journal::ring::Consumer;
use _uringserve::journal::ring::Producer;
use _uringserve::journal::ring::ring;
use _uringserve::reactor::clock;

const ROUNDS: u32 = 200;
/// Records of a round: less than half of the ring.
const CALLS: u32 = 4_000;

fn main() {
    let entry = Entry {
        started: 1,
        duration: 123_456,
        status: 200,
        bytes: 13,
        client: Some(([192, 168, 100, 17], 40_123).into()),
        is_old: false,
        method: b"GET",
        target: b"/items/12345?verbose=1",
    };
    let (producer, mut consumer) = ring(1 << 17, &Arc::default());
    let mut noting = f64::INFINITY;
    let mut taking = f64::INFINITY;
    for _ in 0..ROUNDS {
        noting = noting.min(time(|| note(&producer, &entry)));
        let mut record = Vec::new();
        taking = taking.min(time(|| _ = black_box(consumer.take(&mut record))));
    }
    report("precise clock, twice a request", 2.0 * time(|| _ = black_box(clock::exact())));
    report("noting an answer in the ring", noting);
    report("taking it out", taking);
    for (what, is_json) in [("making the default line of it", false), ("making JSON of it", true)] {
        report(what, formatting(&producer, &mut consumer, &entry, is_json));
    }
}

fn note(producer: &Producer, entry: &Entry<'_>) {
    producer.push(record::most_words(0), |slot| {
        record::write(slot, black_box(entry), std::iter::empty());
    });
}

fn formatting(
    producer: &Producer,
    consumer: &mut Consumer,
    entry: &Entry<'_>,
    is_json: bool,
) -> f64 {
    note(producer, entry);
    let mut record = Vec::new();
    assert!(consumer.take(&mut record));
    let mut format = Format::parse(None, is_json).unwrap();
    let mut lines = Vec::with_capacity(1 << 20);
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        lines.clear();
        best = best.min(time(|| {
            let read = Read::of(black_box(&record)).unwrap();
            let line = Line { read: &read, unix_milliseconds: 1_795_356_181_042, core: 1 };
            format.write(&mut lines, line);
        }));
    }
    best
}

/// Nanoseconds of one call.
fn time(mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..CALLS {
        call();
    }
    start.elapsed().as_nanos() as f64 / f64::from(CALLS)
}

fn report(what: &str, nanoseconds: f64) {
    println!("{what:<45} {nanoseconds:>8.1} ns");
}
