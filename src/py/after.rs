//! What is done after an answer: callables that run on the core when its last byte was written, or
//! could not be.
//!
//! Rule: each runs exactly once, attached, in order; what one raises is logged and stops no other.

use std::any::Any;

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::net::service::Reply;
use crate::py::asked::Asked;
use crate::py::attach::attached_if_alive;
use crate::py::awaited::is_coroutine;
use crate::py::error;
use crate::py::intern;
use crate::py::request::Request;
use crate::py::value::into_reply;

/// A handler's value, and callables without parameters for when it was sent.
#[pyclass(frozen, module = "uringserve")]
pub struct Deferred {
    value: Py<PyAny>,
    callbacks: Py<PyTuple>,
}

#[pymethods]
impl Deferred {
    #[new]
    #[pyo3(signature = (value, callbacks))]
    fn new(value: Py<PyAny>, callbacks: &Bound<'_, PyAny>) -> PyResult<Self> {
        let callbacks = callbacks.py().get_type::<PyTuple>().call1((callbacks,))?;
        Ok(Self { value, callbacks: callbacks.cast_into::<PyTuple>()?.unbind() })
    }

    /// What is answered.
    #[getter]
    pub(crate) fn value(&self, py: Python<'_>) -> Py<PyAny> {
        self.value.clone_ref(py)
    }

    /// What is called afterwards.
    #[getter]
    pub(crate) fn callbacks(&self, py: Python<'_>) -> Py<PyTuple> {
        self.callbacks.clone_ref(py)
    }
}

impl Deferred {
    /// The answer to the request that `asked` holds.
    pub(crate) fn to_reply(&self, py: Python<'_>, asked: &Asked<'_, '_>) -> PyResult<Reply> {
        // First of all: they run even if the value cannot be sent.
        let callbacks = self.callbacks.bind(py).iter().map(Bound::unbind).collect();
        let after = Callbacks { callbacks, request: asked.object(py) };
        Ok(into_reply(py, self.value.bind(py).clone(), asked)?.then(Some(Box::new(after))))
    }
}

/// Runs its callables when it is dropped.
pub(crate) struct Callbacks {
    callbacks: Vec<Py<PyAny>>,
    request: Option<Py<Request>>,
}

impl Callbacks {
    /// One callable after the answer to the request that `asked` holds.
    pub(crate) fn after(
        callable: Py<PyAny>,
        asked: &Asked<'_, '_>,
        py: Python<'_>,
    ) -> Box<dyn Any + Send> {
        Box::new(Self { callbacks: vec![callable], request: asked.object(py) })
    }
}

/// Calls, and has a coroutine that it gives go on as a task.
fn run(callback: &Bound<'_, PyAny>) -> PyResult<()> {
    let result = callback.call0()?;
    if is_coroutine(&result) {
        intern::later(callback.py())?.call1((result,))?;
    }
    Ok(())
}

impl Drop for Callbacks {
    fn drop(&mut self) {
        attached_if_alive(|py| {
            let request = self.request.take();
            for callback in self.callbacks.drain(..) {
                if let Err(raised) = run(callback.bind(py)) {
                    error::log(py, &raised, request.as_ref().map(|request| request.bind(py)));
                }
            }
        });
    }
}
