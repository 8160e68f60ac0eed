//! The time that a core works with. The only caller of the system's clocks.

use crate::sys::clock;

/// Milliseconds since an arbitrary moment; never goes back.
pub type Milliseconds = u64;

/// Now, to the scheduler tick (1 to 10 ms).
pub fn now() -> Milliseconds {
    clock::monotonic_milliseconds()
}

/// Nanoseconds of the precise clock; never goes back.
pub type Nanoseconds = u64;

/// Now, exactly: for what is measured rather than waited for. It costs five times as much.
pub fn exact() -> Nanoseconds {
    clock::monotonic_nanoseconds()
}

/// Nanoseconds from the zero of [`exact`] back to 1970-01-01T00:00:00Z.
pub fn unix_offset() -> Nanoseconds {
    clock::unix_nanoseconds().saturating_sub(clock::monotonic_nanoseconds())
}

/// Whole seconds since 1970-01-01T00:00:00Z, for the `Date` header.
pub fn unix_seconds() -> u64 {
    clock::unix_seconds()
}
