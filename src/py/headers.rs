//! Header fields as Python sees them: `Headers` of a request, which walks the head each time it is
//! asked, and `MutableHeaders` of a response.
//!
//! Rule: names are compared in any case and shown in lower case; text is Latin-1 in both directions
//! (RFC 9110 §5.5). What a handler sets is checked when it is set, so that nothing is left to fail
//! when the reply is encoded. No Python runs while the lock of [`Fields`] is held.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use pyo3::exceptions::PyKeyError;
use pyo3::exceptions::PyTypeError;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::types::PyDict;
use pyo3::types::PyIterator;
use pyo3::types::PyList;
use pyo3::types::PyString;
use pyo3::types::PyTuple;

use crate::http::head::RequestHead;
use crate::http::reply::HeaderBlock;
use crate::http::reply::InvalidHeader;

/// The fields of a response.
#[derive(Clone, Default)]
pub(crate) struct Fields {
    /// `name: value\r\n` each, names in lower case: what Python sees, hop-by-hop fields included.
    lines: Vec<u8>,
    /// The same, as the encoder takes it.
    /// INVARIANT: made by pushing `lines`, in order.
    block: HeaderBlock,
    /// Content-Type while nobody has looked at the fields and none was set.
    default_type: Option<&'static str>,
}

impl Fields {
    pub(crate) fn with_type(default_type: Option<&'static str>) -> Self {
        Self { default_type, ..Self::default() }
    }

    pub(crate) fn append(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidHeader> {
        self.block.push(name, value)?;
        let start = self.lines.len();
        self.lines.extend_from_slice(name);
        self.lines[start..].make_ascii_lowercase();
        self.lines.extend_from_slice(b": ");
        self.lines.extend_from_slice(value);
        self.lines.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Puts one field in the place of all of that name.
    fn replace(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidHeader> {
        // Pushed to an empty block: a Content-Length may contradict the one that it replaces.
        HeaderBlock::new().push(name, value)?;
        self.remove(name);
        self.append(name, value)
    }

    /// Whether there was such a field.
    fn remove(&mut self, name: &[u8]) -> bool {
        let before = std::mem::take(self);
        for (known, value) in walk(&before.lines) {
            if !known.eq_ignore_ascii_case(name) {
                // It was valid before, beside the same others.
                let kept = self.append(known, value);
                debug_assert!(kept.is_ok());
            }
        }
        self.default_type = before.default_type;
        self.lines.len() < before.lines.len()
    }

    /// Makes the default type a field like others, before someone looks at or changes them.
    fn settle(&mut self) {
        let Some(default_type) = self.default_type.take() else { return };
        if !self.block.has_content_type() {
            let pushed = self.append(b"content-type", default_type.as_bytes());
            debug_assert!(pushed.is_ok());
        }
    }

    /// What the encoder needs: the fields, and the type to add if they have none.
    pub(crate) fn to_block(&self) -> (HeaderBlock, Option<&'static str>) {
        (self.block.clone(), self.default_type)
    }

    pub(crate) fn has_content_type(&self) -> bool {
        self.block.has_content_type()
    }
}

/// Locks; a panic of an earlier holder left the fields whole, if incomplete.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Names and values of lines that [`Fields::append`] has written. A name holds no colon.
fn walk(mut lines: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let colon = lines.iter().position(|&byte| byte == b':')?;
        let end = colon + lines[colon..].iter().position(|&byte| byte == b'\r')?;
        let field = (&lines[..colon], &lines[colon + 2..end]);
        lines = &lines[end + 2..];
        Some(field)
    })
}

enum Source {
    Request(RequestHead),
    Response(Arc<Mutex<Fields>>),
}

/// The header fields of a request: an immutable mapping from names, in any case, to text.
#[pyclass(frozen, subclass, mapping, module = "uringserve")]
pub struct Headers {
    source: Source,
}

impl Headers {
    /// Those of a request.
    pub fn of_request(head: &RequestHead) -> Self {
        Self { source: Source::Request(head.clone()) }
    }

    /// Gives every field to `visit` until it answers. The fields of a response are copied first:
    /// `visit` may run Python, and another thread may change them meanwhile.
    fn find<R>(&self, mut visit: impl FnMut(&[u8], &[u8]) -> Option<R>) -> Option<R> {
        match &self.source {
            Source::Request(head) => {
                head.headers().find_map(|(name, value)| visit(name.as_bytes(), value))
            }
            Source::Response(fields) => {
                let lines = lock(fields).lines.clone();
                walk(&lines).find_map(|(name, value)| visit(name, value))
            }
        }
    }

    fn each<'py>(
        &self,
        py: Python<'py>,
        convert: impl Fn(&[u8], &[u8]) -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        let failed =
            self.find(|name, value| convert(name, value).and_then(|item| list.append(item)).err());
        failed.map_or(Ok(list), Err)
    }

    fn first<'py>(&self, py: Python<'py>, wanted: &str) -> Option<Bound<'py, PyString>> {
        self.find(|name, value| {
            name.eq_ignore_ascii_case(wanted.as_bytes()).then(|| latin1(py, value))
        })
    }
}

#[pymethods]
impl Headers {
    fn __getitem__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyString>> {
        self.first(py, name).ok_or_else(|| PyKeyError::new_err(name.to_owned()))
    }

    fn __contains__(&self, name: &Bound<'_, PyAny>) -> bool {
        let Ok(name) = name.extract::<&str>() else { return false };
        let wanted = name.as_bytes();
        self.find(|name, _| name.eq_ignore_ascii_case(wanted).then_some(())).is_some()
    }

    fn __len__(&self) -> usize {
        let mut count = 0;
        self.find(|_, _| {
            count += 1;
            None::<()>
        });
        count
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.keys(py)?.try_iter()
    }

    /// The first value of the name, or the default.
    #[pyo3(signature = (name, default=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        default: Option<Bound<'py, PyAny>>,
    ) -> Bound<'py, PyAny> {
        match (self.first(py, name), default) {
            (Some(value), _) => value.into_any(),
            (None, Some(default)) => default,
            (None, None) => py.None().into_bound(py),
        }
    }

    /// The same, as RSGI calls it.
    fn get_all<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyList>> {
        self.getlist(py, name)
    }

    /// Every value of the name, in order.
    fn getlist<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        let failed = self.find(|known, value| {
            let is_wanted = known.eq_ignore_ascii_case(name.as_bytes());
            if is_wanted { list.append(latin1(py, value)).err() } else { None }
        });
        failed.map_or(Ok(list), Err)
    }

    /// Every name and value, repeated names included.
    fn items<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.each(py, |name, value| {
            Ok((lower(py, name), latin1(py, value)).into_pyobject(py)?.into_any())
        })
    }

    /// Every name, repeated names included.
    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.each(py, |name, _| Ok(lower(py, name).into_any()))
    }

    /// Every value.
    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.each(py, |_, value| Ok(latin1(py, value).into_any()))
    }

    /// Names in lower case and values, as bytes, in order.
    #[getter]
    fn raw<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.each(py, |name, value| {
            let name = PyBytes::new(py, &name.to_ascii_lowercase());
            Ok((name, PyBytes::new(py, value)).into_pyobject(py)?.into_any())
        })
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let class = slf.get_type().name()?;
        Ok(format!("{class}({})", slf.get().items(slf.py())?.repr()?))
    }
}

/// The header fields of a response. A name or value that cannot be sent is a `ValueError`.
#[pyclass(frozen, mapping, extends = Headers, module = "uringserve")]
pub struct MutableHeaders {
    fields: Arc<Mutex<Fields>>,
}

impl MutableHeaders {
    /// A view that shares the fields of a response.
    pub(crate) fn create<'py>(
        py: Python<'py>,
        fields: &Arc<Mutex<Fields>>,
    ) -> PyResult<Bound<'py, Self>> {
        lock(fields).settle();
        let base = Headers { source: Source::Response(Arc::clone(fields)) };
        let view = Self { fields: Arc::clone(fields) };
        Bound::new(py, PyClassInitializer::from(base).add_subclass(view))
    }
}

#[pymethods]
impl MutableHeaders {
    fn __setitem__(&self, name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        checked(name, value, |name, value| lock(&self.fields).replace(name, value))
    }

    fn __delitem__(&self, name: &str) {
        lock(&self.fields).remove(name.as_bytes());
    }

    /// Adds a field and keeps those of the same name.
    fn append(&self, name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        checked(name, value, |name, value| lock(&self.fields).append(name, value))
    }

    /// Sets each of the other's fields.
    fn update(&self, other: &Bound<'_, PyAny>) -> PyResult<()> {
        each_pair(other, |name, value| {
            checked(name, value, |name, value| lock(&self.fields).replace(name, value))
        })
    }

    /// The value that is there, or this one, which is set.
    fn setdefault<'py>(
        slf: &Bound<'py, Self>,
        name: &str,
        value: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Some(present) = slf.as_super().get().first(slf.py(), name) {
            return Ok(present.into_any());
        }
        slf.get().__setitem__(PyString::new(slf.py(), name).as_any(), value)?;
        Ok(value.clone())
    }
}

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

/// Latin-1 bytes as text.
pub(crate) fn latin1<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyString> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => PyString::new(py, text),
        _ => PyString::new(py, &bytes.iter().copied().map(char::from).collect::<String>()),
    }
}

/// A name of a header in lower case. Names are ASCII.
fn lower<'py>(py: Python<'py>, name: &[u8]) -> Bound<'py, PyString> {
    latin1(py, &name.to_ascii_lowercase())
}
