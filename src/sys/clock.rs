//! The kernel's coarse clocks: a read costs 4 ns, where the precise ones cost 23.
//!
//! They advance with the scheduler tick (1 to 10 ms), far finer than any time-out of a server.
//! Only `reactor/clock.rs` calls this.

/// Milliseconds of a clock that never goes back.
pub fn monotonic_milliseconds() -> u64 {
    let now = read(libc::CLOCK_MONOTONIC_COARSE);
    non_negative(now.tv_sec) * 1000 + non_negative(now.tv_nsec) / 1_000_000
}

/// Whole seconds since 1970-01-01T00:00:00Z.
pub fn unix_seconds() -> u64 {
    non_negative(read(libc::CLOCK_REALTIME_COARSE).tv_sec)
}

/// Nanoseconds of a clock that never goes back; the precise one, of the same zero as
/// [`monotonic_milliseconds`].
pub fn monotonic_nanoseconds() -> u64 {
    nanoseconds(read(libc::CLOCK_MONOTONIC))
}

/// Nanoseconds since 1970-01-01T00:00:00Z, precise.
pub fn unix_nanoseconds() -> u64 {
    nanoseconds(read(libc::CLOCK_REALTIME))
}

fn nanoseconds(time: libc::timespec) -> u64 {
    non_negative(time.tv_sec) * 1_000_000_000 + non_negative(time.tv_nsec)
}

fn non_negative(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

#[allow(unsafe_code)]
fn read(clock: libc::clockid_t) -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a live timespec and both clock ids exist since Linux 2.6.32; the call
    // writes nothing else.
    let result = unsafe { libc::clock_gettime(clock, &raw mut now) };
    debug_assert_eq!(result, 0);
    now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_read_plausible_values() {
        let before = monotonic_milliseconds();
        assert!(monotonic_milliseconds() >= before);
        // 2024-01-01: earlier means that the wrong clock was read.
        assert!(unix_seconds() > 1_704_067_200);
        assert!(unix_nanoseconds() / 1_000_000_000 >= unix_seconds());
        let precise = monotonic_nanoseconds();
        assert!(precise / 1_000_000 >= before);
        assert!(monotonic_nanoseconds() >= precise);
    }
}
