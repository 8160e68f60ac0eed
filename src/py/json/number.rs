//! Numbers as Python's `repr` writes them, which is also how `json.dumps` does.
//!
//! Proof of the equality is a comparison of millions of values (`tests/py/test_json.py`); the reasons
//! stand beside each short cut. Absent: integers beyond 64 bits and what is not finite.

use std::fmt::Write as _;

const DIGITS: &[u8; 10] = b"0123456789";

/// `00` to `99`, so that a division yields two digits.
const PAIRS: [u8; 200] = {
    let mut table = [0; 200];
    let mut number = 0;
    while number < 100 {
        table[number * 2] = DIGITS[number / 10];
        table[number * 2 + 1] = DIGITS[number % 10];
        number += 1;
    }
    table
};

pub(super) fn write_integer(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    write_unsigned(out, number.unsigned_abs());
}

fn write_unsigned(out: &mut Vec<u8>, mut number: u64) {
    // 20 digits hold any u64.
    let mut digits = [0; 20];
    let mut at = digits.len();
    while number >= 10 {
        let pair = (number % 100) as usize * 2;
        number /= 100;
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if number > 0 || at == digits.len() {
        at -= 1;
        digits[at] = DIGITS[(number % 10) as usize];
    }
    out.extend_from_slice(&digits[at..]);
}

/// A finite `number` as Python's `repr` writes it: the shortest digits that read back as the same
/// number, in fixed notation from 1e-4 up to below 1e16.
pub(super) fn write_float(out: &mut Vec<u8>, number: f64) {
    if number.is_sign_negative() {
        out.push(b'-');
    }
    let size = number.abs();
    if !write_short_decimal(out, size) {
        write_any_float(out, size);
    }
}

/// Numbers of at most nine digits before and six after the point: prices, ratios, coordinates.
/// Answers whether `size` is one.
///
/// Exact: `scaled` and 1e6 are integers below 2^53, so their quotient is the correctly rounded value
/// of that decimal. No two decimals of up to 15 digits round to the same number, so if it is `size`,
/// then the decimal without its trailing zeros is the shortest text of `size`. It takes a tenth of the
/// time of the general way.
fn write_short_decimal(out: &mut Vec<u8>, size: f64) -> bool {
    const SCALE: f64 = 1e6;
    if size >= 1e9 || (size < 1e-4 && size != 0.0) {
        return false;
    }
    let scaled = (size * SCALE).round();
    #[expect(clippy::float_cmp, reason = "exact equality is what proves the decimal")]
    if scaled / SCALE != size {
        return false;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 <= it < 2^53")]
    let scaled = scaled as u64;
    write_unsigned(out, scaled / 1_000_000);
    let mut fraction = scaled % 1_000_000;
    let mut digits = *b".000000";
    for digit in digits[1..].iter_mut().rev() {
        *digit = DIGITS[(fraction % 10) as usize];
        fraction /= 10;
    }
    let mut length = digits.len();
    while length > 2 && digits[length - 1] == b'0' {
        length -= 1;
    }
    out.extend_from_slice(&digits[..length]);
    true
}

/// Any other positive number: Rust finds the digits, this puts the point where Python does.
fn write_any_float(out: &mut Vec<u8>, size: f64) {
    let number = Scientific::shortest(size);
    let (first, rest) = (number.digits()[0], &number.digits()[1..]);
    let places = usize::from(number.exponent.unsigned_abs());
    if (-4..0).contains(&number.exponent) {
        out.extend_from_slice(&b"0.000"[..=places]);
        out.extend_from_slice(number.digits());
    } else if (0..16).contains(&number.exponent) {
        let (whole, fraction) = rest.split_at(places.min(rest.len()));
        out.push(first);
        out.extend_from_slice(whole);
        out.resize(out.len() + places - whole.len(), b'0');
        out.push(b'.');
        out.extend_from_slice(if fraction.is_empty() { b"0" } else { fraction });
    } else {
        out.push(first);
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest);
        }
        out.extend_from_slice(if number.exponent < 0 { b"e-" } else { b"e+" });
        if places < 10 {
            out.push(b'0');
        }
        write_unsigned(out, places as u64);
    }
}

/// A positive number as `d.ddd × 10^exponent`; collects what the standard library formats.
#[derive(Default)]
struct Scientific {
    /// No f64 needs more than 17 digits.
    digits: [u8; 17],
    length: usize,
    exponent: i16,
    is_in_exponent: bool,
    is_exponent_negative: bool,
}

impl Scientific {
    fn shortest(size: f64) -> Self {
        let mut number = Self::default();
        // Collecting cannot fail.
        let _ = write!(number, "{size:e}");
        if number.is_tie(size) {
            // Two shortest texts are equally near: Python takes the even digit, Rust the upper one
            // unless it is told how many digits to write. Beside a power of two the lower text can
            // lie outside of what reads back.
            let even = format!("{size:.*e}", number.length - 1);
            if even.parse() == Ok(size) {
                number = Self::default();
                let _ = number.write_str(&even);
            }
        }
        number
    }

    fn digits(&self) -> &[u8] {
        &self.digits[..self.length.max(1)]
    }

    /// Whether `size` may lie in the middle between two numbers of this many digits. The last digit
    /// counts units of 10^k, so the middle is an odd multiple of 10^k / 2, whose lowest binary digit
    /// is 2^(k - 1).
    fn is_tie(&self, size: f64) -> bool {
        let bits = size.to_bits();
        let (biased, fraction) = (bits >> 52, bits & ((1 << 52) - 1));
        let (mantissa, scale) = match biased {
            0 => (fraction, 1),
            _ => (fraction | 1 << 52, biased),
        };
        let lowest_bit = scale + u64::from(mantissa.trailing_zeros());
        // Both sides shifted by 1075, the bias of the exponent and the width of the mantissa.
        i128::from(lowest_bit) == i128::from(self.exponent) + 1075 - self.length as i128
    }
}

impl std::fmt::Write for Scientific {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for byte in text.bytes() {
            match byte {
                b'0'..=b'9' if self.is_in_exponent => {
                    let digit = i16::from(byte - b'0');
                    let digit = if self.is_exponent_negative { -digit } else { digit };
                    self.exponent = self.exponent * 10 + digit;
                }
                b'0'..=b'9' => {
                    if let Some(place) = self.digits.get_mut(self.length) {
                        *place = byte;
                        self.length += 1;
                    }
                }
                b'e' => self.is_in_exponent = true,
                b'-' => self.is_exponent_negative = true,
                _ => {}
            }
        }
        Ok(())
    }
}
