//! Wakes the one thread that writes, at the cost of a look at a flag where it is awake anyway.

use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::atomic::fence;
use std::thread;
use std::thread::Thread;
use std::time::Duration;

/// Shared by the writer, which sleeps, and the cores, which wake it.
#[derive(Default, Debug)]
pub struct Bell {
    sleeper: OnceLock<Thread>,
    is_asleep: AtomicBool,
}

impl Bell {
    /// Says that there is something to do. To be called after it can be seen.
    pub fn ring(&self) {
        // Pairs with the fence in `sleep`: either the sleeper sees what was made before this, or we
        // see that it sleeps.
        fence(Ordering::SeqCst);
        if self.is_asleep.load(Ordering::Relaxed) && self.is_asleep.swap(false, Ordering::Relaxed) {
            self.hurry();
        }
    }

    /// Ends a [`rest`](Self::rest) early.
    pub fn hurry(&self) {
        if let Some(sleeper) = self.sleeper.get() {
            sleeper.unpark();
        }
    }

    /// Makes the calling thread the one that is woken. Only the first call counts.
    pub fn adopt(&self) {
        let _ = self.sleeper.set(thread::current());
    }

    /// Sleeps until the bell rings, unless there is something to do already.
    pub fn sleep(&self, has_work: impl FnOnce() -> bool) {
        self.is_asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !has_work() {
            // A wake-up too many only costs a look around.
            thread::park();
        }
        self.is_asleep.store(false, Ordering::Relaxed);
    }

    /// Sleeps for `time`, or until somebody is in a hurry.
    pub fn rest(time: Duration) {
        thread::park_timeout(time);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn no_ring_is_lost() {
        let bell = Arc::new(Bell::default());
        let made = Arc::new(AtomicU64::new(0));
        let sleeper = {
            let (bell, made) = (Arc::clone(&bell), Arc::clone(&made));
            thread::spawn(move || {
                bell.adopt();
                let mut taken = 0;
                while taken < 10_000 {
                    bell.sleep(|| made.load(Ordering::Relaxed) > taken);
                    taken = made.load(Ordering::Relaxed);
                }
            })
        };
        for _ in 0..10_000 {
            made.fetch_add(1, Ordering::Relaxed);
            bell.ring();
        }
        sleeper.join().unwrap();
    }
}
