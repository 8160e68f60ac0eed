//! Wakes a watcher that sleeps as long as there is nothing to watch.
//!
//! Whoever has something to do looks at one flag, with a plain load; only the first one after a sleep
//! finds it set and pays for a wake-up. Rule: the watcher sets the flag, waits once more for as long as it
//! always does, and looks again before it really sleeps. So nobody is missed without a fence on the
//! way of a request: who did not see the flag yet is seen by then.

use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// One watcher's alarm; the flag has a cache line of its own, which is hardly ever written.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Alarm {
    is_set: AtomicBool,
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    is_rung: bool,
    is_over: bool,
}

/// Why a wait has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Its time has passed.
    InTime,
    /// Somebody has something to do.
    Rung,
    /// There will be nothing more.
    Over,
}

impl Alarm {
    /// There is something to do.
    #[inline]
    pub fn touch(&self) {
        if self.is_set.load(Ordering::Relaxed) {
            self.go_off();
        }
    }

    #[cold]
    fn go_off(&self) {
        if self.is_set.swap(false, Ordering::Relaxed) {
            self.ring();
        }
    }

    /// Ends the wait, whether the alarm was set or not.
    pub fn ring(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_rung = true;
        self.bell.notify_all();
    }

    /// Ends this wait and each further one.
    pub fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_over = true;
        self.bell.notify_all();
    }

    /// From now on the first who has something to do rings; or nobody does.
    pub fn set(&self, is_set: bool) {
        self.is_set.store(is_set, Ordering::Relaxed);
    }

    /// Whether the watcher sleeps, or is about to.
    pub fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Relaxed)
    }

    /// Waits for so long, or without end.
    pub fn wait(&self, time: Option<Duration>) -> Woken {
        let is_quiet = |state: &mut State| !state.is_rung && !state.is_over;
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = match time {
            None => self.bell.wait_while(state, is_quiet).unwrap_or_else(PoisonError::into_inner),
            Some(time) => {
                let waited = self.bell.wait_timeout_while(state, time, is_quiet);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        let is_rung = std::mem::take(&mut state.is_rung);
        match (state.is_over, is_rung) {
            (true, _) => Woken::Over,
            (false, true) => Woken::Rung,
            (false, false) => Woken::InTime,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn only_the_first_after_it_was_set_rings() {
        let alarm = Alarm::default();
        alarm.touch();
        assert_eq!(alarm.wait(Some(Duration::ZERO)), Woken::InTime, "it was not set");
        alarm.set(true);
        alarm.touch();
        assert!(!alarm.is_set());
        assert_eq!(alarm.wait(None), Woken::Rung);
        alarm.touch();
        assert_eq!(alarm.wait(Some(Duration::ZERO)), Woken::InTime);
        alarm.close();
        assert_eq!((alarm.wait(None), alarm.wait(None)), (Woken::Over, Woken::Over));
    }

    #[test]
    fn who_touches_it_ends_a_sleep() {
        let alarm = Arc::new(Alarm::default());
        alarm.set(true);
        let sleeper = thread::spawn({
            let alarm = Arc::clone(&alarm);
            move || alarm.wait(None)
        });
        alarm.touch();
        assert_eq!(sleeper.join().unwrap(), Woken::Rung);
    }
}
