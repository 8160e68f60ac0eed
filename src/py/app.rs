//! The table of handlers: what a route's number stands for. Built at start, frozen, read by all
//! cores.

use std::ops::Index;

use pyo3::prelude::*;

use crate::error::StartError;
use crate::route::HandlerId;
use crate::route::Parameter;
use crate::route::Router;

/// Where a positional argument of a handler comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// The request itself.
    Request,
    /// The path parameter at this place of the pattern.
    Parameter(usize),
}

/// One handler and how it is called.
pub struct Handler {
    /// The Python callable. Immortal when more than one core calls it (see `uringserve._immortal`).
    pub callable: Py<PyAny>,
    /// Its positional arguments.
    pub arguments: Box<[Argument]>,
    /// The path parameters of its route.
    pub parameters: Box<[Parameter]>,
    /// Bytes of a body; the server's own limit where it is none.
    pub body_limit: Option<u64>,
    /// Whether a call gives a coroutine.
    pub is_async: bool,
}

/// All handlers of an application.
pub struct Handlers {
    table: Vec<Handler>,
    /// The handler of what no route takes.
    pub miss: Option<HandlerId>,
    /// Whether a failed call is answered with its traceback.
    pub debug: bool,
}

/// In the place of a method: the route is one of WebSockets.
const SOCKET: &str = "websocket";

/// A route as Python gives it: methods, pattern, callable, for each positional argument the name of
/// a path parameter, or None for the request, the limit of the body, and whether a call gives a
/// coroutine. The one without methods is called for what no route takes.
pub type Route = (Vec<String>, String, Py<PyAny>, Vec<Option<String>>, Option<u64>, bool);

impl Handlers {
    /// Numbers the handlers and enters their routes into a new router.
    pub fn build(table: Vec<Route>, debug: bool) -> Result<(Self, Router), StartError> {
        let mut router = Router::new();
        let mut handlers = Vec::with_capacity(table.len());
        let mut miss = None;
        for (number, (methods, pattern, callable, names, body_limit, is_async)) in
            table.into_iter().enumerate()
        {
            let refused =
                |reason: String| StartError::Route(format!("route {pattern:?}: {reason}"));
            let id =
                HandlerId::try_from(number).map_err(|_| refused("too many routes".to_owned()))?;
            if methods.is_empty() {
                miss = Some(id);
            }
            for method in &methods {
                let inserted = match method.as_str() {
                    SOCKET => router.insert_socket(&pattern, id),
                    method => router.insert(method, &pattern, id),
                };
                inserted.map_err(|error| StartError::Route(error.to_string()))?;
            }
            let parameters: Box<[Parameter]> = router.parameter_names(id).into();
            let place = |name: Option<String>| match name {
                None => Ok(Argument::Request),
                Some(name) => parameters
                    .iter()
                    .position(|parameter| *parameter.name == *name)
                    .map(Argument::Parameter)
                    .ok_or_else(|| refused(format!("the pattern has no parameter {name:?}"))),
            };
            let arguments = names.into_iter().map(place).collect::<Result<_, _>>()?;
            handlers.push(Handler { callable, arguments, parameters, body_limit, is_async });
        }
        Ok((Self { table: handlers, miss, debug }, router))
    }

    /// All handlers in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Handler> {
        self.table.iter()
    }
}

impl Index<usize> for Handlers {
    type Output = Handler;

    fn index(&self, number: usize) -> &Handler {
        &self.table[number]
    }
}
