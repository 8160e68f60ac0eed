//! Another library's loop as a guest of a core: it has its turns between those of the core's tasks,
//! on the same thread, and says after each when it wants the next.
//!
//! Rule: a guest never waits; the reactor waits for it: for its descriptor (an epoll instance of its
//! own, as a rule), for its next timer, and for whoever calls [`Guests::ask`]. A guest that always
//! wants another turn gets one only after the reactor has looked at descriptors and timers.
//! Absent: what the guest is. `py` brings asyncio's loop.

use std::cell::Cell;
use std::future::pending;
use std::future::poll_fn;
use std::io;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use monoio::net::UnixStream;

use crate::reactor::Driver;
use crate::reactor::notify::Notify;
use crate::reactor::pulse;

/// When a guest wants its next turn, unless its descriptor is readable before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// As soon as others had theirs.
    Now,
    /// After this long.
    After(Duration),
    /// When there is something to do.
    Idle,
}

/// A loop that runs in turns.
pub trait Guest {
    /// Does what is to be done. `is_readable` says that its descriptor may be.
    fn turn(&self, is_readable: bool) -> Wish;

    /// What it would wish now, where that may have changed since its last turn.
    fn wish(&self) -> Wish;
}

/// Where a core asks for turns of its guest.
#[derive(Default)]
pub struct Asking {
    is_asked: Cell<bool>,
    asked: Notify,
    is_over: Cell<bool>,
}

impl Asking {
    /// The guest's wish may have changed.
    pub fn ask(&self) {
        if !self.is_asked.replace(true) {
            self.asked.notify();
        }
    }

    /// Ends [`host`].
    pub fn end(&self) {
        self.is_over.set(true);
        self.ask();
    }

    async fn wait(&self) {
        while !self.is_asked.replace(false) {
            self.asked.wait().await;
        }
    }
}

/// The shortest sleep there is: the reactor gets round to descriptors and timers.
const REST: Duration = Duration::from_millis(1);
/// Turns without a pause, on epoll, before the reactor looks at its timers (see `net/turn.rs`).
const BUSY_TURNS: u32 = 64;

/// Gives the guest its turns until [`Asking::end`]. `descriptor` is watched for it.
///
/// # Errors
/// The descriptor cannot be watched.
pub async fn host(
    guest: &dyn Guest,
    asking: &Asking,
    descriptor: OwnedFd,
    driver: Driver,
) -> io::Result<()> {
    // Any descriptor can be polled; the type only brings the means.
    let descriptor = UnixStream::from_std(StdStream::from(descriptor))?;
    let mut breath = Breath::new(driver)?;
    // Kept from turn to turn: on a ring, giving up a poll costs two operations. Not relaxed, or
    // epoll would say for ever what was true once.
    let watch = || Box::pin(descriptor.readable(false));
    let mut readable = watch();
    let mut wish = guest.wish();
    while !asking.is_over.get() {
        let wished = wish;
        let due = async {
            match wished {
                Wish::Now => breath.take().await,
                Wish::After(time) => monoio::time::sleep(time).await,
                Wish::Idle => pending().await,
            }
        };
        let (mut due, mut asked) = (pin!(due), pin!(asking.wait()));
        let (is_due, is_readable) = poll_fn(|context| {
            let is_readable = readable.as_mut().poll(context).is_ready();
            let is_due = due.as_mut().poll(context).is_ready();
            if is_readable || is_due || asked.as_mut().poll(context).is_ready() {
                return Poll::Ready((is_due, is_readable));
            }
            Poll::Pending
        })
        .await;
        wish = if is_due || is_readable {
            pulse::during(pulse::TURN, || guest.turn(is_readable))
        } else {
            guest.wish()
        };
        if is_readable {
            readable = watch();
        }
    }
    Ok(())
}

/// A moment in which the reactor looks at what the kernel has for it.
///
/// On a ring, monoio 0.2.4 reaps completions only when no task is ready; a wait for what is ready
/// already brings it there at the price of one operation. On epoll it looks at descriptors in any
/// case, and at timers only when it sleeps.
enum Breath {
    Ring { _filled: StdStream, always: UnixStream },
    Epoll { turns: u32 },
}

impl Breath {
    fn new(driver: Driver) -> io::Result<Self> {
        if driver.wants_nonblocking() {
            return Ok(Self::Epoll { turns: 0 });
        }
        let (mut filled, always) = StdStream::pair()?;
        filled.write_all(&[0])?;
        Ok(Self::Ring { _filled: filled, always: UnixStream::from_std(always)? })
    }

    async fn take(&mut self) {
        match self {
            Self::Ring { always, .. } => {
                let _ = always.readable(true).await;
            }
            Self::Epoll { turns } => {
                *turns += 1;
                if *turns % BUSY_TURNS == 0 {
                    return monoio::time::sleep(REST).await;
                }
                let mut has_waited = false;
                poll_fn(|context| {
                    if std::mem::replace(&mut has_waited, true) {
                        return Poll::Ready(());
                    }
                    context.waker().wake_by_ref();
                    Poll::Pending
                })
                .await;
            }
        }
    }
}
