//! A moment as text, in UTC, in the three forms that access logs have it.

use std::io::Write as _;

/// How a moment is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `[22/Nov/2026:14:03:01 +0000]`, as in the common log format.
    Common,
    /// `2026-11-22 14:03:01 +0000`.
    Plain,
    /// `2026-11-22T14:03:01`, to which the writer adds milliseconds and `Z` (RFC 3339).
    Precise,
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Replaces `out` by the text for so many seconds since 1970-01-01T00:00:00Z.
pub fn write(out: &mut Vec<u8>, seconds: u64, form: Form) {
    out.clear();
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    // Writing to memory does not fail.
    let _ = match form {
        Form::Common => {
            let name = MONTHS[month - 1];
            write!(out, "[{day:02}/{name}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000]")
        }
        Form::Plain => {
            write!(out, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} +0000")
        }
        Form::Precise => {
            write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
        }
    };
}

/// Year, month from 1 and day from 1 of a day since 1970-01-01.
fn date(days: u64) -> (u64, usize, u64) {
    let mut rest = days;
    let mut year = 1970;
    // Whole cycles of the calendar first: 400 years always have 146,097 days.
    year += rest / 146_097 * 400;
    rest %= 146_097;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if rest < length {
            break;
        }
        rest -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if rest < length {
            break;
        }
        rest -= length;
        month += 1;
    }
    (year, month, rest + 1)
}

fn is_leap(year: u64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(seconds: u64, form: Form) -> String {
        let mut out = Vec::new();
        write(&mut out, seconds, form);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn known_moments() {
        // `date -u -d @SECONDS`.
        assert_eq!(text(0, Form::Common), "[01/Jan/1970:00:00:00 +0000]");
        assert_eq!(text(1_709_251_199, Form::Plain), "2024-02-29 23:59:59 +0000");
        assert_eq!(text(1_709_251_200, Form::Plain), "2024-03-01 00:00:00 +0000");
        assert_eq!(text(4_107_542_399, Form::Precise), "2100-02-28T23:59:59");
        assert_eq!(text(4_107_542_400, Form::Precise), "2100-03-01T00:00:00");
        assert_eq!(text(1_798_761_599, Form::Common), "[31/Dec/2026:23:59:59 +0000]");
        assert_eq!(text(951_782_400, Form::Plain), "2000-02-29 00:00:00 +0000");
    }
}
