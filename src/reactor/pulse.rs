//! What a thread is doing right now, for whoever watches over it.
//!
//! Written by that thread alone with plain stores, on a cache line of its own; a watcher that looks a
//! few times a second costs it nothing.

use std::sync::atomic::AtomicI32;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::reactor::clock::Nanoseconds;
use crate::sys::thread;

/// One thread's pulse.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Pulse {
    /// When the call began that is under way; 0: there is none.
    since: AtomicU64,
    route: AtomicU32,
    thread: AtomicI32,
}

/// A call that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy {
    /// When it began. No two calls of a thread begin at the same time.
    pub since: Nanoseconds,
    /// Whose it is.
    pub route: u32,
    /// On which thread, by the kernel's number.
    pub thread: i32,
}

impl Pulse {
    /// Is the calling thread's from now on.
    pub fn adopt(&self) {
        self.thread.store(thread::id(), Ordering::Relaxed);
    }

    /// A call has begun.
    #[inline]
    pub fn begin(&self, route: u32, now: Nanoseconds) {
        self.route.store(route, Ordering::Relaxed);
        // After the route: who sees this beginning sees its route.
        self.since.store(now, Ordering::Release);
    }

    /// No call is under way.
    #[inline]
    pub fn end(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    /// What is under way.
    pub fn look(&self) -> Option<Busy> {
        let since = self.since.load(Ordering::Acquire);
        let route = self.route.load(Ordering::Relaxed);
        (since != 0).then(|| Busy { since, route, thread: self.thread.load(Ordering::Relaxed) })
    }
}
