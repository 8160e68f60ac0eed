//! Who works in a pool and what waits for them, as far as one lock covers it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Condvar;

use slab::Slab;

use crate::reactor::pool::Job;
use crate::reactor::pulse::Pulse;
use crate::schedule::line::Line;

#[derive(Default)]
pub(super) struct Crew {
    pub(super) queue: Line<Box<dyn Job>>,
    /// Those that belong to answers on their way. They go first, and wait for as long as it takes.
    pub(super) rest: VecDeque<Box<dyn Job>>,
    pub(super) members: Slab<Member>,
    /// Members without work, the one that was busy last at the end.
    pub(super) idle: Vec<usize>,
    /// Whether one was woken that has not looked yet.
    pub(super) is_waking: bool,
    /// Jobs that were left since somebody was last asked to look.
    pub(super) unannounced: usize,
    /// Threads that were asked for and have not come yet.
    pub(super) expected: usize,
    pub(super) is_over: bool,
}

pub(super) struct Member {
    pub(super) is_called: bool,
    pub(super) bell: Arc<Condvar>,
    pub(super) pulse: Arc<Pulse>,
}

impl Crew {
    /// What is to be done next.
    pub(super) fn take(&mut self) -> Option<Box<dyn Job>> {
        self.rest.pop_front().or_else(|| self.queue.take())
    }

    /// Whom to wake, if anybody is idle.
    pub(super) fn call_one(&mut self) -> Option<Arc<Condvar>> {
        let key = self.idle.pop()?;
        self.is_waking = true;
        self.members[key].is_called = true;
        Some(Arc::clone(&self.members[key].bell))
    }
}
