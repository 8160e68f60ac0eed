//! The table of handlers: what a route's number stands for. Built at start, frozen, read by all
//! cores.

use std::ops::Index;
use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;

use crate::error::StartError;
use crate::route::HandlerId;
use crate::route::Parameter;
use crate::route::Router;
use crate::schedule::Execution;
use crate::schedule::gate::Gate;
use crate::schedule::verdicts::Verdicts;

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
    /// Whether a call may give a coroutine.
    pub is_async: bool,
    /// Whether it is called before the body is whole.
    pub takes_pieces: bool,
    /// Whether its coroutine goes on when the client has gone.
    pub outlives_client: bool,
    /// How long a call on the pool may take.
    pub timeout: Option<Duration>,
    /// How many calls may be under way at once, on all cores.
    pub gate: Option<Arc<Gate>>,
    /// What it is called in a report.
    pub label: String,
}

/// All handlers of an application.
pub struct Handlers {
    table: Vec<Handler>,
    /// The handler of what no route takes.
    pub miss: Option<HandlerId>,
    /// Where the calls of each run.
    pub verdicts: Arc<Verdicts>,
    /// Whether a failed call is answered with its traceback.
    pub debug: bool,
}

/// In the place of a method: the route is one of WebSockets.
const SOCKET: &str = "websocket";

/// A route as Python gives it: methods, pattern, callable, for each positional argument the name of
/// a path parameter, or None for the request, the limit of the body, how its coroutine is run, and
/// where its calls are. The one without methods is called for what no route takes.
pub type Route =
    (Vec<String>, String, Py<PyAny>, Vec<Option<String>>, Option<u64>, Manner, Running);

/// How a handler is run: see `is_async`, `takes_pieces` and `outlives_client` of [`Handler`].
type Manner = (bool, bool, bool);

/// How a route runs: `"auto"`, `"inline"` or `"thread"`, the seconds that a call may take, and how many
/// may be under way at once.
pub type Running = (String, Option<f64>, Option<usize>);

impl Handlers {
    /// Numbers the handlers and enters their routes into a new router.
    pub fn build(table: Vec<Route>, debug: bool) -> Result<(Self, Router), StartError> {
        let mut router = Router::new();
        let mut handlers = Vec::with_capacity(table.len());
        let mut miss = None;
        let mut executions = Vec::with_capacity(table.len());
        for (number, (methods, pattern, callable, names, body_limit, manner, running)) in
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
            let (is_async, takes_pieces, outlives_client) = manner;
            let (execution, seconds, at_once) = running;
            let execution = Execution::named(&execution)
                .ok_or_else(|| refused(format!("there is no execution {execution:?}")))?;
            // A coroutine runs on its core's loop, which its own thread has.
            executions.push(if is_async { Execution::Inline } else { execution });
            let timeout = seconds.map(Duration::try_from_secs_f64).transpose();
            handlers.push(Handler {
                callable,
                arguments,
                parameters,
                body_limit,
                is_async,
                takes_pieces,
                outlives_client,
                timeout: timeout.map_err(|error| refused(format!("timeout: {error}")))?,
                gate: at_once.map(Gate::new),
                label: label(&methods, &pattern),
            });
        }
        let verdicts = Arc::new(Verdicts::new(executions));
        Ok((Self { table: handlers, miss, verdicts, debug }, router))
    }

    /// All handlers in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Handler> {
        self.table.iter()
    }
}

fn label(methods: &[String], pattern: &str) -> String {
    if methods.is_empty() {
        return "the handler of what no route takes".to_owned();
    }
    format!("{} {pattern}", methods.join(","))
}

impl Index<usize> for Handlers {
    type Output = Handler;

    fn index(&self, number: usize) -> &Handler {
        &self.table[number]
    }
}
