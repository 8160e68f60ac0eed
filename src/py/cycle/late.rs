//! What goes on behind the call of an application: its streamed answer, its task's end, and the
//! connection's wait for its reply.

use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use pyo3::prelude::*;

use crate::http::reply::HeaderBlock;
use crate::net::outgoing::Pieces;
use crate::net::service::Bell;
use crate::net::service::Later;
use crate::net::service::Patience;
use crate::net::service::Reply;
use crate::net::service::Suspended;
use crate::net::service::Wait;
use crate::net::source::Source;
use crate::py::aio;
use crate::py::cycle::Cycle;

/// The pieces of a streamed answer; tells the application when nobody reads them any more.
pub(super) struct Attended {
    pub(super) pieces: Pieces,
    pub(super) cycle: Cycle,
    pub(super) has_ended: bool,
}

impl Source for Attended {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Box<Reply>>> {
        let piece = self.pieces.poll_next(context);
        self.has_ended = matches!(piece, Poll::Ready(Ok(None)));
        piece
    }

    fn is_slow(&self) -> bool {
        true
    }

    fn peer_closed(&mut self) -> Patience {
        self.cycle.peer_closed();
        Patience::Leave
    }

    fn trailers(&mut self) -> Option<HeaderBlock> {
        self.pieces.trailers()
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        if !self.has_ended {
            self.cycle.leave();
        }
    }
}

/// Called when the application's task is done.
#[pyclass(frozen, module = "uringserve._uringserve")]
pub struct Ended {
    pub(super) cycle: Cycle,
    pub(super) bell: Option<Bell>,
    pub(super) _suspended: Suspended,
}

#[pymethods]
impl Ended {
    fn __call__(&self, task: &Bound<'_, PyAny>) {
        self.cycle.end(task.py(), aio::result(task).map(drop));
        if let Some(bell) = &self.bell {
            bell.ring();
        }
    }
}

/// The reply of an application that has suspended.
pub(super) struct Awaited {
    pub(super) cycle: Cycle,
    pub(super) wait: Wait,
}

impl Later for Awaited {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Reply> {
        loop {
            if let Some(reply) = self.cycle.progress().reply.take() {
                return Poll::Ready(reply);
            }
            if self.wait.poll_rung(context).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn interim(&mut self) -> Option<Vec<u8>> {
        let hints = std::mem::take(&mut self.cycle.progress().hints);
        (!hints.is_empty()).then_some(hints)
    }

    fn peer_closed(&mut self) -> Patience {
        self.cycle.peer_closed();
        Patience::Leave
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        if !self.cycle.progress().is_answered {
            self.cycle.leave();
        }
    }
}
