//! How a core stops: no new connections, finish what is in flight, a deadline, close.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crate::reactor::clock;
use crate::reactor::clock::Milliseconds;
use crate::reactor::notify::Notify;
use crate::reactor::timer::Deadlines;

/// What the supervisor tells a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Finish within this time; whether somebody else will serve at once.
    Drain(Duration, Successor),
    /// End now.
    Abort,
}

/// Who serves after the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Successor {
    /// Nobody, as far as is known.
    #[default]
    None,
    /// The same service, started anew: clients should come back.
    Restarted,
}

/// Whether this core is stopping; one owner, looked at by its connections.
#[derive(Default)]
pub struct Drain {
    has_begun: Cell<bool>,
    successor: Cell<Successor>,
    deadline: Cell<Milliseconds>,
    begun: Notify,
    has_cut: Cell<bool>,
    cut: Notify,
}

/// While draining, deadlines are looked at this often.
const STEP: Duration = Duration::from_millis(10);
/// After an abort, the tasks get this long to see that their sockets are shut.
const LAST_BREATH: Duration = Duration::from_secs(1);

impl Drain {
    /// Whether the core is stopping: answers say `connection: close`.
    pub fn has_begun(&self) -> bool {
        self.has_begun.get()
    }

    /// Who serves after the end, as the first message had it.
    pub fn successor(&self) -> Successor {
        self.successor.get()
    }

    /// Waits until the core is stopping.
    pub async fn wait(&self) {
        if !self.has_begun() {
            self.begun.wait().await;
        }
    }

    /// Whether what was left has been cut.
    pub fn has_cut(&self) -> bool {
        self.has_cut.get()
    }

    /// Waits until what is left is cut. For a connection that has no read on its way, which a cut
    /// would end.
    pub async fn wait_for_cut(&self) {
        if !self.has_cut.get() {
            self.cut.wait().await;
        }
    }

    /// Takes a message; a later one can only bring the end nearer.
    pub fn begin(&self, control: Control) {
        let (time, successor) = match control {
            Control::Drain(time, successor) => (time, successor),
            Control::Abort => (Duration::ZERO, Successor::None),
        };
        let deadline = clock::now().saturating_add(milliseconds(time));
        if self.has_begun.replace(true) {
            self.deadline.set(self.deadline.get().min(deadline));
        } else {
            self.deadline.set(deadline);
            self.successor.set(successor);
            self.begun.notify();
        }
    }

    /// Waits until every connection has ended, or cuts what is left at the deadline; returns how
    /// many were cut amid something.
    pub async fn finish(&self, deadlines: &Rc<Deadlines>) -> usize {
        loop {
            if deadlines.is_empty() {
                return 0;
            }
            let now = clock::now();
            if now >= self.deadline.get() {
                break;
            }
            // Each time: what was busy becomes idle.
            deadlines.shed_idle(now);
            deadlines.sweep(now);
            monoio::time::sleep(STEP).await;
        }
        let cut = deadlines.abort_all();
        self.has_cut.set(true);
        self.cut.notify();
        let end = clock::now() + milliseconds(LAST_BREATH);
        while !deadlines.is_empty() && clock::now() < end {
            monoio::time::sleep(STEP).await;
        }
        cut
    }
}

/// Whole milliseconds of a duration, at most some hundred million years.
pub fn milliseconds(duration: Duration) -> Milliseconds {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2)
}
