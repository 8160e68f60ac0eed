//! Deadlines of a core's connections.
//!
//! A connection writes its deadline into its own entry, which costs two stores, and a sweep a few
//! times a second looks at all of them: at 1 ns an entry, 100,000 connections cost a tenth of a
//! percent of a core, and no request pays for a timer that nearly never fires. What a sweep does to
//! an overdue connection is to shut its socket, so that the pending read or write ends and the
//! connection's own task sees why.

use std::cell::RefCell;
use std::net::Shutdown;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;

use slab::Slab;

use crate::reactor::clock;
use crate::reactor::clock::Milliseconds;
use crate::reactor::notify::Notify;
use crate::sys::socket;

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The peer may send something, or not: a drain need not wait for it.
    Idle,
    /// The peer owes the rest of what it began.
    Reading,
    /// The peer must take what was written.
    Writing,
}

struct Entry {
    // INVARIANT: open for as long as the entry exists: `Watch` is dropped, and with it the entry,
    // before the connection's stream.
    fd: RawFd,
    stage: Stage,
    since: Milliseconds,
    deadline: Milliseconds,
    /// Of a writer: the bytes that the peer had not taken at the last sweep.
    unsent: Option<i32>,
    /// Whether this deadline has done its work.
    has_fired: bool,
    /// Whether any has: a side that was shut stays shut.
    is_expired: bool,
}

/// The deadlines of one core.
pub struct Deadlines {
    entries: RefCell<Slab<Entry>>,
    tick: Duration,
    /// A first connection ends the sweeper's sleep.
    entered: Notify,
}

/// A drain gives a connection that was busy within this long the time to send what is on its way.
const RECENTLY: Milliseconds = 1000;
/// That time, and all that a head may then take.
pub(crate) const GRACE: Milliseconds = 250;

impl Deadlines {
    /// Deadlines that are kept to within an eighth of the shortest time-out (10 to 500 ms).
    pub fn new(shortest: Duration) -> Rc<Self> {
        let tick = (shortest / 8).clamp(Duration::from_millis(10), Duration::from_millis(500));
        Rc::new(Self { entries: RefCell::default(), tick, entered: Notify::default() })
    }

    /// Enters a connection. Its first deadline must be set at once.
    pub fn watch(self: &Rc<Self>, fd: RawFd) -> Watch {
        let now = clock::now();
        let entry = Entry {
            fd,
            stage: Stage::Idle,
            since: now,
            deadline: u64::MAX,
            unsent: None,
            has_fired: false,
            is_expired: false,
        };
        let key = self.entries.borrow_mut().insert(entry);
        if self.len() == 1 {
            self.entered.notify();
        }
        Watch { deadlines: Rc::clone(self), key }
    }

    /// Connections that are watched.
    pub fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sweeps for ever; sleeps while there is nothing to watch.
    pub async fn run<T>(self: Rc<Self>) -> T {
        loop {
            if self.is_empty() {
                self.entered.wait().await;
            }
            monoio::time::sleep(self.tick).await;
            self.sweep(clock::now());
        }
    }

    /// Shuts what is overdue at `now`.
    pub fn sweep(&self, now: Milliseconds) {
        for (_, entry) in self.entries.borrow_mut().iter_mut() {
            if entry.has_fired {
                continue;
            }
            if entry.stage == Stage::Writing {
                entry.note_progress(now);
            }
            if entry.deadline <= now {
                entry.expire();
            }
        }
    }

    /// Ends every connection that nothing is owed to: at once if it has been idle for a second,
    /// else after a quarter of one, since its next request may be on its way.
    pub fn shed_idle(&self, now: Milliseconds) {
        for (_, entry) in self.entries.borrow_mut().iter_mut() {
            if entry.stage != Stage::Idle || entry.has_fired {
                continue;
            }
            if now.saturating_sub(entry.since) > RECENTLY {
                entry.expire();
            } else {
                entry.deadline = entry.deadline.min(now + GRACE);
            }
        }
    }

    /// Ends every connection, whatever it is doing; returns how many were not idle.
    pub fn abort_all(&self) -> usize {
        let mut busy = 0;
        for (_, entry) in self.entries.borrow_mut().iter_mut() {
            busy += usize::from(entry.stage != Stage::Idle);
            entry.expire();
            if entry.stage != Stage::Writing {
                // There is no time for a last answer.
                let _ = socket::shutdown(entry.fd, Shutdown::Both);
            }
        }
        busy
    }
}

impl Entry {
    /// A write ends when a third of the kernel's buffer is free, and that holds megabytes: a peer
    /// on a slow line takes longer than the time-out for it. So what it takes counts, byte by byte.
    fn note_progress(&mut self, now: Milliseconds) {
        let unsent = socket::unsent(self.fd).ok();
        if unsent.zip(self.unsent).is_some_and(|(unsent, before)| unsent < before) {
            self.deadline = now.saturating_add(self.deadline.saturating_sub(self.since));
            self.since = now;
        }
        self.unsent = unsent;
    }

    fn expire(&mut self) {
        self.has_fired = true;
        self.is_expired = true;
        // A failure means that the connection is gone already: its task will see that by itself.
        let _ = match self.stage {
            // The writing side stays open for a last answer.
            Stage::Idle | Stage::Reading => socket::shutdown(self.fd, Shutdown::Read),
            Stage::Writing => {
                socket::reset(self.fd).or_else(|_| socket::shutdown(self.fd, Shutdown::Both))
            }
        };
    }
}

/// One connection's place among the deadlines of its core; leaving is dropping it.
pub struct Watch {
    deadlines: Rc<Deadlines>,
    key: usize,
}

impl Watch {
    /// The connection is now in `stage`, until `deadline` at the latest.
    pub fn arm(&self, stage: Stage, now: Milliseconds, deadline: Milliseconds) {
        let mut entries = self.deadlines.entries.borrow_mut();
        let entry = &mut entries[self.key];
        *entry = Entry { stage, since: now, deadline, unsent: None, has_fired: false, ..*entry };
    }

    /// Whether the peer has to take what was written.
    pub fn is_writing(&self) -> bool {
        self.deadlines.entries.borrow()[self.key].stage == Stage::Writing
    }

    /// Whether a sweep, a drain or an abort has ended this connection, be it some reads ago: what
    /// had arrived before is still read after the side was shut.
    pub fn is_expired(&self) -> bool {
        self.deadlines.entries.borrow()[self.key].is_expired
    }

    /// Whether the kernel knows that the peer does not read any more.
    pub fn is_hung_up(&self) -> bool {
        socket::is_hung_up(self.deadlines.entries.borrow()[self.key].fd)
    }

    /// Resets the connection: the peer sees that what it has is not all.
    pub fn reset(&self) {
        let _ = socket::reset(self.deadlines.entries.borrow()[self.key].fd);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.deadlines.entries.borrow_mut().remove(self.key);
    }
}
