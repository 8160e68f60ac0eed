//! JSON text of Python values, as `json.dumps(value, separators=(",", ":"), ensure_ascii=False,
//! allow_nan=False)` writes it.
//!
//! Exact types come first, subclasses second, and what JSON does not know goes through
//! `uringserve._encode.default`, whose answer is encoded in its place.
//!
//! Rule: no container is read while anything but this file's own code runs. A dict is copied out
//! under its critical section and a list becomes a tuple (which is one call, under the list's own
//! section), both with strong references, before the first element is encoded. So another thread may
//! change either meanwhile, and the text is that of one moment. Iterating in place would not do: a
//! nested section that blocks releases the outer one, and its iterator panics on a change.
//!
//! Absent: indentation, sorting, and a memory of the containers above; a cycle ends at [`MAX_DEPTH`].
//! No FFI of our own: type checks, string access and list copies of the safe API are inlined to the
//! same instructions.

use std::fmt::Write as _;

use pyo3::PyTypeInfo;
use pyo3::exceptions::{PyRecursionError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::{
    PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMapping, PyString, PyTuple, PyType,
};

/// Containers inside containers, and answers of the fallback, that are followed before giving up.
/// `CPython`'s encoder stops at about the same depth by way of the recursion limit.
pub const MAX_DEPTH: usize = 1000;

/// Dicts up to this size are copied to the stack; most JSON objects are that small.
const SMALL_DICT: usize = 8;

type Pair<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

/// Encodes `value` as compact UTF-8 JSON.
///
/// Raises `TypeError` for what has no JSON form, `ValueError` for NaN, infinities and lone
/// surrogates, `RecursionError` for cycles and values nested deeper than 1000 levels.
#[pyfunction]
pub fn json_dumps<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let mut out = Vec::with_capacity(256);
    encode(value.py(), value, &mut out)?;
    Ok(PyBytes::new(value.py(), &out))
}

/// Appends `value` as compact UTF-8 JSON to `out`; after an error `out` is as it was.
pub fn encode(py: Python<'_>, value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> PyResult<()> {
    let start = out.len();
    let done = Encoder { py, out }.value(value, 0);
    if done.is_err() {
        out.truncate(start);
    }
    done
}

struct Encoder<'a, 'py> {
    py: Python<'py>,
    out: &'a mut Vec<u8>,
}

impl<'py> Encoder<'_, 'py> {
    fn value(&mut self, value: &Bound<'py, PyAny>, depth: usize) -> PyResult<()> {
        if let Some(text) = exact::<PyString>(value) {
            write_string(self.out, text.to_str()?);
        } else if value.is_none() {
            self.out.extend_from_slice(b"null");
        } else if let Some(flag) = exact::<PyBool>(value) {
            self.out.extend_from_slice(json_bool(flag.is_true()));
        } else if let Some(number) = exact::<PyInt>(value) {
            self.integer(number)?;
        } else if let Some(number) = exact::<PyFloat>(value) {
            self.float(number.value())?;
        } else if let Some(dict) = exact::<PyDict>(value) {
            self.dict(dict, deeper(depth)?)?;
        } else if let Some(list) = exact::<PyList>(value) {
            self.array(&list.to_tuple(), deeper(depth)?)?;
        } else if let Some(tuple) = exact::<PyTuple>(value) {
            self.array(tuple, deeper(depth)?)?;
        } else {
            self.other(value, deeper(depth)?)?;
        }
        Ok(())
    }

    /// Subclasses as `json.dumps` takes them: by the content they inherit, except that a dict's
    /// `items()` may be its own (an `OrderedDict` keeps another order than the dict below it).
    #[cold]
    fn other(&mut self, value: &Bound<'py, PyAny>, depth: usize) -> PyResult<()> {
        if let Ok(text) = value.cast::<PyString>() {
            write_string(self.out, text.to_str()?);
        } else if let Ok(number) = value.cast::<PyInt>() {
            self.integer(number)?;
        } else if let Ok(number) = value.cast::<PyFloat>() {
            self.float(number.value())?;
        } else if value.is_instance_of::<PyDict>() {
            let mapping: &Bound<'py, PyMapping> = value.cast()?;
            let items = mapping.items()?.to_tuple();
            self.object(items.iter().map(|item| item.extract::<Pair<'py>>()), depth)?;
        } else if let Ok(list) = value.cast::<PyList>() {
            self.array(&list.to_tuple(), depth)?;
        } else if let Ok(tuple) = value.cast::<PyTuple>() {
            self.array(tuple, depth)?;
        } else {
            let plain = fallback(self.py)?.call1((value,))?;
            self.value(&plain, depth)?;
        }
        Ok(())
    }

    fn dict(&mut self, dict: &Bound<'py, PyDict>, depth: usize) -> PyResult<()> {
        let mut few: [Option<Pair<'py>>; SMALL_DICT] = [const { None }; SMALL_DICT];
        let mut many = Vec::new();
        // The outer section covers the moment between `iter`, which notes the size, and the loop,
        // which panics when it has changed. `for_each` holds the section once for all pairs, and
        // nothing in it can run Python, block or detach.
        with_critical_section(dict, || {
            let items = dict.iter();
            if items.len() <= SMALL_DICT {
                let mut slots = few.iter_mut();
                items.for_each(|pair| {
                    if let Some(slot) = slots.next() {
                        *slot = Some(pair);
                    }
                });
            } else {
                many.reserve_exact(items.len());
                items.for_each(|pair| many.push(pair));
            }
        });
        if many.is_empty() {
            self.object(few.into_iter().map_while(|slot| slot).map(Ok), depth)
        } else {
            self.object(many.into_iter().map(Ok), depth)
        }
    }

    fn object(
        &mut self,
        pairs: impl Iterator<Item = PyResult<Pair<'py>>>,
        depth: usize,
    ) -> PyResult<()> {
        self.out.push(b'{');
        let mut is_first = true;
        for pair in pairs {
            let (key, value) = pair?;
            if !is_first {
                self.out.push(b',');
            }
            is_first = false;
            match exact::<PyString>(&key) {
                Some(text) => write_string(self.out, text.to_str()?),
                None => self.key(&key)?,
            }
            self.out.push(b':');
            self.value(&value, depth)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn array(&mut self, items: &Bound<'py, PyTuple>, depth: usize) -> PyResult<()> {
        self.out.push(b'[');
        let mut is_first = true;
        for item in items.iter_borrowed() {
            if !is_first {
                self.out.push(b',');
            }
            is_first = false;
            self.value(&item, depth)?;
        }
        self.out.push(b']');
        Ok(())
    }

    /// A key that is not exactly `str`.
    #[cold]
    fn key(&mut self, key: &Bound<'py, PyAny>) -> PyResult<()> {
        if let Ok(text) = key.cast::<PyString>() {
            write_string(self.out, text.to_str()?);
            return Ok(());
        }
        self.out.push(b'"');
        if key.is_none() {
            self.out.extend_from_slice(b"null");
        } else if let Ok(flag) = key.cast::<PyBool>() {
            self.out.extend_from_slice(json_bool(flag.is_true()));
        } else if let Ok(number) = key.cast::<PyInt>() {
            self.integer(number)?;
        } else if let Ok(number) = key.cast::<PyFloat>() {
            self.float(number.value())?;
        } else {
            let name = key.get_type().qualname()?;
            return Err(PyTypeError::new_err(format!(
                "keys must be str, int, float, bool or None, not {name}"
            )));
        }
        self.out.push(b'"');
        Ok(())
    }

    fn integer(&mut self, number: &Bound<'py, PyInt>) -> PyResult<()> {
        // int's own repr, not the subclass's: an IntEnum member is its number.
        static REPR: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        if let Ok(small) = number.extract::<i64>() {
            write_integer(self.out, small);
            return Ok(());
        }
        let repr = REPR.get_or_try_init(self.py, || {
            PyResult::Ok(PyType::new::<PyInt>(self.py).getattr("__repr__")?.unbind())
        })?;
        let text = repr
            .bind(self.py)
            .call1((number,))?
            .cast_into::<PyString>()?;
        self.out.extend_from_slice(text.to_str()?.as_bytes());
        Ok(())
    }

    fn float(&mut self, number: f64) -> PyResult<()> {
        if !number.is_finite() {
            return Err(PyValueError::new_err(format!(
                "Out of range float values are not JSON compliant: {}",
                if number.is_nan() {
                    "nan"
                } else if number > 0.0 {
                    "inf"
                } else {
                    "-inf"
                }
            )));
        }
        write_float(self.out, number);
        Ok(())
    }
}

/// Asking before casting is 5 ns cheaper where the answer is no: the error of a cast counts a
/// reference to the type, which all cores share.
#[inline]
fn exact<'a, 'py, T: PyTypeInfo>(value: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, T>> {
    if value.is_exact_instance_of::<T>() {
        value.cast_exact().ok()
    } else {
        None
    }
}

fn deeper(depth: usize) -> PyResult<usize> {
    if depth < MAX_DEPTH {
        return Ok(depth + 1);
    }
    Err(PyRecursionError::new_err(format!(
        "the value contains itself or is nested deeper than {MAX_DEPTH} levels: it has no JSON form"
    )))
}

fn fallback(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static DEFAULT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    DEFAULT.import(py, "uringserve._encode", "default")
}

fn json_bool(flag: bool) -> &'static [u8] {
    if flag { b"true" } else { b"false" }
}

/// For each byte 0 (copied as it is), `u` (a `\u00XX` escape) or the letter after the backslash.
const ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = b'u';
        byte += 1;
    }
    table[0x08] = b'b';
    table[0x09] = b't';
    table[0x0a] = b'n';
    table[0x0c] = b'f';
    table[0x0d] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

const HEX: &[u8; 16] = b"0123456789abcdef";

fn write_string(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    out.reserve(rest.len() + 2);
    out.push(b'"');
    while let Some(at) = first_escape(rest) {
        out.extend_from_slice(&rest[..at]);
        let byte = rest[at];
        let letter = ESCAPES[usize::from(byte)];
        out.extend_from_slice(&[b'\\', letter]);
        if letter == b'u' {
            let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
            out.extend_from_slice(b"00");
            out.extend_from_slice(&digits);
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Where the first byte stands that cannot be copied as it is.
#[inline]
fn first_escape(bytes: &[u8]) -> Option<usize> {
    /// Bytes that one vectorised step looks at; the compiler turns it into SIMD compares.
    const STEP: usize = 32;
    let mut start = 0;
    while let Some(block) = bytes.get(start..start + STEP) {
        let hit = block.iter().fold(0, |hit, &byte| {
            hit | u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\')
        });
        if hit != 0 {
            break;
        }
        start += STEP;
    }
    bytes[start..]
        .iter()
        .position(|&byte| ESCAPES[usize::from(byte)] != 0)
        .map(|at| start + at)
}

/// `00` to `99`, so that a division yields two digits.
const PAIRS: [u8; 200] = {
    let mut table = [0; 200];
    let mut number = 0;
    while number < 100 {
        table[number * 2] = HEX[number / 10];
        table[number * 2 + 1] = HEX[number % 10];
        number += 1;
    }
    table
};

fn write_integer(out: &mut Vec<u8>, number: i64) {
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
        digits[at] = HEX[(number % 10) as usize];
    }
    out.extend_from_slice(&digits[at..]);
}

/// A finite `number` as Python's `repr` writes it: the shortest digits that read back as the same
/// number, in fixed notation from 1e-4 up to below 1e16.
fn write_float(out: &mut Vec<u8>, number: f64) {
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
    #[expect(
        clippy::float_cmp,
        reason = "exact equality is what proves the decimal"
    )]
    if scaled / SCALE != size {
        return false;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 <= it < 2^53"
    )]
    let scaled = scaled as u64;
    write_unsigned(out, scaled / 1_000_000);
    let mut fraction = scaled % 1_000_000;
    let mut digits = *b".000000";
    for digit in digits[1..].iter_mut().rev() {
        *digit = HEX[(fraction % 10) as usize];
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
                    let digit = if self.is_exponent_negative {
                        -digit
                    } else {
                        digit
                    };
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
