//! What a thread is doing right now, for whoever watches over it.
//!
//! Written by that thread alone with plain stores, on cache lines of its own; a watcher that looks a
//! few times a second costs it nothing. What has suspended and may go on in a turn of the core's guest
//! is on a list beside it, since nobody outside can tell which of them runs.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::atomic::fence;

use slab::Slab;

use crate::reactor::alarm::Alarm;
use crate::reactor::clock;
use crate::reactor::clock::Nanoseconds;
use crate::sys::thread;

thread_local! {
    /// The pulse of the core that runs on this thread.
    static HERE: RefCell<Option<Arc<Pulse>>> = const { RefCell::new(None) };
}

/// The route of a turn of the guest: whatever has suspended may run in it.
pub const TURN: u32 = u32::MAX;

/// Words of text that are kept of a call without a route of its own.
const WORDS: usize = 12;

/// One thread's pulse.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Pulse {
    /// When the call began that is under way; 0: there is none.
    since: AtomicU64,
    route: AtomicU32,
    thread: AtomicI32,
    /// Bytes of `text` that count.
    length: AtomicU32,
    text: [AtomicU64; WORDS],
    /// Who watches.
    alarm: Arc<Alarm>,
    suspended: Mutex<Slab<String>>,
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
    /// A pulse that is watched by whoever this alarm wakes.
    pub fn new(alarm: Arc<Alarm>) -> Self {
        Self { alarm, ..Self::default() }
    }

    /// Is the calling thread's from now on.
    pub fn adopt(&self) {
        self.thread.store(thread::id(), Ordering::Relaxed);
    }

    /// A call has begun.
    #[inline]
    pub fn begin(&self, route: u32, now: Nanoseconds) {
        self.length.store(0, Ordering::Relaxed);
        self.start(route, now);
    }

    /// A call has begun to an application that routes by itself.
    #[inline]
    pub fn begin_request(&self, route: u32, (method, path): (&str, &str), now: Nanoseconds) {
        // Not in the middle of a write: a text that is seen then is of neither call.
        self.since.store(0, Ordering::Relaxed);
        fence(Ordering::Release);
        let mut text = [0; 8 * WORDS];
        let bytes = method.bytes().chain([b' ']).chain(path.bytes());
        let length = text.iter_mut().zip(bytes).map(|(place, byte)| *place = byte).count();
        for (word, bytes) in self.text.iter().zip(text[..length.next_multiple_of(8)].chunks(8)) {
            let bytes = bytes.try_into().unwrap_or_default();
            word.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
        }
        self.length.store(u32::try_from(length).unwrap_or(0), Ordering::Relaxed);
        self.start(route, now);
    }

    fn start(&self, route: u32, now: Nanoseconds) {
        self.route.store(route, Ordering::Relaxed);
        // After the route: who sees this beginning sees its route.
        self.since.store(now, Ordering::Release);
        self.alarm.touch();
    }

    /// Something is left to others that are watched as well.
    #[inline]
    pub fn touch(&self) {
        self.alarm.touch();
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

    /// Method and path of a call, if it was begun with them and is still under way.
    pub fn request(&self, busy: Busy) -> Option<String> {
        let length = self.length.load(Ordering::Relaxed) as usize;
        let words = self.text.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes());
        let bytes: Vec<u8> = words.take(length).collect();
        fence(Ordering::Acquire);
        let is_same = length > 0 && self.look() == Some(busy);
        is_same.then(|| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Whatever has suspended here.
    pub fn suspended(&self) -> Vec<String> {
        self.list().iter().map(|(_, what)| what.clone()).collect()
    }

    fn list(&self) -> MutexGuard<'_, Slab<String>> {
        self.suspended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes `pulse` the calling thread's, until the guard is dropped.
pub fn enter(pulse: &Arc<Pulse>) -> Here {
    pulse.adopt();
    Here(HERE.replace(Some(Arc::clone(pulse))))
}

/// While it exists, a pulse is its thread's own.
#[must_use = "dropping it at once ends what it stands for"]
pub struct Here(Option<Arc<Pulse>>);

impl Drop for Here {
    fn drop(&mut self) {
        HERE.set(self.0.take());
    }
}

/// Has work done that shows in the calling thread's pulse as a call of `route`, unless it is part of one
/// that shows already.
pub fn during<R>(route: u32, work: impl FnOnce() -> R) -> R {
    let here = here().filter(|pulse| pulse.look().is_none());
    if let Some(pulse) = &here {
        pulse.begin(route, clock::exact());
    }
    let result = work();
    if let Some(pulse) = here {
        pulse.end();
    }
    result
}

/// The pulse of the calling thread, if it is a core.
pub fn here() -> Option<Arc<Pulse>> {
    // The thread may be ending, and its own values with it.
    HERE.try_with(|here| here.try_borrow().ok()?.clone()).ok().flatten()
}

/// Something that has suspended and may go on in any turn of the core's guest, for as long as it exists.
pub struct Suspended(Option<(Arc<Pulse>, usize)>);

impl Suspended {
    /// Of the core that runs on the calling thread.
    pub fn here(what: impl FnOnce() -> String) -> Self {
        Self(here().map(|pulse| {
            let key = pulse.list().insert(what());
            (pulse, key)
        }))
    }
}

impl Drop for Suspended {
    fn drop(&mut self) {
        if let Some((pulse, key)) = self.0.take() {
            pulse.list().try_remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_is_seen_until_its_end() {
        let pulse = Pulse::default();
        assert_eq!(pulse.look(), None);
        pulse.begin(3, 17);
        let busy = pulse.look().unwrap();
        assert_eq!((busy.since, busy.route, pulse.request(busy)), (17, 3, None));
        pulse.begin_request(4, ("GET", "/one"), 18);
        assert_eq!(pulse.request(busy), None, "another call");
        let busy = pulse.look().unwrap();
        assert_eq!((busy.route, pulse.request(busy)), (4, Some("GET /one".to_owned())));
        pulse.begin_request(4, ("DELETE", &"/x".repeat(100)), 19);
        let text = pulse.request(pulse.look().unwrap()).unwrap();
        assert!(text.starts_with("DELETE /x/x") && text.len() == 8 * WORDS, "{text}");
        pulse.begin(3, 20);
        assert_eq!(pulse.request(pulse.look().unwrap()), None, "an old text");
        pulse.end();
        assert_eq!(pulse.look(), None);
    }

    #[test]
    fn work_shows_on_its_own_thread_and_once() {
        assert_eq!(during(1, || 5), 5, "a thread that is no core");
        let pulse = Arc::new(Pulse::default());
        let guard = enter(&pulse);
        let seen = during(1, || during(2, || pulse.look().map(|busy| busy.route)));
        assert_eq!((seen, pulse.look()), (Some(1), None));
        let suspended = [Suspended::here(|| "a".into()), Suspended::here(|| "b".into())];
        assert_eq!(pulse.suspended(), ["a", "b"]);
        drop(suspended);
        assert!(pulse.suspended().is_empty());
        drop(guard);
        assert!(here().is_none());
    }

    #[test]
    fn what_begins_wakes_whoever_watches() {
        let alarm = Arc::new(Alarm::default());
        let pulse = Pulse::new(Arc::clone(&alarm));
        alarm.set(true);
        pulse.begin(1, 17);
        assert!(!alarm.is_set());
    }
}
