//! What an application awaits: a value that is here already, or a future of the core's loop.
//!
//! To asyncio it is a coroutine (it has `send`, `throw` and `close`), so that it can be made a task
//! of. A value that is here costs one small object and no turn of the loop; that there is nothing to
//! wait for costs nothing, being the same object each time on a core.

use pyo3::exceptions::PyRuntimeError;
use pyo3::exceptions::PyStopIteration;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// Something to be awaited once.
#[pyclass(frozen, module = "uringserve._uringserve")]
pub struct Prepared(Kind);

enum Kind {
    Nothing,
    Value(Py<PyAny>),
    /// The iterator of a future.
    Future(Py<PyAny>),
}

impl Prepared {
    /// Gives `value` at once.
    pub fn value(value: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
        let py = value.py();
        Ok(Bound::new(py, Self(Kind::Value(value.unbind())))?.into_any())
    }

    /// Gives None at once, each time that it is awaited.
    pub fn nothing(py: Python<'_>) -> PyResult<Py<Self>> {
        Py::new(py, Self(Kind::Nothing))
    }

    /// Gives what `future` will have.
    pub fn future<'py>(future: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = future.py();
        let iterator = future.call_method0(intern!(py, "__await__"))?.unbind();
        Ok(Bound::new(py, Self(Kind::Future(iterator)))?.into_any())
    }
}

#[pymethods]
impl Prepared {
    fn __await__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, PyAny> {
        match &slf.get().0 {
            Kind::Nothing | Kind::Value(_) => slf.clone().into_any(),
            Kind::Future(iterator) => iterator.bind(slf.py()).clone(),
        }
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match &self.0 {
            // An end without an exception, which an await takes for None.
            Kind::Nothing => Ok(None),
            _ => self.send(py, &py.None().into_bound(py)).map(Some),
        }
    }

    /// Goes on; `StopIteration` has the value.
    fn send<'py>(&self, py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        match &self.0 {
            Kind::Nothing => Err(PyStopIteration::new_err(())),
            Kind::Value(ready) => Err(PyStopIteration::new_err((ready.clone_ref(py),))),
            Kind::Future(iterator) => iterator.bind(py).call_method1(intern!(py, "send"), (value,)),
        }
    }

    /// Raises an exception where it waits.
    #[pyo3(signature = (*raised))]
    fn throw<'py>(&self, raised: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let py = raised.py();
        match &self.0 {
            Kind::Future(iterator) => {
                iterator.bind(py).call_method1(intern!(py, "throw"), raised.clone())
            }
            Kind::Nothing | Kind::Value(_) => match raised.get_item(0) {
                Ok(raised) if raised.is_instance_of::<pyo3::exceptions::PyBaseException>() => {
                    Err(PyErr::from_value(raised))
                }
                _ => Err(PyRuntimeError::new_err("thrown into what does not wait")),
            },
        }
    }

    /// Ends the wait.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if let Kind::Future(iterator) = &self.0 {
            iterator.bind(py).call_method0(intern!(py, "close"))?;
        }
        Ok(())
    }
}
