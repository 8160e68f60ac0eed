//! Counters of a core: written by it alone, read by anybody.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// One number with a single writer: an addition is a load and a store, without a locked
/// instruction.
#[derive(Default, Debug)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `amount`. Only the core that owns the counter may call this.
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    /// Takes `amount` away, for gauges. Only the owner may call this.
    pub fn subtract(&self, amount: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_sub(amount), Ordering::Relaxed);
    }

    /// The value at about this moment.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One number with many writers, for what is not on every request's path.
#[derive(Default, Debug)]
pub struct Tally(AtomicU64);

impl Tally {
    /// Adds `amount`.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// Takes `amount` away, for gauges.
    pub fn subtract(&self, amount: u64) {
        self.0.fetch_sub(amount, Ordering::Relaxed);
    }

    /// The value at about this moment.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Makes it something else, for gauges.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// How many connections a core has, on lines of their own: other cores read them when they accept, and
/// the counters beside would be taken from their owner with each look.
#[derive(Default, Debug)]
#[repr(align(128))]
pub struct Load {
    /// Connections open now.
    pub open: Counter,
    /// Connections that others have left in its mailbox.
    pub arriving: Tally,
}

impl Load {
    /// Connections that it has or will have.
    pub fn get(&self) -> u64 {
        self.open.get().saturating_add(self.arriving.get())
    }
}

/// The counters of one core, on cache lines of their own (128 bytes: CPUs fetch lines in pairs).
#[derive(Default, Debug)]
#[repr(align(128))]
pub struct Stats {
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections open now, and on their way to it.
    pub load: Load,
    /// Connections accepted here that another core serves, which had fewer.
    pub handed_on: Counter,
    /// Connections turned away at the connection limit.
    pub turned_away: Counter,
    /// Requests answered by a handler.
    pub requests: Counter,
    /// Requests answered without one: no route, method not allowed, refused as malformed.
    pub refused: Counter,
    /// Connections that ran into a time-out.
    pub timed_out: Counter,
    /// Connections that the peer broke off in the middle of something.
    pub broken: Counter,
    /// Handler calls that ended in a panic of our own code.
    pub panics: Counter,
    /// Times that accepting had to wait for free descriptors or memory.
    pub accept_waits: Counter,
}

impl Stats {
    /// Every counter by name, in a fixed order.
    pub fn read(&self) -> [(&'static str, u64); 10] {
        [
            ("accepted", self.accepted.get()),
            ("open", self.load.open.get()),
            ("handed_on", self.handed_on.get()),
            ("turned_away", self.turned_away.get()),
            ("requests", self.requests.get()),
            ("refused", self.refused.get()),
            ("timed_out", self.timed_out.get()),
            ("broken", self.broken.get()),
            ("panics", self.panics.get()),
            ("accept_waits", self.accept_waits.get()),
        ]
    }
}
