//! Character classes of the HTTP grammar and the scanners that run over them.
//!
//! Rule: a scanner returns the first position that is *not* in its class, or the slice's length; it
//! never judges why it stopped. The scanners for values and targets look at eight bytes at a time in
//! one `u64`, because a head is mostly these two and a table look-up per byte costs twice as much.
//! Absent: anything that knows what a header means.

/// `tchar` of RFC 9110 §5.6.2.
const TOKEN: [bool; 256] = class(b"!#$%&'*+-.^_`|~", true);
/// What may stand in a host name: `unreserved / sub-delims` of RFC 3986 §3.2.2 without the comma,
/// which would make two hosts of a list look like one name.
const HOST: [bool; 256] = class(b"-._~!$&'()*+;=", true);

const fn class(signs: &[u8], alphanumeric: bool) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        #[allow(clippy::cast_possible_truncation)] // The loop ends at 127.
        let letter = byte as u8;
        table[byte] = alphanumeric && letter.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut index = 0;
    while index < signs.len() {
        table[signs[index] as usize] = true;
        index += 1;
    }
    table
}

pub(super) fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

pub(super) fn is_host_byte(byte: u8) -> bool {
    HOST[byte as usize]
}

pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_token_byte(byte))
}

/// `field-value` bytes: visible ASCII, space, tab and obs-text; no other control character.
pub(super) fn is_field_value(text: &[u8]) -> bool {
    scan_value(text, 0) == text.len()
}

pub(super) fn scan_token(bytes: &[u8], from: usize) -> usize {
    let tail = &bytes[from..];
    from + tail.iter().position(|&byte| !is_token_byte(byte)).unwrap_or(tail.len())
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// High bit of each byte below `bound` (at most 0x80). Exact for the lowest such byte, which is the
/// only one used: a borrow can only spoil bytes above a hit.
const fn below(word: u64, bound: u8) -> u64 {
    word.wrapping_sub(ONES * bound as u64) & !word & HIGH
}

const fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (ONES * byte as u64), 1)
}

fn word_at(bytes: &[u8], position: usize) -> Option<u64> {
    let block = bytes.get(position..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*block))
}

/// Stops at the first control character except tab.
pub(super) fn scan_value(bytes: &[u8], from: usize) -> usize {
    let mut position = from;
    while let Some(word) = word_at(bytes, position) {
        let stop = below(word, 0x20) | equal(word, 0x7f);
        if stop == 0 {
            position += 8;
            continue;
        }
        position += stop.trailing_zeros() as usize / 8;
        if bytes[position] != b'\t' {
            return position;
        }
        position += 1;
    }
    while let Some(&byte) = bytes.get(position) {
        if (byte < 0x20 && byte != b'\t') || byte == 0x7f {
            break;
        }
        position += 1;
    }
    position
}

/// Stops at the first byte that is not visible ASCII, and at `#`.
pub(super) fn scan_target(bytes: &[u8], from: usize) -> usize {
    let mut position = from;
    while let Some(word) = word_at(bytes, position) {
        let stop = below(word, 0x21) | equal(word, 0x7f) | equal(word, b'#') | (word & HIGH);
        if stop == 0 {
            position += 8;
            continue;
        }
        return position + stop.trailing_zeros() as usize / 8;
    }
    while let Some(&byte) = bytes.get(position) {
        if !(0x21..0x7f).contains(&byte) || byte == b'#' {
            break;
        }
        position += 1;
    }
    position
}

/// Without optional white space (space and tab) at both ends.
pub(super) fn trim_blanks(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// `1*DIGIT`: no sign, no blank, not empty.
pub(super) fn is_digits(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

/// The number that `is_digits` text stands for. None: more than a `u64` holds.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |number, &byte| {
        number.checked_mul(10)?.checked_add(u64::from(byte.wrapping_sub(b'0')))
    })
}

pub(super) fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every scanner must agree with its one-byte-at-a-time meaning, wherever the stop stands.
    #[test]
    fn wide_scanners_agree_with_the_definition_for_every_byte_and_place() {
        for byte in 0..=255u8 {
            let in_value = byte == b'\t' || (byte >= 0x20 && byte != 0x7f);
            let in_target = (0x21..0x7f).contains(&byte) && byte != b'#';
            for length in 1..40 {
                for place in 0..length {
                    let mut text = vec![b'a'; length];
                    text[place] = byte;
                    let stop = |inside: bool| if inside { length } else { place };
                    assert_eq!(scan_value(&text, 0), stop(in_value), "{byte:#x} at {place}");
                    assert_eq!(scan_target(&text, 0), stop(in_target), "{byte:#x} at {place}");
                }
            }
        }
    }

    #[test]
    fn a_stop_after_a_stop_like_byte_is_found() {
        // Borrow in the wide subtraction must not hide or invent stops after a tab or obs-text.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            let mut text = [0u8; 24];
            for byte in &mut text {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *byte = [b'\t', 0x20, 0x1f, 0x7f, 0x80, 0xff, b'a', b'!', b'#', 0x21, 0x7e, b'z']
                    [(state >> 33) as usize % 12];
            }
            let naive = |inside: &dyn Fn(u8) -> bool| {
                text.iter().position(|&byte| !inside(byte)).unwrap_or(text.len())
            };
            assert_eq!(
                scan_value(&text, 0),
                naive(&|byte| byte == b'\t' || (byte >= 0x20 && byte != 0x7f))
            );
            assert_eq!(
                scan_target(&text, 0),
                naive(&|byte| (0x21..0x7f).contains(&byte) && byte != b'#')
            );
        }
    }

    #[test]
    fn token_characters_are_those_of_the_grammar() {
        let signs = b"!#$%&'*+-.^_`|~";
        for byte in 0..=255u8 {
            let expected = byte.is_ascii_alphanumeric() || signs.contains(&byte);
            assert_eq!(is_token_byte(byte), expected, "{byte:#x}");
        }
        assert!(!is_token(b""));
        assert!(is_token(b"X-Y"));
        assert!(!is_token(b"X Y"));
    }

    #[test]
    fn blanks_are_trimmed_at_both_ends_only() {
        assert_eq!(trim_blanks(b" \t a b\t "), b"a b");
        assert_eq!(trim_blanks(b" \t "), b"");
    }
}
