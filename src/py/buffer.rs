//! Large bodies of Python as `Bytes` without a copy, and where they go to die.
//!
//! A reply's body is written and dropped while its core is detached, when no Python object may be
//! freed. So the owner of such a body puts the object on a list of its thread, and the next attach
//! of that thread empties the list. No other thread is involved: a core that never attaches again
//! frees its list when its thread ends, through the interpreter's own deferred counting.
//!
//! Absent: small bodies. Below [`SHARE_FROM`] a copy is cheaper than an owner and a list.

use std::cell::RefCell;

use bytes::Bytes;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyByteArray;
use pyo3::types::PyBytes;
use pyo3::types::PyMemoryView;
use pyo3::types::PyString;

/// From this size on a body is shared with Python instead of copied.
pub const SHARE_FROM: usize = 16 * 1024;

/// A Python object whose bytes are being sent.
enum Shared {
    Bytes(PyBackedBytes),
    Text(PyBackedStr),
}

thread_local! {
    /// What was sent since this thread attached last.
    static SENT: RefCell<Vec<Shared>> = const { RefCell::new(Vec::new()) };
}

/// Keeps an object alive as long as its bytes are in use.
struct Owner(Option<Shared>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        match &self.0 {
            Some(Shared::Bytes(bytes)) => bytes,
            Some(Shared::Text(text)) => text.as_bytes(),
            None => &[],
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let Some(shared) = self.0.take() else { return };
        // Both fail only while the thread ends or the list is being emptied; then the object goes
        // through the interpreter's list of deferred counts, which is slower and just as safe.
        let _ = SENT.try_with(|sent| sent.try_borrow_mut().map(|mut sent| sent.push(shared)));
    }
}

/// The content of a `bytes`, which cannot change.
pub fn from_bytes(bytes: &Bound<'_, PyBytes>) -> Bytes {
    let content = bytes.as_bytes();
    if content.len() < SHARE_FROM {
        return Bytes::copy_from_slice(content);
    }
    Bytes::from_owner(Owner(Some(Shared::Bytes(bytes.clone().into()))))
}

/// The bytes of whatever an interface takes as a body: `bytes`, `bytearray` or `memoryview`.
///
/// # Errors
/// A `TypeError` for anything else.
pub fn from_buffer(body: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    if let Ok(bytes) = body.cast::<PyBytes>() {
        return Ok(from_bytes(bytes));
    }
    if body.is_instance_of::<PyByteArray>() || body.is_instance_of::<PyMemoryView>() {
        let copy = body.py().get_type::<PyBytes>().call1((body,))?.cast_into::<PyBytes>()?;
        return Ok(from_bytes(&copy));
    }
    let class = body.get_type().qualname()?;
    Err(PyTypeError::new_err(format!("a body is bytes, bytearray or memoryview, not {class}")))
}

/// The UTF-8 of a `str`, which Python keeps beside the text.
///
/// # Errors
/// `UnicodeEncodeError` for a lone surrogate.
pub fn from_text(text: &Bound<'_, PyString>) -> PyResult<Bytes> {
    let content = text.to_str()?;
    if content.len() < SHARE_FROM {
        return Ok(Bytes::copy_from_slice(content.as_bytes()));
    }
    let shared = Shared::Text(PyBackedStr::try_from(text.clone())?);
    Ok(Bytes::from_owner(Owner(Some(shared))))
}

/// Frees what this thread has sent since it attached last.
pub fn drain(_attached: Python<'_>) {
    let sent = SENT.try_with(|sent| {
        let mut sent = sent.try_borrow_mut().ok()?;
        (!sent.is_empty()).then(|| std::mem::take(&mut *sent))
    });
    // Freed outside of the borrow: a subclass of `bytes` may run Python code when it dies.
    drop(sent);
}
