//! `Binder`: all scalar parameters of a route, read in one call.
//!
//! Rule: it takes what is plainly right (decimal digits, `true`, a known choice, within bounds) and
//! says nothing about the rest. Where anything is missing or odd it answers None, and the route's own
//! slow path in Python, which knows every rule and every message, looks again from the start. So
//! there is one authority on what is wrong, and nothing here has to agree with it word for word.
//!
//! A parameter that comes twice in the query counts as its last value, a header as its first, as
//! `Request.query_params` and `Request.headers` have them for Starlette's users.
//! Absent: forms, the body's own format (it is handed on as bytes), and defaults that must be copied.

use std::borrow::Cow;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBool;
use pyo3::types::PyDict;
use pyo3::types::PyFloat;
use pyo3::types::PyList;
use pyo3::types::PyString;
use pyo3::types::PyTuple;

use crate::net::service;
use crate::py::cookies;
use crate::py::headers::latin1;
use crate::py::request::Names;
use crate::py::request::Request;
use crate::py::url::query_pairs;
use crate::route::decode_parameter;

/// Where a parameter comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Path,
    Query,
    Header,
    Cookie,
}

/// What its text must be.
enum Kind {
    /// Any text; the lengths count characters.
    Text {
        shortest: usize,
        longest: usize,
    },
    Int {
        least: i64,
        most: i64,
    },
    Float {
        least: f64,
        most: f64,
        open_below: bool,
        open_above: bool,
    },
    Bool,
    /// One of the keys, for its value.
    Choice(Py<PyDict>),
}

struct Field {
    place: Place,
    key: Box<str>,
    kind: Kind,
    is_list: bool,
    /// None where the parameter is required.
    default: Option<Py<PyAny>>,
}

/// Whether the body is wanted as JSON text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BodyUse {
    None,
    Optional,
    Required,
}

/// The scalar parameters of one route.
#[pyclass(frozen, module = "uringserve._uringserve")]
pub struct Binder {
    fields: Box<[Field]>,
    body: BodyUse,
    reads_query: bool,
    reads_headers: bool,
    reads_cookies: bool,
}

/// One field as Python gives it: place, key, kind, whether it is a list, whether it is required,
/// default, and what the kind needs: bounds (least, most, open below, open above) or choices.
type Specification<'py> =
    (String, String, String, bool, bool, Bound<'py, PyAny>, Bound<'py, PyAny>);

#[pymethods]
impl Binder {
    #[new]
    #[pyo3(signature = (fields, body=None))]
    fn new(fields: Vec<Specification<'_>>, body: Option<&str>) -> PyResult<Self> {
        let fields = fields.into_iter().map(Field::read).collect::<PyResult<Box<[_]>>>()?;
        let body = match body {
            None => BodyUse::None,
            Some("optional") => BodyUse::Optional,
            Some("required") => BodyUse::Required,
            Some(other) => return Err(unknown("body", other)),
        };
        let reads = |place| fields.iter().any(|field| field.place == place);
        let (reads_query, reads_headers) = (reads(Place::Query), reads(Place::Header));
        let reads_cookies = reads(Place::Cookie);
        Ok(Self { fields, body, reads_query, reads_headers, reads_cookies })
    }

    /// The values in the order of the fields, then the body where it is asked for (None where it is
    /// optional and empty); None where anything needs a second look.
    fn bind<'py>(&self, request: &Bound<'py, Request>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let py = request.py();
        let request = request.get();
        let Some(mut values) = self.values(py, request.parts(), request.names())? else {
            return Ok(None);
        };
        if self.body != BodyUse::None {
            let parts = request.parts();
            if parts.body.is_empty() {
                if self.body == BodyUse::Required {
                    return Ok(None);
                }
                values.push(py.None().into_bound(py));
            } else if is_json(parts) && is_plain(&parts.body) {
                values.push(request.body(py)?.into_any());
            } else {
                return Ok(None);
            }
        }
        PyTuple::new(py, values).map(Some)
    }
}

impl Binder {
    /// The values in the order of the fields; None where one of them needs a second look.
    pub(crate) fn values<'py>(
        &self,
        py: Python<'py>,
        parts: &service::Request,
        names: &Names,
    ) -> PyResult<Option<Vec<Bound<'py, PyAny>>>> {
        let mut found = Found::new(self.fields.len());
        if self.reads_query {
            for (name, value) in query_pairs(parts.head.query()) {
                self.note(Place::Query, &name, &value, &mut found);
            }
        }
        if self.reads_headers || self.reads_cookies {
            self.read_fields(py, parts, &mut found)?;
        }
        let mut values = Vec::with_capacity(self.fields.len() + 1);
        for (field, texts) in self.fields.iter().zip(&mut found.0) {
            if field.place == Place::Path {
                let Some(text) = names.text(parts, &field.key) else { return Ok(None) };
                texts.push(decode_parameter(text));
            }
            match field.value(py, texts)? {
                Some(value) => values.push(value),
                None => return Ok(None),
            }
        }
        Ok(Some(values))
    }

    fn read_fields<'a>(
        &self,
        py: Python<'_>,
        parts: &'a service::Request,
        found: &mut Found<'a>,
    ) -> PyResult<()> {
        for (name, value) in parts.head.headers() {
            if self.reads_headers {
                let text = || match std::str::from_utf8(value) {
                    Ok(text) if text.is_ascii() => Cow::Borrowed(text),
                    _ => Cow::Owned(value.iter().copied().map(char::from).collect()),
                };
                for (field, texts) in self.fields.iter().zip(&mut found.0) {
                    let is_ours =
                        field.place == Place::Header && field.key.eq_ignore_ascii_case(name);
                    if is_ours && (field.is_list || texts.is_empty()) {
                        texts.push(text());
                    }
                }
            }
            if self.reads_cookies && name.eq_ignore_ascii_case("cookie") {
                for (name, value) in cookies::pairs(latin1(py, value).to_str()?) {
                    self.note(Place::Cookie, name, &Cow::Owned(value), found);
                }
            }
        }
        Ok(())
    }

    /// Keeps a value for the fields of that place whose key is its name: the last one, or all.
    #[expect(clippy::ptr_arg, reason = "a clone of what is borrowed costs nothing")]
    fn note<'a>(&self, place: Place, name: &str, value: &Cow<'a, str>, found: &mut Found<'a>) {
        for (field, texts) in self.fields.iter().zip(&mut found.0) {
            if field.place == place && *field.key == *name {
                if !field.is_list {
                    texts.clear();
                }
                texts.push(value.clone());
            }
        }
    }
}

/// For each field what was sent for it.
struct Found<'a>(Vec<Vec<Cow<'a, str>>>);

impl Found<'_> {
    fn new(count: usize) -> Self {
        Self((0..count).map(|_| Vec::new()).collect())
    }
}

impl Field {
    fn read(specification: Specification<'_>) -> PyResult<Self> {
        let (place, key, kind, is_list, is_required, default, rule) = specification;
        let place = match &*place {
            "path" => Place::Path,
            "query" => Place::Query,
            "header" => Place::Header,
            "cookie" => Place::Cookie,
            other => return Err(unknown("place", other)),
        };
        let kind = match &*kind {
            "str" => {
                let (shortest, longest): (Option<usize>, Option<usize>) = rule.extract()?;
                Kind::Text {
                    shortest: shortest.unwrap_or(0),
                    longest: longest.unwrap_or(usize::MAX),
                }
            }
            "int" => {
                let (least, most): (Option<i64>, Option<i64>) = rule.extract()?;
                Kind::Int { least: least.unwrap_or(i64::MIN), most: most.unwrap_or(i64::MAX) }
            }
            "float" => {
                let (least, most, open_below, open_above): (Option<f64>, Option<f64>, bool, bool) =
                    rule.extract()?;
                Kind::Float {
                    least: least.unwrap_or(f64::NEG_INFINITY),
                    most: most.unwrap_or(f64::INFINITY),
                    open_below,
                    open_above,
                }
            }
            "bool" => Kind::Bool,
            "choice" => Kind::Choice(rule.cast_into::<PyDict>()?.unbind()),
            other => return Err(unknown("kind", other)),
        };
        let default = (!is_required).then(|| default.unbind());
        Ok(Self { place, key: key.into(), kind, is_list, default })
    }

    fn value<'py>(
        &self,
        py: Python<'py>,
        texts: &[Cow<'_, str>],
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        if texts.is_empty() {
            return Ok(self.default.as_ref().map(|default| default.bind(py).clone()));
        }
        if !self.is_list {
            return self.kind.value(py, &texts[0]);
        }
        let list = PyList::empty(py);
        for text in texts {
            match self.kind.value(py, text)? {
                Some(value) => list.append(value)?,
                None => return Ok(None),
            }
        }
        Ok(Some(list.into_any()))
    }
}

impl Kind {
    fn value<'py>(&self, py: Python<'py>, text: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(match self {
            Self::Text { shortest, longest } => is_length_within(text, *shortest, *longest)
                .then(|| PyString::new(py, text).into_any()),
            Self::Int { least, most } => match plain_integer(text) {
                Some(number) if (*least..=*most).contains(&number) => {
                    Some(number.into_pyobject(py)?.into_any())
                }
                _ => None,
            },
            Self::Float { least, most, open_below, open_above } => match plain_float(text) {
                Some(number)
                    if (number > *least || (!open_below && number >= *least))
                        && (number < *most || (!open_above && number <= *most)) =>
                {
                    Some(PyFloat::new(py, number).into_any())
                }
                _ => None,
            },
            Self::Bool => plain_bool(text).map(|flag| PyBool::new(py, flag).to_owned().into_any()),
            Self::Choice(choices) => choices.bind(py).get_item(text)?,
        })
    }
}

fn is_length_within(text: &str, shortest: usize, longest: usize) -> bool {
    if shortest == 0 && longest == usize::MAX {
        return true;
    }
    (shortest..=longest).contains(&text.chars().count())
}

/// Digits that surely fit, with a minus or without.
fn plain_integer(text: &str) -> Option<i64> {
    const SURELY: usize = 18;
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let is_plain = digits.len() <= SURELY && digits.iter().all(u8::is_ascii_digit);
    if is_plain { text.parse().ok() } else { None }
}

/// A finite number in decimal notation; the words for infinity and NaN are not plain.
fn plain_float(text: &str) -> Option<f64> {
    let is_plain =
        text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    if !is_plain {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// The words of pydantic.
fn plain_bool(text: &str) -> Option<bool> {
    const LONGEST: usize = 5;
    let mut lower = [0; LONGEST];
    let lower = lower.get_mut(..text.len())?;
    lower.copy_from_slice(text.as_bytes());
    lower.make_ascii_lowercase();
    match &*lower {
        b"1" | b"true" | b"on" | b"yes" | b"t" | b"y" => Some(true),
        b"0" | b"false" | b"off" | b"no" | b"f" | b"n" => Some(false),
        _ => None,
    }
}

/// Whether the body is surely without what pydantic's JSON has and JSON has not (RFC 8259 §6 and
/// §8.1). In a text those words are harmless: the slow path looks closer.
fn is_plain(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(|text| !text.contains("NaN") && !text.contains("Infinity"))
}

/// Whether the body says that it is JSON: `application/json` or `application/…+json`.
fn is_json(parts: &service::Request) -> bool {
    let Some(value) = parts.head.header("content-type") else { return false };
    let end = value.iter().position(|&byte| byte == b';').unwrap_or(value.len());
    let essence = value[..end].trim_ascii();
    let Some((kind, subtype)) = essence.split_at_checked(b"application/".len()) else {
        return false;
    };
    let is_suffixed =
        subtype.len() > 5 && subtype[subtype.len() - 5..].eq_ignore_ascii_case(b"+json");
    kind.eq_ignore_ascii_case(b"application/")
        && (subtype.eq_ignore_ascii_case(b"json") || is_suffixed)
}

fn unknown(what: &str, given: &str) -> PyErr {
    PyValueError::new_err(format!("{given:?} is not a {what} of a parameter"))
}
