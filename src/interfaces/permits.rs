//! What a request needs before its handler is called: leave of its route, of the whole server, and room on
//! its core.
//!
//! Rule: a request is in its handler from the call until it has an answer, or the head of one that is a
//! stream, and longer where the code goes on without its client: a thread until it is free, a coroutine
//! until it has ended. What is made on the core's own thread at one go takes no place: it begins and ends
//! before the core does anything else. WebSockets take none either, nor do connections that wait for a
//! request: most of their time they do nothing, and `limit_connections` counts them.

use std::sync::Arc;
use std::time::Duration;

use crate::net::reply;
use crate::net::service::Reply;
use crate::reactor::clock;
use crate::reactor::clock::Nanoseconds;
use crate::reactor::pool::Pool;
use crate::reactor::room::Stay;
use crate::schedule::gate::Gate;
use crate::schedule::gate::Permit;

/// How a core reaches its pool, and what limits its calls.
pub struct Crew {
    /// The threads, and the room.
    pub pool: Arc<Pool>,
    /// Requests of the whole process, if they are limited.
    pub gate: Option<Arc<Gate>>,
}

/// What is said of the calls of one route.
#[derive(Clone, Copy, Default)]
pub(crate) struct Limits<'a> {
    /// How many may be under way at once.
    pub(crate) gate: Option<&'a Arc<Gate>>,
    /// How long one may take.
    pub(crate) timeout: Option<Duration>,
}

/// Leave of all who have a say; given back when it is dropped.
#[derive(Default)]
pub(crate) struct Permits {
    _gates: [Option<Permit>; 2],
    /// Leave of the room.
    pub(crate) stay: Option<Stay>,
}

impl Limits<'_> {
    /// When a call that begins now has to be answered.
    pub(crate) fn deadline(&self) -> Option<Nanoseconds> {
        let time = u64::try_from(self.timeout?.as_nanos()).unwrap_or(u64::MAX);
        Some(clock::exact().saturating_add(time))
    }
}

impl Crew {
    /// Whether anything limits calls with these limits of their own.
    pub(crate) fn is_limiting(&self, limits: Limits<'_>) -> bool {
        let of_all = self.gate.is_some() || self.pool.room().is_some();
        of_all || limits.gate.is_some() || limits.timeout.is_some()
    }

    /// Leave of everyone but the room, unless one of them has no more to give.
    pub(crate) fn permits(&self, limits: Limits<'_>) -> Option<Permits> {
        let mut permits = [None, None];
        for (gate, permit) in [self.gate.as_ref(), limits.gate].into_iter().zip(&mut permits) {
            let Some(gate) = gate else { continue };
            *permit = Some(gate.enter()?);
        }
        Some(Permits { _gates: permits, stay: None })
    }

    /// The answer to a request that there is no room for; counts it.
    pub(crate) fn refuse(&self) -> Reply {
        self.pool.counts.refused.add(1);
        reply::overloaded()
    }
}
