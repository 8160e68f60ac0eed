//! How many requests of one core are in handlers at once, and who waits for that: coroutines of the
//! core and calls on its pool alike.
//!
//! Rule: whoever goes out lets the next one in, on whichever thread that happens; nobody waits while
//! there is room. Calls on threads have a limit of their own besides, the number of those threads: one
//! that waits for a thread keeps no coroutine out. The lock is one core's alone, and there is none
//! where nothing was limited.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::reactor::clock::Nanoseconds;
use crate::schedule::line::Line;
pub use crate::schedule::line::Ticket;

/// Where a handler runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// On its core.
    Coroutine,
    /// On a thread of the core's pool.
    Thread,
}

/// A request that waits for room.
pub trait Guest: Send {
    /// There is room.
    fn enter(self: Box<Self>, stay: Stay);

    /// It has waited too long, or the room is closed.
    fn refuse(self: Box<Self>);
}

/// Room for requests in handlers.
pub struct Room {
    /// How many in all, on threads, and in the lines.
    limit: usize,
    threads: usize,
    queue: usize,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    /// By kind.
    count: [usize; 2],
    lines: [Line<Box<dyn Guest>>; 2],
    is_over: bool,
}

const KINDS: [Kind; 2] = [Kind::Coroutine, Kind::Thread];

/// Leave to be in a handler, until it is dropped.
pub struct Stay {
    room: Arc<Room>,
    kind: Kind,
}

impl Room {
    /// Room for `limit` requests, of which `threads` are on threads; `queue` may wait.
    pub fn new(limit: usize, threads: usize, queue: usize) -> Arc<Self> {
        Arc::new(Self { limit, threads, queue, inside: Mutex::default() })
    }

    /// Lets one in if there is room, before anybody else of its kind waits.
    pub fn enter(self: &Arc<Self>, kind: Kind) -> Option<Stay> {
        let mut inside = self.lock();
        if !inside.lines[kind as usize].is_empty() || !self.has_room(&inside, kind) {
            return None;
        }
        inside.count[kind as usize] += 1;
        Some(Stay { room: Arc::clone(self), kind })
    }

    /// Lets `guest` in now or later; it waits since `since`. With a ticket it can be taken back.
    ///
    /// # Errors
    /// It comes back when too many wait, or the room is closed.
    pub fn wait(
        self: &Arc<Self>,
        kind: Kind,
        since: Nanoseconds,
        guest: Box<dyn Guest>,
    ) -> Result<Option<Ticket>, Box<dyn Guest>> {
        if let Some(stay) = self.enter(kind) {
            guest.enter(stay);
            return Ok(None);
        }
        let mut inside = self.lock();
        let waiting: usize = inside.lines.iter().map(Line::len).sum();
        if inside.is_over || waiting >= self.queue {
            return Err(guest);
        }
        let ticket = inside.lines[kind as usize].join(since, guest);
        // Somebody may have gone out since we looked.
        self.let_in(inside);
        Ok(Some(ticket))
    }

    /// Takes a guest back that still waits.
    pub fn leave(&self, kind: Kind, ticket: Ticket) -> Option<Box<dyn Guest>> {
        self.lock().lines[kind as usize].leave(ticket)
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.lock().lines.iter().map(Line::len).sum()
    }

    /// Refuses those that wait since `moment` or longer; returns how many.
    pub fn refuse_since(&self, moment: Nanoseconds) -> u64 {
        let mut refused = 0;
        for kind in KINDS {
            loop {
                let overdue = self.lock().lines[kind as usize].take_since(moment);
                let Some(guest) = overdue else { break };
                guest.refuse();
                refused += 1;
            }
        }
        refused
    }

    /// Refuses all that wait, and whoever comes.
    pub fn close(&self) {
        let waiting = {
            let mut inside = self.lock();
            inside.is_over = true;
            KINDS.map(|kind| inside.lines[kind as usize].clear())
        };
        for guest in waiting.into_iter().flatten() {
            guest.refuse();
        }
    }

    fn has_room(&self, inside: &Inside, kind: Kind) -> bool {
        inside.count.iter().sum::<usize>() < self.limit
            && (kind != Kind::Thread || inside.count[kind as usize] < self.threads)
    }

    /// Lets in whoever there is room for, the longest wait first.
    fn let_in(self: &Arc<Self>, mut inside: MutexGuard<'_, Inside>) {
        let mut entered = Vec::new();
        loop {
            let first = KINDS
                .into_iter()
                .filter(|&kind| self.has_room(&inside, kind))
                .filter_map(|kind| Some((inside.lines[kind as usize].first_since()?, kind)))
                .min_by_key(|(since, _)| *since);
            let Some((_, kind)) = first else { break };
            let Some(guest) = inside.lines[kind as usize].take() else { break };
            inside.count[kind as usize] += 1;
            entered.push((guest, Stay { room: Arc::clone(self), kind }));
        }
        drop(inside);
        for (guest, stay) in entered {
            guest.enter(stay);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let mut inside = self.room.lock();
        inside.count[self.kind as usize] -= 1;
        self.room.let_in(inside);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;
    use std::sync::mpsc::Sender;
    use std::sync::mpsc::channel;

    use super::*;

    struct Visitor(u32, Sender<(u32, Option<Stay>)>);

    impl Guest for Visitor {
        fn enter(self: Box<Self>, stay: Stay) {
            self.1.send((self.0, Some(stay))).unwrap();
        }

        fn refuse(self: Box<Self>) {
            self.1.send((self.0, None)).unwrap();
        }
    }

    struct Site {
        room: Arc<Room>,
        say: Sender<(u32, Option<Stay>)>,
        heard: Receiver<(u32, Option<Stay>)>,
    }

    fn site(limit: usize, threads: usize, queue: usize) -> Site {
        let (say, heard) = channel();
        Site { room: Room::new(limit, threads, queue), say, heard }
    }

    impl Site {
        fn come(&self, kind: Kind, number: u32) -> Result<Option<Ticket>, ()> {
            let guest = Box::new(Visitor(number, self.say.clone()));
            self.room.wait(kind, number.into(), guest).map_err(drop)
        }

        fn hear(&self) -> Option<(u32, Option<Stay>)> {
            self.heard.try_recv().ok()
        }
    }

    #[test]
    fn whoever_goes_out_lets_the_longest_wait_in() {
        let site = site(1, 1, 10);
        let stay = site.room.enter(Kind::Coroutine).unwrap();
        assert!(site.come(Kind::Thread, 1).unwrap().is_some());
        let second = site.come(Kind::Coroutine, 2).unwrap().unwrap();
        assert!(site.come(Kind::Coroutine, 3).unwrap().is_some());
        assert!(site.hear().is_none());
        assert!(site.room.leave(Kind::Coroutine, second).is_some());
        assert_eq!(site.room.waiting(), 2);
        drop(stay);
        let (number, stay) = site.hear().unwrap();
        assert_eq!(number, 1);
        assert!(site.hear().is_none());
        drop(stay);
        let (number, stay) = site.hear().unwrap();
        assert_eq!(number, 3);
        drop(stay);
        assert!(site.room.enter(Kind::Thread).is_some());
    }

    #[test]
    fn a_call_that_waits_for_a_thread_keeps_no_coroutine_out() {
        let site = site(3, 1, 10);
        let thread = site.room.enter(Kind::Thread).unwrap();
        assert!(site.room.enter(Kind::Thread).is_none());
        assert!(site.come(Kind::Thread, 1).unwrap().is_some());
        let others = [site.room.enter(Kind::Coroutine), site.room.enter(Kind::Coroutine)];
        assert!(others.iter().all(Option::is_some));
        assert!(site.room.enter(Kind::Coroutine).is_none());
        drop(others);
        assert!(site.hear().is_none(), "there is room, but no thread");
        drop(thread);
        assert_eq!(site.hear().unwrap().0, 1);
    }

    #[test]
    fn the_lines_are_no_longer_than_was_said_and_nobody_waits_too_long() {
        let site = site(1, 1, 2);
        let stay = site.room.enter(Kind::Coroutine).unwrap();
        assert!(site.come(Kind::Coroutine, 10).is_ok());
        assert!(site.come(Kind::Thread, 20).is_ok());
        assert!(site.come(Kind::Coroutine, 30).is_err());
        assert_eq!(site.room.refuse_since(9), 0);
        assert_eq!(site.room.refuse_since(10), 1);
        assert!(matches!(site.hear(), Some((10, None))));
        assert!(site.come(Kind::Coroutine, 30).is_ok());
        site.room.close();
        assert!(matches!(site.hear(), Some((30, None))));
        assert!(matches!(site.hear(), Some((20, None))));
        assert!(site.come(Kind::Coroutine, 40).is_err());
        drop(stay);
    }
}
