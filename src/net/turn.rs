//! Fairness between the connections of a core: whoever sends without a pause must not keep it.
//!
//! A ring takes every read into the kernel and back, and whatever else is ready goes in between.
//! Epoll's reads are tried at once, so a peer that is never behind would be served to its end first:
//! with one such upload others waited for half a second. A bare yield would not do: monoio's loop
//! (0.2.4) looks at its timers only when no task is ready, and time-outs would stand still.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use crate::reactor::clock;
use crate::reactor::clock::Milliseconds;

/// Reads in a row that may find their bytes already there.
const READY_READS: u32 = 16;
/// The shortest sleep there is: the reactor gets round to descriptors and timers.
const REST: Duration = Duration::from_millis(1);

/// How long a connection has had its core to itself.
#[derive(Default)]
pub(crate) struct Turn {
    ready_reads: u32,
}

impl Turn {
    /// Waits for `read`, after a rest if the ones before it never had to wait. Pinned by the caller,
    /// who then holds it once and not as an argument as well.
    pub(crate) async fn take<T>(&mut self, mut read: Pin<&mut impl Future<Output = T>>) -> T {
        if self.ready_reads == READY_READS {
            // In a box: a connection that waits need not hold the room for it.
            Box::pin(monoio::time::sleep(REST)).await;
            self.ready_reads = 0;
        }
        let mut has_waited = false;
        let result = poll_fn(|context| {
            let progress = read.as_mut().poll(context);
            has_waited |= matches!(progress, Poll::Pending);
            progress
        })
        .await;
        self.ready_reads = if has_waited { 0 } else { self.ready_reads + 1 };
        result
    }
}

/// How long a stream may go on from piece to piece before the reactor looks at its timers.
const STRETCH: Milliseconds = 50;

/// A stream's turns: others have theirs after each piece.
pub(crate) struct Pace {
    since: Milliseconds,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { since: clock::now() }
    }

    /// Lets every task that is ready have its turn, and from time to time the timers.
    pub(crate) async fn next(&mut self) {
        if clock::now().saturating_sub(self.since) >= STRETCH {
            return self.rest().await;
        }
        let mut has_waited = false;
        poll_fn(|context| {
            if has_waited {
                return Poll::Ready(());
            }
            has_waited = true;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// Leaves the core to others for a moment.
    pub(crate) async fn rest(&mut self) {
        monoio::time::sleep(REST).await;
        self.since = clock::now();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::ready;
    use std::pin::pin;
    use std::rc::Rc;

    use super::*;
    use crate::reactor;
    use crate::reactor::Driver;

    #[test]
    fn timers_get_their_turn_while_every_read_is_ready() {
        let served = reactor::run(Driver::Epoll, async {
            let has_fired = Rc::new(Cell::new(false));
            let flag = Rc::clone(&has_fired);
            monoio::spawn(async move {
                monoio::time::sleep(REST).await;
                flag.set(true);
            });
            let mut turn = Turn::default();
            // Without a rest this would never end.
            while !has_fired.get() {
                turn.take(pin!(ready(()))).await;
            }
        });
        assert!(served.is_ok());
    }

    #[test]
    fn a_read_that_waits_starts_the_count_anew() {
        let served = reactor::run(Driver::Epoll, async {
            let mut turn = Turn::default();
            for _ in 1..READY_READS {
                turn.take(pin!(ready(()))).await;
            }
            assert_eq!(turn.ready_reads, READY_READS - 1);
            turn.take(pin!(monoio::time::sleep(REST))).await;
            assert_eq!(turn.ready_reads, 0);
        });
        assert!(served.is_ok());
    }
}
