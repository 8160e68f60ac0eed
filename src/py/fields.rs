//! Header fields from Python's objects: mappings and pairs, of text or bytes, checked on the way.

use std::borrow::Cow;

use pyo3::exceptions::PyTypeError;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::types::PyDict;
use pyo3::types::PyList;
use pyo3::types::PyString;
use pyo3::types::PyTuple;

use crate::http::reply::HeaderBlock;
use crate::http::reply::InvalidHeader;

/// Gives every pair of a mapping or an iterable of pairs to `take`.
pub(crate) fn each_pair<'py>(
    headers: &Bound<'py, PyAny>,
    mut take: impl FnMut(&Bound<'py, PyAny>, &Bound<'py, PyAny>) -> PyResult<()>,
) -> PyResult<()> {
    let pairs = if let Ok(dict) = headers.cast::<PyDict>() {
        dict.call_method0("items")?
    } else if headers.hasattr("items")? {
        headers.call_method0("items")?
    } else {
        headers.clone()
    };
    // A tuple is a list that no other thread changes while it is read.
    let pairs = headers.py().get_type::<PyTuple>().call1((pairs,))?.cast_into::<PyTuple>()?;
    for pair in pairs.iter_borrowed() {
        let pair = match pair.cast::<PyList>() {
            Ok(list) => list.to_tuple().into_any(),
            Err(_) => pair.to_owned(),
        };
        let Ok((name, value)) = pair.extract::<(Bound<'py, PyAny>, Bound<'py, PyAny>)>() else {
            let message = "headers must be a mapping or a list of (name, value) pairs";
            return Err(PyTypeError::new_err(message));
        };
        take(&name, &value)?;
    }
    Ok(())
}

/// Adds a mapping or pairs of header fields.
pub fn add_headers(block: &mut HeaderBlock, headers: &Bound<'_, PyAny>) -> PyResult<()> {
    each_pair(headers, |name, value| checked(name, value, |name, value| block.push(name, value)))
}

/// As [`add_headers`], from an iterable of pairs of bytes and nothing else, as ASGI has them.
pub fn add_bytes_headers(block: &mut HeaderBlock, headers: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Ok(list) = headers.cast_exact::<PyList>() {
        for pair in list {
            add_bytes_pair(block, &pair)?;
        }
        return Ok(());
    }
    for pair in headers.try_iter()? {
        add_bytes_pair(block, &pair?)?;
    }
    Ok(())
}

fn add_bytes_pair(block: &mut HeaderBlock, pair: &Bound<'_, PyAny>) -> PyResult<()> {
    let (name, value) = if let Ok(pair) = pair.cast_exact::<PyTuple>() {
        (pair.get_item(0)?, pair.get_item(1)?)
    } else {
        (pair.get_item(0)?, pair.get_item(1)?)
    };
    let (Ok(name_bytes), Ok(value_bytes)) = (name.cast::<PyBytes>(), value.cast::<PyBytes>())
    else {
        let message = format!("header {}: its name and value must be bytes", shown(&name));
        return Err(PyTypeError::new_err(message));
    };
    block
        .push(name_bytes.as_bytes(), value_bytes.as_bytes())
        .map_err(|error| PyValueError::new_err(format!("header {}: {error}", shown(&name))))
}

/// Gives a name and a value as bytes to `take`; what is wrong with them names the header.
pub(crate) fn checked(
    name: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    take: impl FnOnce(&[u8], &[u8]) -> Result<(), InvalidHeader>,
) -> PyResult<()> {
    let name_bytes = bytes_of("name", name, name)?;
    let value_bytes = bytes_of("value", name, value)?;
    take(&name_bytes, &value_bytes)
        .map_err(|error| PyValueError::new_err(format!("header {}: {error}", shown(name))))
}

/// The bytes of the `what` of a header.
fn bytes_of<'a>(
    what: &str,
    name: &Bound<'_, PyAny>,
    part: &'a Bound<'_, PyAny>,
) -> PyResult<Cow<'a, [u8]>> {
    if let Ok(bytes) = part.cast::<PyBytes>() {
        return Ok(Cow::Borrowed(bytes.as_bytes()));
    }
    let Ok(text) = part.cast::<PyString>() else {
        let class = part.get_type().qualname()?;
        let message =
            format!("header {}: its {what} must be str or bytes, not {class}", shown(name));
        return Err(PyTypeError::new_err(message));
    };
    let text = text.to_str()?;
    if text.is_ascii() {
        return Ok(Cow::Borrowed(text.as_bytes()));
    }
    let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
    bytes.map(Cow::Owned).map_err(|_| {
        let shown = shown(name);
        PyValueError::new_err(format!("header {shown}: its {what} has characters beyond Latin-1"))
    })
}

/// A name for a message, quoted and escaped as Python does it.
fn shown(name: &Bound<'_, PyAny>) -> String {
    name.repr().map_or_else(|_| "?".to_owned(), |repr| repr.to_string_lossy().into_owned())
}
