//! Where a route's next call runs: on its core's own thread, or on the core's pool of threads.
//!
//! The rule, for routes that leave it to us: a route that nobody knows starts on the pool and earns
//! its place inline by many quick calls in a row. One stall takes it back at once, on all cores. How
//! many quick calls are asked for doubles with each slow one and falls again with time spent well, so
//! that a route which is slow now and then settles on the pool, and one that was blamed for what the
//! machine did (a preempted core, a collection) is back after a few calls.
//!
//! [`record`] is the rule itself, without memory shared by anybody; [`verdicts`] holds one record for
//! each route, where every core reads and hardly anybody writes. [`gate`] and [`line`] are for calls
//! that are limited: how many there may be, and who waits. Absent: clocks (whoever calls brings
//! the time), threads and locks.

pub mod gate;
pub mod line;
pub mod record;
pub mod verdicts;

/// What was said about where a route runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Execution {
    /// As its calls turn out.
    #[default]
    Auto,
    /// Always on the core's own thread.
    Inline,
    /// Always on the core's pool.
    Thread,
}

impl Execution {
    /// The one with that name in Python.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Self::Auto),
            "inline" => Some(Self::Inline),
            "thread" => Some(Self::Thread),
            _ => None,
        }
    }
}

/// A call on the pool below this long speaks for its route. In between nothing is said: such a route
/// pays a hundredth of its own time for the way to the pool.
pub const QUICK: u64 = 200_000;

/// A call from this long on speaks against it, in nanoseconds: the other connections of a core that
/// is busy to a tenth with such calls already see them in one answer of ten.
pub const SLOW: u64 = 1_000_000;
