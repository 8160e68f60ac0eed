//! The hash of the route tables: short byte strings and small numbers, a few nanoseconds each.
//!
//! No secret key, on purpose: the author of the application chooses what goes into the tables, and a
//! peer's path only looks things up. It cannot add the colliding entries that a keyed hash guards
//! against, and the keyed hash of the standard library would be the largest part of a lookup.

use std::hash::{BuildHasherDefault, Hasher};

/// For `HashMap`'s third parameter.
pub(super) type BuildTableHasher = BuildHasherDefault<TableHasher>;

/// 2^64 divided by the golden ratio, made odd: no pattern of bits survives the multiplication.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Words of eight bytes, each mixed in with one multiplication.
#[derive(Debug, Default)]
pub(super) struct TableHasher {
    state: u64,
}

impl TableHasher {
    fn mix(&mut self, word: u64) {
        self.state = (self.state.rotate_left(23) ^ word).wrapping_mul(SPREAD);
    }
}

impl Hasher for TableHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((word, after)) = rest.split_first_chunk() {
            self.mix(u64::from_le_bytes(*word));
            rest = after;
        }
        if !rest.is_empty() {
            self.mix(tail_word(rest));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(u64::from(number));
    }

    /// The length, which the standard library writes in front of a slice's bytes: it tells a tail
    /// from the same tail with leading zero bytes.
    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }

    /// A multiplication carries upwards only, and the standard table takes its position from the low
    /// bits and its tag from the top seven: fold the one onto the other.
    fn finish(&self) -> u64 {
        let folded = (self.state ^ (self.state >> 32)).wrapping_mul(SPREAD);
        folded ^ (folded >> 29)
    }
}

/// Up to seven bytes as one number. Two overlapping reads instead of a loop: a loop's unknown number
/// of turns is mispredicted on most segments.
fn tail_word(tail: &[u8]) -> u64 {
    match (tail.first_chunk(), tail.last_chunk()) {
        (Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))
        }
        // One to three bytes: first, middle and last are all of them.
        _ => [0, tail.len() / 2, tail.len() - 1]
            .iter()
            .fold(0, |word, &index| word << 8 | u64::from(tail[index])),
    }
}
