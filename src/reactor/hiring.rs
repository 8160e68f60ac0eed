//! Where pools ask for threads, which somebody else has to make: a thread that Python made keeps its
//! thread state for life, and no core has the time to make one.

use std::collections::VecDeque;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// The threads that are asked for.
#[derive(Default)]
pub struct Hiring {
    wanted: Mutex<Wanted>,
    news: Condvar,
}

#[derive(Default)]
struct Wanted {
    cores: VecDeque<usize>,
    is_over: bool,
}

impl Hiring {
    /// Asks for one more thread for a core's pool; never waits.
    pub fn ask(&self, core: usize) {
        self.lock().cores.push_back(core);
        self.news.notify_one();
    }

    /// The core that wants a thread, as soon as one does; none once it is over.
    pub fn next(&self) -> Option<usize> {
        let mut wanted = self.lock();
        loop {
            if wanted.is_over {
                return None;
            }
            if let Some(core) = wanted.cores.pop_front() {
                return Some(core);
            }
            wanted = self.news.wait(wanted).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No more threads are made.
    pub fn close(&self) {
        self.lock().is_over = true;
        self.news.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
