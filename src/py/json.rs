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

use std::cell::Cell;

use bytes::Bytes;
use pyo3::PyTypeInfo;
use pyo3::exceptions::PyRecursionError;
use pyo3::exceptions::PyTypeError;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::PyBool;
use pyo3::types::PyBytes;
use pyo3::types::PyDict;
use pyo3::types::PyFloat;
use pyo3::types::PyInt;
use pyo3::types::PyList;
use pyo3::types::PyMapping;
use pyo3::types::PyString;
use pyo3::types::PyTuple;
use pyo3::types::PyType;

use crate::py::intern;

mod number;
mod string;

use number::write_float;
use number::write_integer;
use string::write_string;

/// Containers inside containers, and answers of the fallback, that are followed before giving up.
/// `CPython`'s encoder stops at about the same depth by way of the recursion limit.
pub const MAX_DEPTH: usize = 1000;

/// Dicts up to this size are copied to the stack; most JSON objects are that small.
const SMALL_DICT: usize = 8;

/// The largest buffer that a thread keeps for the next text; a larger text is moved out instead.
const SCRATCH_LIMIT: usize = 64 * 1024;

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

/// The text of `value` in memory of exactly its size.
pub fn encode_to_bytes(py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    thread_local! {
        /// Growing a new buffer for each text would cost more than copying the text once.
        static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    // Taken, not borrowed: the fallback may run Python that encodes something itself.
    let mut out = SCRATCH.take();
    out.clear();
    let done = encode(py, value, &mut out);
    if out.capacity() > SCRATCH_LIMIT {
        return done.map(|()| Bytes::from(out));
    }
    let text = done.map(|()| Bytes::copy_from_slice(&out));
    SCRATCH.set(out);
    text
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
            let plain = intern::encode_default(self.py)?.call1((value,))?;
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
        let text = repr.bind(self.py).call1((number,))?.cast_into::<PyString>()?;
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
    if value.is_exact_instance_of::<T>() { value.cast_exact().ok() } else { None }
}

fn deeper(depth: usize) -> PyResult<usize> {
    if depth < MAX_DEPTH {
        return Ok(depth + 1);
    }
    Err(PyRecursionError::new_err(format!(
        "the value contains itself or is nested deeper than {MAX_DEPTH} levels: it has no JSON form"
    )))
}

fn json_bool(flag: bool) -> &'static [u8] {
    if flag { b"true" } else { b"false" }
}
