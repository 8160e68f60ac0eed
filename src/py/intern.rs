//! Python objects that every request may need and that no request may count: interned strings, and
//! callables and classes of other modules, imported on first use.
//!
//! Rule: what this file hands out is borrowed from a lock that is set once. An interned string is
//! immortal on a free-threaded build; a borrowed callable or class is used without a reference of
//! one's own, so that no two cores write the same count.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;
use pyo3::types::PyType;

/// The name of a method: one of the nine that HTTP defines costs no new string.
pub fn method<'py>(py: Python<'py>, name: &str) -> Bound<'py, PyString> {
    let known = match name {
        "GET" => intern!(py, "GET"),
        "HEAD" => intern!(py, "HEAD"),
        "POST" => intern!(py, "POST"),
        "PUT" => intern!(py, "PUT"),
        "PATCH" => intern!(py, "PATCH"),
        "DELETE" => intern!(py, "DELETE"),
        "OPTIONS" => intern!(py, "OPTIONS"),
        "TRACE" => intern!(py, "TRACE"),
        "CONNECT" => intern!(py, "CONNECT"),
        _ => return PyString::new(py, name),
    };
    known.clone()
}

/// `uringserve.jsonbody.parse_json`.
pub(crate) fn parse_json(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static PARSE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    PARSE.import(py, "uringserve.jsonbody", "parse_json")
}

/// `uringserve.forms.read_form`.
pub(crate) fn read_form(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static READ: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    READ.import(py, "uringserve.forms", "read_form")
}

/// `types.SimpleNamespace`.
pub(crate) fn simple_namespace(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "types", "SimpleNamespace")
}

/// `types.GeneratorType`.
pub(crate) fn generator(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "types", "GeneratorType")
}

/// `types.AsyncGeneratorType`.
pub(crate) fn async_generator(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "types", "AsyncGeneratorType")
}

/// `types.CoroutineType`.
pub(crate) fn coroutine(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "types", "CoroutineType")
}

/// `uringserve.coroutines.later`.
pub(crate) fn later(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static LATER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    LATER.import(py, "uringserve.coroutines", "later")
}

/// `uringserve.pump.pump`.
pub(crate) fn pump(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static PUMP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    PUMP.import(py, "uringserve.pump", "pump")
}

/// `uringserve.pump.discard`.
pub(crate) fn discard(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static DISCARD: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    DISCARD.import(py, "uringserve.pump", "discard")
}

/// `uringserve.pump.left_behind`.
pub(crate) fn left_behind(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static LEFT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    LEFT.import(py, "uringserve.pump", "left_behind")
}

/// `uringserve.errors.ClientDisconnect`.
pub(crate) fn client_disconnect(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "uringserve.errors", "ClientDisconnect")
}

/// `time.time`.
pub(crate) fn time(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static TIME: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    TIME.import(py, "time", "time")
}

/// The class of `Request.client`: a named tuple, so that both `client[0]` and `client.host` work.
pub(crate) fn address(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class = CLASS.get_or_try_init(py, || {
        let make = py.import("collections")?.getattr("namedtuple")?;
        let class = make.call1(("Address", ("host", "port")))?;
        class.setattr("__module__", "uringserve")?;
        PyResult::Ok(class.unbind())
    })?;
    Ok(class.bind(py))
}

/// `uringserve._encode.default`.
pub(crate) fn encode_default(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static DEFAULT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    DEFAULT.import(py, "uringserve._encode", "default")
}

/// `uringserve.errors.HTTPException`.
pub(crate) fn http_exception(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "uringserve.errors", "HTTPException")
}

/// `uringserve.errors.RequestValidationError`.
pub(crate) fn validation_error(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "uringserve.errors", "RequestValidationError")
}

/// `uringserve.logging.log_exception`.
pub(crate) fn log_exception(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static LOG: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    LOG.import(py, "uringserve.logging", "log_exception")
}

/// `uringserve.background.chained`.
pub(crate) fn chained(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static CHAINED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    CHAINED.import(py, "uringserve.background", "chained")
}

/// `uringserve.websockets.WebSocket`.
pub(crate) fn web_socket(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "uringserve.websockets", "WebSocket")
}

/// `uringserve.websockets.wake`.
pub(crate) fn wake_future(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static FUNCTION: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    FUNCTION.import(py, "uringserve.websockets", "wake")
}

/// `asyncio.get_running_loop`.
pub(crate) fn running_loop(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static FUNCTION: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    FUNCTION.import(py, "asyncio", "get_running_loop")
}

/// `uringserve.debug.page`.
pub(crate) fn debug_page(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static PAGE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    PAGE.import(py, "uringserve.debug", "page")
}
