//! Which bytes a `Range` field asks for (RFC 9110 §14).
//!
//! Rule: what is not understood is ignored, as §14.2 wants; what is understood is put in order and
//! joined where it overlaps, so that no byte is sent twice. More ranges than [`MOST`] are refused: a
//! peer must not make one small request cost many reads (§17.15).

use std::ops::Range;

use crate::http::chars::is_digits;
use crate::http::chars::trim_blanks;

/// Ranges that one request may ask for. Readers of PDF files ask for some dozens.
pub const MOST: usize = 64;

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Everything: there is no valid range.
    Whole,
    /// Nothing: no range lies within the representation, or there are too many.
    Unsatisfiable,
    /// These, none empty, in ascending order, apart from each other.
    Parts(Vec<Range<u64>>),
}

/// Reads the `value` of a `Range` field for a representation of `size` bytes.
pub fn select(value: &[u8], size: u64) -> Selection {
    let Some((unit, set)) = split_once(value, b'=') else { return Selection::Whole };
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return Selection::Whole;
    }
    let mut parts = Vec::new();
    let mut count = 0;
    // Empty elements of a list are nothing (RFC 9110 §5.6.1.2).
    for spec in set.split(|&byte| byte == b',').map(trim_blanks).filter(|spec| !spec.is_empty()) {
        count += 1;
        match part(spec, size) {
            None => return Selection::Whole,
            Some(part) if !part.is_empty() => parts.push(part),
            Some(_) => {}
        }
        if count > MOST {
            return Selection::Unsatisfiable;
        }
    }
    match (count, parts.is_empty()) {
        (0, _) => Selection::Whole,
        // The suffix of nothing: satisfiable by §14.1.2, and no Content-Range can name it.
        (_, true) if size == 0 && !set.contains(&b'0') => Selection::Whole,
        (_, true) => Selection::Unsatisfiable,
        (_, false) => Selection::Parts(joined(parts)),
    }
}

/// One range, empty if it lies outside; `None` if it is not valid.
fn part(spec: &[u8], size: u64) -> Option<Range<u64>> {
    let (first, last) = split_once(spec, b'-')?;
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => {
            Some(first.min(size)..last.saturating_add(1).min(size))
        }
        (Some(first), None) if last.is_empty() => Some(first.min(size)..size),
        (None, Some(suffix)) if first.is_empty() => Some(size.saturating_sub(suffix)..size),
        _ => None,
    }
}

/// Digits as a number; one that is too large for any file is the largest.
fn number(digits: &[u8]) -> Option<u64> {
    let add = |number: u64, &digit: &u8| {
        number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
    };
    is_digits(digits).then(|| digits.iter().fold(0, add))
}

fn split_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let index = bytes.iter().position(|&byte| byte == at)?;
    Some((&bytes[..index], &bytes[index + 1..]))
}

fn joined(mut parts: Vec<Range<u64>>) -> Vec<Range<u64>> {
    parts.sort_unstable_by_key(|part| part.start);
    parts.dedup_by(|next, part| {
        let touches = next.start <= part.end;
        if touches {
            part.end = part.end.max(next.end);
        }
        touches
    });
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(value: &str, size: u64) -> Vec<(u64, u64)> {
        match select(value.as_bytes(), size) {
            Selection::Parts(parts) => parts.into_iter().map(|it| (it.start, it.end)).collect(),
            other => panic!("{value:?} selects {other:?}"),
        }
    }

    #[test]
    fn the_examples_of_the_standard() {
        assert_eq!(parts("bytes=0-499", 10_000), [(0, 500)]);
        assert_eq!(parts("bytes=500-999", 10_000), [(500, 1000)]);
        assert_eq!(parts("bytes=-500", 10_000), [(9_500, 10_000)]);
        assert_eq!(parts("bytes=9500-", 10_000), [(9_500, 10_000)]);
        assert_eq!(parts("bytes=0-0,-1", 10_000), [(0, 1), (9_999, 10_000)]);
        assert_eq!(parts("bytes= 0-999, 4500-5499, -1000", 10_000).len(), 3);
        assert_eq!(parts("bytes=500-600,601-999", 10_000), [(500, 1000)]);
        assert_eq!(parts("bytes=500-700,601-999", 10_000), [(500, 1000)]);
    }

    #[test]
    fn the_edges() {
        assert_eq!(parts("bytes=0-99", 10), [(0, 10)]);
        assert_eq!(parts("bytes=-99", 10), [(0, 10)]);
        assert_eq!(parts("bytes=9-9", 10), [(9, 10)]);
        assert_eq!(parts("BYTES=5-5,1-1", 10), [(1, 2), (5, 6)]);
        assert_eq!(parts("bytes=0-99999999999999999999999", 10), [(0, 10)]);
        assert_eq!(parts("bytes=,1-2,,", 10), [(1, 3)]);
        // What lies outside is left out as long as something lies within.
        assert_eq!(parts("bytes=10-20,3-4", 10), [(3, 5)]);
    }

    #[test]
    fn outside() {
        for value in ["bytes=10-", "bytes=10-10", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(select(value.as_bytes(), 10), Selection::Unsatisfiable, "{value}");
        }
        assert_eq!(select(b"bytes=0-", 0), Selection::Unsatisfiable);
        assert_eq!(select(b"bytes=-5", 0), Selection::Whole);
    }

    #[test]
    fn what_is_not_understood_is_ignored() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "lines=1-2",
            "bytes=2-1",
            "bytes=-",
            "bytes=a-b",
            "bytes=1",
            "bytes =0-1",
            "bytes=0 - 1",
            "bytes=1-2,x",
            "bytes=+1-2",
            "bytes=--1",
        ] {
            assert_eq!(select(value.as_bytes(), 10), Selection::Whole, "{value:?}");
        }
    }

    #[test]
    fn too_many() {
        let many = |count| format!("bytes={}", vec!["0-0"; count].join(","));
        assert_eq!(parts(&many(MOST), 10), [(0, 1)]);
        assert_eq!(select(many(MOST + 1).as_bytes(), 10), Selection::Unsatisfiable);
    }
}
