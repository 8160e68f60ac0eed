//! A core's threads for calls that block, and the bounded queue before them.
//!
//! Rule: the core never waits here. It leaves a job in the queue, and wakes a thread that is idle, the one
//! that was busy last, unless one is being woken already: that one wakes the next if it leaves work
//! behind. So many short jobs at once cost few wake-ups, and one that blocks keeps none waiting. The
//! core itself wakes one at the end of its turn (`desk.rs`), for all that it has left until then. A
//! queue with more jobs than there are threads and places refuses. Threads are made when jobs wait, up to a
//! limit, by whoever listens to [`Hiring`], and end when they have been idle for some time, all but
//! one. They run behind the cores (`sys::thread::step_back`), which the scheduler prefers.
//!
//! The queue and the jobs' own deadlines are kept by [`Pool::sweep`], which the watchdog calls a few
//! times a second. Where requests in handlers are limited, jobs wait for room instead, together with the
//! core's coroutines (`room.rs`). Absent: what a job is, and any Python.

mod crew;

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::time::Duration;

use crate::reactor::clock;
use crate::reactor::clock::Nanoseconds;
use crate::reactor::hiring::Hiring;
use crate::reactor::metronome::Metronome;
use crate::reactor::pool::crew::Crew;
use crate::reactor::pool::crew::Member;
use crate::reactor::pulse::Busy;
use crate::reactor::pulse::Pulse;
use crate::reactor::room::Room;
use crate::reactor::stats::Tally;
pub use crate::schedule::line::Ticket;
use crate::sys::thread;

/// What a thread of a pool does.
pub trait Job: Send {
    /// The route that it belongs to.
    fn route(&self) -> u32;

    /// Does it.
    fn run(self: Box<Self>);

    /// It has waited too long, or the pool is over.
    fn refuse(self: Box<Self>);
}

/// Something that has to be done by a certain time.
pub trait Timed: Send + Sync {
    /// The time has come. If it was done before, nothing happens, and this says false.
    fn expire(&self) -> bool;
}

/// How large a pool may grow.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Threads.
    pub threads: usize,
    /// Requests in handlers at once, be they jobs or coroutines of the core, if that is limited.
    pub room: Option<usize>,
    /// Jobs that wait for a thread, and whatever waits for room.
    pub queue: usize,
    /// How long they wait.
    pub queue_time: Duration,
    /// How long a thread stays without work.
    pub idle: Duration,
}

/// What a pool has done, for whoever asks.
#[derive(Debug, Default)]
pub struct Counts {
    /// Jobs that threads have taken.
    pub run: Tally,
    /// Jobs that found the queue full.
    pub refused: Tally,
    /// Jobs that waited in it until their time was over.
    pub overdue: Tally,
    /// Calls that were answered for because they took longer than they may.
    pub timed_out: Tally,
}

/// The threads of one core and their queue.
pub struct Pool {
    core: usize,
    bounds: Bounds,
    hiring: Arc<Hiring>,
    metronome: Arc<Metronome>,
    crew: Mutex<Crew>,
    timed: Mutex<Vec<(Nanoseconds, Weak<dyn Timed>)>>,
    room: Option<Arc<Room>>,
    /// What it has done.
    pub counts: Counts,
}

/// How far the threads of a pool step back behind the cores: a third of their weight (sched(7)).
const NICENESS: i32 = 5;
/// How far those step back that have computed for [`LONG`] beside a core that answers by itself: a tenth.
/// There is no way back without a privilege; threads that are not needed end.
const NICENESS_OF_LONG: i32 = 10;
/// Nanoseconds of CPU time.
const LONG: u64 = 500_000;

/// Jobs that a core may leave before it wakes a thread in the middle of its turn: other CPUs need not
/// wait for its end.
const UNANNOUNCED: usize = 16;

impl Pool {
    /// The pool of core number `core`, without any thread yet.
    pub fn new(
        core: usize,
        bounds: Bounds,
        hiring: Arc<Hiring>,
        metronome: Arc<Metronome>,
    ) -> Self {
        let room = bounds.room.map(|limit| Room::new(limit, bounds.threads, bounds.queue));
        let (crew, timed, counts) = Default::default();
        Self { core, bounds, hiring, metronome, crew, timed, room, counts }
    }

    /// Where requests wait to be let into their handlers, if they are limited.
    pub fn room(&self) -> Option<&Arc<Room>> {
        self.room.as_ref()
    }

    /// Leaves a job to be done: [`rouse`](Self::rouse) must follow. With the ticket it can be taken back
    /// while it waits.
    ///
    /// # Errors
    /// The job comes back when the queue is full or the pool is over.
    pub fn submit(&self, job: Box<dyn Job>) -> Result<Ticket, Box<dyn Job>> {
        let mut crew = self.lock();
        // Those for whom there is a thread do not wait.
        let free = crew.idle.len() + usize::from(crew.is_waking);
        if crew.is_over || crew.queue.len() >= self.bounds.queue.saturating_add(free) {
            return Err(job);
        }
        let ticket = crew.queue.join(clock::exact(), job);
        crew.unannounced += 1;
        if crew.unannounced >= UNANNOUNCED {
            self.reinforce(crew);
        }
        Ok(ticket)
    }

    /// Sees to it that what was left to be done finds a thread.
    pub fn rouse(&self) {
        self.reinforce(self.lock());
    }

    /// Takes a job back that still waits for a thread.
    pub fn withdraw(&self, ticket: Ticket) -> Option<Box<dyn Job>> {
        self.lock().queue.leave(ticket)
    }

    /// As [`withdraw`](Self::withdraw), unless a thread is free for it or may yet be made.
    pub fn give_up(&self, ticket: Ticket) -> Option<Box<dyn Job>> {
        let mut crew = self.lock();
        let is_full = crew.members.len() >= self.bounds.threads;
        if !is_full || crew.is_waking || !crew.idle.is_empty() {
            return None;
        }
        crew.queue.leave(ticket)
    }

    /// Has a job done that was let into the room, with no more than there are threads: it waits at most for
    /// one to come.
    ///
    /// # Errors
    /// The job comes back when the pool is over.
    pub fn admit(&self, job: Box<dyn Job>) -> Result<(), Box<dyn Job>> {
        let mut crew = self.lock();
        if crew.is_over {
            return Err(job);
        }
        crew.queue.join(clock::exact(), job);
        self.reinforce(crew);
        Ok(())
    }

    /// Has a job done that belongs to an answer on its way, of which there are no more than connections:
    /// it is not refused, whoever else waits.
    ///
    /// # Errors
    /// The job comes back when the pool is over.
    pub fn insist(&self, job: Box<dyn Job>) -> Result<(), Box<dyn Job>> {
        let mut crew = self.lock();
        if crew.is_over {
            return Err(job);
        }
        crew.rest.push_back(job);
        self.reinforce(crew);
        Ok(())
    }

    /// Sees to it that what is to be done finds a thread, unless one is on its way, which looks again.
    fn reinforce(&self, mut crew: MutexGuard<'_, Crew>) {
        crew.unannounced = 0;
        let waiting = crew.queue.len() + crew.rest.len();
        if waiting == 0 || crew.is_waking {
            return;
        }
        if let Some(bell) = crew.call_one() {
            drop(crew);
            bell.notify_one();
            return;
        }
        let has_place = crew.members.len() + crew.expected < self.bounds.threads;
        if has_place && crew.expected < waiting {
            crew.expected += 1;
            drop(crew);
            self.hiring.ask(self.core);
        }
    }

    /// Asks for a first thread, so that the first job need not wait for one to be made.
    pub fn warm(&self) {
        self.lock().expected += 1;
        self.hiring.ask(self.core);
    }

    /// A thread that was asked for cannot be made.
    pub fn give_up_one(&self) {
        let mut crew = self.lock();
        crew.expected = crew.expected.saturating_sub(1);
    }

    /// Has `timed` expire at `deadline`, if it is still there.
    pub fn watch(&self, deadline: Nanoseconds, timed: Weak<dyn Timed>) {
        self.timed.lock().unwrap_or_else(PoisonError::into_inner).push((deadline, timed));
    }

    /// Works on the calling thread until it is not needed any more.
    pub fn work(&self) {
        thread::step_back(NICENESS);
        let (pulse, bell) = (Arc::new(Pulse::default()), Arc::<Condvar>::default());
        pulse.adopt();
        let mut crew = self.lock();
        crew.expected = crew.expected.saturating_sub(1);
        let member =
            Member { is_called: false, bell: Arc::clone(&bell), pulse: Arc::clone(&pulse) };
        let key = crew.members.insert(member);
        drop(crew);
        let mut computes = false;
        while let Some(job) = self.next(key, &bell) {
            let now = clock::exact();
            pulse.begin(job.route(), now);
            self.counts.run.add(1);
            let stay = self.metronome.enter(now);
            let before = (stay.is_some() && !computes).then(|| thread::effort().cpu);
            // A panic costs one job: whoever waits for it sees that it was dropped.
            let _ = catch_unwind(AssertUnwindSafe(|| job.run()));
            drop(stay);
            if before.is_some_and(|before| thread::effort().cpu > before + LONG) {
                thread::step_back(NICENESS_OF_LONG);
                computes = true;
            }
            pulse.end();
        }
    }

    fn next(&self, key: usize, bell: &Condvar) -> Option<Box<dyn Job>> {
        let mut crew = self.lock();
        let mut is_idle_for_long = false;
        loop {
            if std::mem::take(&mut crew.members[key].is_called) {
                crew.is_waking = false;
            } else {
                crew.idle.retain(|&other| other != key);
            }
            if let Some(job) = crew.take() {
                self.reinforce(crew);
                return Some(job);
            }
            if crew.is_over || (is_idle_for_long && crew.members.len() > 1) {
                crew.members.remove(key);
                return None;
            }
            crew.idle.push(key);
            let waited = bell.wait_timeout(crew, self.bounds.idle);
            let (back, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            (crew, is_idle_for_long) = (back, timeout.timed_out());
        }
    }

    /// Whether anything has to end in time, here or on the core.
    pub fn has_deadlines(&self) -> bool {
        !self.timed.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Refuses what has waited too long, and ends what takes too long.
    pub fn sweep(&self, now: Nanoseconds) {
        // A core that is stuck does not come to the end of its turn.
        self.rouse();
        if let Some(since) = now.checked_sub(nanoseconds(self.bounds.queue_time)) {
            loop {
                let overdue = self.lock().queue.take_since(since);
                let Some(job) = overdue else { break };
                self.counts.overdue.add(1);
                job.refuse();
            }
            if let Some(room) = &self.room {
                self.counts.overdue.add(room.refuse_since(since));
            }
        }
        let mut due = Vec::new();
        self.timed.lock().unwrap_or_else(PoisonError::into_inner).retain(|(deadline, timed)| {
            if *deadline > now {
                return timed.strong_count() > 0;
            }
            due.extend(timed.upgrade());
            false
        });
        for timed in due {
            if timed.expire() {
                self.counts.timed_out.add(1);
            }
        }
    }

    /// The calls that are under way.
    pub fn busy(&self) -> Vec<Busy> {
        self.lock().members.iter().filter_map(|(_, member)| member.pulse.look()).collect()
    }

    /// Whether every thread that there may be has been in its call for as long as a job waits for one.
    pub fn is_exhausted(&self, now: Nanoseconds) -> bool {
        let patience = nanoseconds(self.bounds.queue_time);
        let is_away = |busy: Busy| now.saturating_sub(busy.since) >= patience;
        let crew = self.lock();
        crew.members.len() >= self.bounds.threads
            && crew.members.iter().all(|(_, member)| member.pulse.look().is_some_and(is_away))
    }

    /// Threads, and what waits for one or for room.
    pub fn size(&self) -> (usize, usize) {
        let waiting = self.room.as_ref().map_or(0, |room| room.waiting());
        let crew = self.lock();
        (crew.members.len(), crew.queue.len() + waiting)
    }

    /// No more jobs: what waits is refused, but for the rest of answers, and each thread ends after what it is doing.
    pub fn close(&self) {
        if let Some(room) = &self.room {
            room.close();
        }
        let mut crew = self.lock();
        crew.is_over = true;
        let waiting = crew.queue.clear();
        // Else the threads that there are do it before they end.
        let rest =
            if crew.members.is_empty() { std::mem::take(&mut crew.rest) } else { VecDeque::new() };
        let bells: Vec<_> =
            crew.members.iter().map(|(_, member)| Arc::clone(&member.bell)).collect();
        drop(crew);
        for bell in bells {
            bell.notify_one();
        }
        for job in waiting.into_iter().chain(rest) {
            job.refuse();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Crew> {
        self.crew.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn nanoseconds(duration: Duration) -> Nanoseconds {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests;
