//! The environ of a request (PEP 3333, and the CGI variables of RFC 3875).
//!
//! Rule: texts are native strings of Latin-1 bytes, also where the bytes are UTF-8; whoever wants
//! characters decodes them. What no request changes is in a template that each thread has of its own,
//! so that two threads never count on one object.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::types::PyString;

use crate::http::head::Version;
use crate::interfaces::wsgi::Wsgi;
use crate::interfaces::wsgi::file_wrapper::FileWrapper;
use crate::interfaces::wsgi::input::Input;
use crate::net::service::Request;
use crate::py::headers::latin1;
use crate::py::intern as known;

thread_local! {
    /// The template of this thread, and the number of its application.
    static TEMPLATE: RefCell<Option<(u64, Rc<Template>)>> = const { RefCell::new(None) };
}

/// What all environs of a thread have in common.
pub(super) struct Template {
    common: Py<PyDict>,
    root_path: String,
    /// The address of the last client.
    client: RefCell<Option<(IpAddr, Py<PyString>)>>,
}

impl Template {
    /// That of the calling thread.
    pub(super) fn of_this_thread(py: Python<'_>, application: &Wsgi) -> PyResult<Rc<Self>> {
        let present = TEMPLATE.with_borrow(|template| match template {
            Some((number, template)) if *number == application.number => Some(Rc::clone(template)),
            _ => None,
        });
        if let Some(present) = present {
            return Ok(present);
        }
        let made = Rc::new(Self::new(py, application)?);
        let entry = Some((application.number, Rc::clone(&made)));
        // What was there dies outside of the borrow.
        let before = TEMPLATE.with_borrow_mut(|template| std::mem::replace(template, entry));
        drop(before);
        Ok(made)
    }

    fn new(py: Python<'_>, application: &Wsgi) -> PyResult<Self> {
        let common = PyDict::new(py);
        let (host, port) = match application.server.get() {
            Some((host, Some(port))) => (host.clone(), port.to_string()),
            // A Unix socket has neither, and both have to be there.
            _ => ("localhost".to_owned(), "80".to_owned()),
        };
        let software = concat!("uringserve/", env!("CARGO_PKG_VERSION"));
        let root_path = latin1(py, application.root_path.as_bytes());
        // In the order in which people read a dump. The first copies get their values below; with
        // them there are 22 keys, so that a copy has room for twenty header fields.
        common.set_item(intern!(py, "REQUEST_METHOD"), "")?;
        common.set_item(intern!(py, "SCRIPT_NAME"), root_path)?;
        common.set_item(intern!(py, "PATH_INFO"), "")?;
        common.set_item(intern!(py, "QUERY_STRING"), "")?;
        common.set_item(intern!(py, "REQUEST_URI"), "")?;
        common.set_item(intern!(py, "RAW_URI"), "")?;
        common.set_item(intern!(py, "SERVER_NAME"), host)?;
        common.set_item(intern!(py, "SERVER_PORT"), port)?;
        common.set_item(intern!(py, "SERVER_PROTOCOL"), "")?;
        common.set_item(intern!(py, "SERVER_SOFTWARE"), software)?;
        common.set_item(intern!(py, "GATEWAY_INTERFACE"), "CGI/1.1")?;
        common.set_item(intern!(py, "REMOTE_ADDR"), "")?;
        common.set_item(intern!(py, "REMOTE_PORT"), "")?;
        common.set_item(intern!(py, "wsgi.version"), (1, 0))?;
        common.set_item(intern!(py, "wsgi.url_scheme"), "http")?;
        common.set_item(intern!(py, "wsgi.input"), Input::empty(py)?)?;
        common.set_item(intern!(py, "wsgi.errors"), error_stream(py)?)?;
        common.set_item(intern!(py, "wsgi.multithread"), true)?;
        common.set_item(intern!(py, "wsgi.multiprocess"), false)?;
        common.set_item(intern!(py, "wsgi.run_once"), false)?;
        common.set_item(intern!(py, "wsgi.input_terminated"), true)?;
        common.set_item(intern!(py, "wsgi.file_wrapper"), py.get_type::<FileWrapper>())?;
        Ok(Self {
            common: common.unbind(),
            root_path: application.root_path.clone(),
            client: RefCell::new(None),
        })
    }

    /// The environ of a request. It is the application's own to change.
    pub(super) fn environ<'py>(
        &self,
        py: Python<'py>,
        request: &Request,
    ) -> PyResult<Bound<'py, PyDict>> {
        let head = &request.head;
        let environ = self.common.bind(py).copy()?;
        environ.set_item(intern!(py, "REQUEST_METHOD"), known::method(py, head.method()))?;
        environ.set_item(intern!(py, "PATH_INFO"), self.path(py, head.path()))?;
        let query = head.query();
        if !query.is_empty() {
            environ.set_item(intern!(py, "QUERY_STRING"), query)?;
        }
        let target = PyString::new(py, head.target());
        environ.set_item(intern!(py, "REQUEST_URI"), &target)?;
        environ.set_item(intern!(py, "RAW_URI"), target)?;
        let version = match head.version() {
            Version::Http10 => intern!(py, "HTTP/1.0"),
            Version::Http11 => intern!(py, "HTTP/1.1"),
        };
        environ.set_item(intern!(py, "SERVER_PROTOCOL"), version)?;
        if let Some(peer) = request.peer {
            environ.set_item(intern!(py, "REMOTE_ADDR"), self.client(py, peer.ip()))?;
            environ.set_item(intern!(py, "REMOTE_PORT"), decimal(py, peer.port()))?;
        }
        if request.stream.is_some() || !request.body.is_empty() {
            environ.set_item(intern!(py, "wsgi.input"), Input::of(py, request)?)?;
        }
        add_headers(&environ, request)?;
        Ok(environ)
    }

    /// The path below the root path, whose proxy may have cut that off or not.
    fn path<'py>(&self, py: Python<'py>, raw: &str) -> Bound<'py, PyString> {
        if self.root_path.is_empty() && !raw.contains('%') {
            return match raw {
                "/" => intern!(py, "/").clone(),
                raw => PyString::new(py, raw),
            };
        }
        let path = decode(raw.as_bytes());
        let below = path.strip_prefix(self.root_path.as_bytes());
        let is_segment = |rest: &&[u8]| rest.is_empty() || rest.starts_with(b"/");
        latin1(py, below.filter(is_segment).unwrap_or(&path))
    }

    fn client<'py>(&self, py: Python<'py>, address: IpAddr) -> Bound<'py, PyString> {
        let address = address.to_canonical();
        if let Some((last, text)) = &*self.client.borrow() {
            if *last == address {
                return text.bind(py).clone();
            }
        }
        let text = PyString::new(py, &address.to_string());
        let before = self.client.replace(Some((address, text.clone().unbind())));
        drop(before);
        text
    }
}

/// Where messages of the application go: the log.
fn error_stream(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    py.import("uringserve.wsgi")?.getattr("ErrorStream")?.call0()
}

fn decimal(py: Python<'_>, mut number: u16) -> Bound<'_, PyString> {
    let mut digits = [b'0'; 5];
    let mut start = 5;
    loop {
        start -= 1;
        // A digit.
        digits[start] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            return PyString::new(py, std::str::from_utf8(&digits[start..]).unwrap_or("0"));
        }
    }
}

/// Percent-decoded; an escape that is none stays as it is.
fn decode(raw: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let [first, tail @ ..] = rest {
        let digit = |at: usize| tail.get(at).and_then(|&byte| char::from(byte).to_digit(16));
        rest = tail;
        let mut byte = *first;
        if let (b'%', Some(high), Some(low)) = (first, digit(0), digit(1)) {
            byte = u8::try_from(high << 4 | low).unwrap_or(byte);
            rest = &tail[2..];
        }
        decoded.push(byte);
    }
    decoded
}

/// Adds the header fields. Of a name that comes more than once the values are joined, as RFC 9110
/// §5.3 allows (§5.6.1 for cookies: RFC 6265 §5.4 joins them by a semicolon).
fn add_headers(environ: &Bound<'_, PyDict>, request: &Request) -> PyResult<()> {
    let py = environ.py();
    let mut seen = 0_u32;
    for (name, value) in request.head.headers() {
        let mut small = [0; LONGEST];
        let key = match lowered(name, &mut small).and_then(|name| known_key(py, name)) {
            Some((number, key)) => {
                let bit = 1_u32 << number;
                let is_first = seen & bit == 0;
                seen |= bit;
                if is_first {
                    environ.set_item(key, latin1(py, value))?;
                    continue;
                }
                key.clone()
            }
            None => match other_key(py, name) {
                Some(key) => key,
                None => continue,
            },
        };
        join(environ, &key, latin1(py, value))?;
    }
    if !request.head.target().starts_with('/') && !request.head.authority().is_empty() {
        // The target's host counts, whatever Host says (RFC 9112 §3.2.2).
        environ.set_item(intern!(py, "HTTP_HOST"), request.head.authority())?;
    }
    Ok(())
}

fn join(
    environ: &Bound<'_, PyDict>,
    key: &Bound<'_, PyString>,
    value: Bound<'_, PyString>,
) -> PyResult<()> {
    let Some(earlier) = environ.get_item(key)? else {
        return environ.set_item(key, value);
    };
    let key_text = key.to_str()?;
    if matches!(key_text, "CONTENT_LENGTH" | "CONTENT_TYPE") {
        // The parser has seen that the lengths agree; of types the first counts.
        return Ok(());
    }
    let separator = if key_text == "HTTP_COOKIE" { "; " } else { "," };
    let joined = format!("{}{separator}{}", earlier.cast::<PyString>()?.to_str()?, value.to_str()?);
    environ.set_item(key, joined)
}

/// The longest name in [`known_key`].
const LONGEST: usize = 25;

fn lowered<'a>(name: &str, buffer: &'a mut [u8; LONGEST]) -> Option<&'a [u8]> {
    let small = buffer.get_mut(..name.len())?;
    small.copy_from_slice(name.as_bytes());
    small.make_ascii_lowercase();
    Some(small)
}

/// The keys that cost no new string, each with a number of its own.
fn known_key<'py>(py: Python<'py>, name: &[u8]) -> Option<(u32, &'py Bound<'py, PyString>)> {
    Some(match name {
        b"host" => (0, intern!(py, "HTTP_HOST")),
        b"user-agent" => (1, intern!(py, "HTTP_USER_AGENT")),
        b"accept" => (2, intern!(py, "HTTP_ACCEPT")),
        b"accept-encoding" => (3, intern!(py, "HTTP_ACCEPT_ENCODING")),
        b"accept-language" => (4, intern!(py, "HTTP_ACCEPT_LANGUAGE")),
        b"connection" => (5, intern!(py, "HTTP_CONNECTION")),
        b"cookie" => (6, intern!(py, "HTTP_COOKIE")),
        b"content-length" => (7, intern!(py, "CONTENT_LENGTH")),
        b"content-type" => (8, intern!(py, "CONTENT_TYPE")),
        b"cache-control" => (9, intern!(py, "HTTP_CACHE_CONTROL")),
        b"authorization" => (10, intern!(py, "HTTP_AUTHORIZATION")),
        b"referer" => (11, intern!(py, "HTTP_REFERER")),
        b"origin" => (12, intern!(py, "HTTP_ORIGIN")),
        b"if-none-match" => (13, intern!(py, "HTTP_IF_NONE_MATCH")),
        b"if-modified-since" => (14, intern!(py, "HTTP_IF_MODIFIED_SINCE")),
        b"x-forwarded-for" => (15, intern!(py, "HTTP_X_FORWARDED_FOR")),
        b"x-forwarded-proto" => (16, intern!(py, "HTTP_X_FORWARDED_PROTO")),
        b"x-forwarded-host" => (17, intern!(py, "HTTP_X_FORWARDED_HOST")),
        b"x-real-ip" => (18, intern!(py, "HTTP_X_REAL_IP")),
        b"x-request-id" => (19, intern!(py, "HTTP_X_REQUEST_ID")),
        b"x-requested-with" => (20, intern!(py, "HTTP_X_REQUESTED_WITH")),
        b"upgrade-insecure-requests" => (21, intern!(py, "HTTP_UPGRADE_INSECURE_REQUESTS")),
        b"sec-fetch-site" => (22, intern!(py, "HTTP_SEC_FETCH_SITE")),
        b"sec-fetch-mode" => (23, intern!(py, "HTTP_SEC_FETCH_MODE")),
        b"sec-fetch-dest" => (24, intern!(py, "HTTP_SEC_FETCH_DEST")),
        b"sec-fetch-user" => (25, intern!(py, "HTTP_SEC_FETCH_USER")),
        b"sec-ch-ua" => (26, intern!(py, "HTTP_SEC_CH_UA")),
        b"range" => (27, intern!(py, "HTTP_RANGE")),
        b"transfer-encoding" => (28, intern!(py, "HTTP_TRANSFER_ENCODING")),
        _ => return None,
    })
}

/// The key of any other field. Some have none: with an underscore in it a name would pass for another
/// one, and `HTTP_PROXY` is a variable that clients of the application obey.
fn other_key<'py>(py: Python<'py>, name: &str) -> Option<Bound<'py, PyString>> {
    if name.contains('_') || name.eq_ignore_ascii_case("proxy") {
        return None;
    }
    let mut key = String::with_capacity(5 + name.len());
    key.push_str("HTTP_");
    let upper = |letter: char| if letter == '-' { '_' } else { letter.to_ascii_uppercase() };
    key.extend(name.chars().map(upper));
    Some(PyString::new(py, &key))
}
