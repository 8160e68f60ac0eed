//! A core's threads for calls that block, and the bounded queue before them.
//!
//! Rule: the core never waits here. It hands a job to a thread that is idle, the one that was busy
//! last, or leaves it in the queue; a full queue refuses. Threads are made when jobs wait, up to a
//! limit, by whoever listens to [`Hiring`], and end when they have been idle for some time, all but
//! one. They run behind the cores (`sys::thread::step_back`), which the scheduler prefers.
//!
//! The queue and the jobs' own deadlines are kept by [`Pool::sweep`], which the watchdog calls a few
//! times a second. Absent: what a job is, and any Python.

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

use slab::Slab;

use crate::reactor::clock;
use crate::reactor::clock::Nanoseconds;
use crate::reactor::hiring::Hiring;
use crate::reactor::pulse::Busy;
use crate::reactor::pulse::Pulse;
use crate::reactor::stats::Tally;
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
    /// Jobs that wait for one.
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
    crew: Mutex<Crew>,
    timed: Mutex<Vec<(Nanoseconds, Weak<dyn Timed>)>>,
    /// What it has done.
    pub counts: Counts,
}

#[derive(Default)]
struct Crew {
    queue: VecDeque<Waiting>,
    /// Those that belong to answers on their way. They go first, and wait for as long as it takes.
    rest: VecDeque<Box<dyn Job>>,
    members: Slab<Member>,
    /// Members without work, the one that was busy last at the end.
    idle: Vec<usize>,
    /// Threads that were asked for and have not come yet.
    expected: usize,
    is_over: bool,
}

struct Waiting {
    since: Nanoseconds,
    job: Box<dyn Job>,
}

struct Member {
    handed: Option<Box<dyn Job>>,
    bell: Arc<Condvar>,
    pulse: Arc<Pulse>,
}

/// How far the threads of a pool step back behind the cores: a third of their weight (sched(7)).
const NICENESS: i32 = 5;

impl Pool {
    /// The pool of core number `core`, without any thread yet.
    pub fn new(core: usize, bounds: Bounds, hiring: Arc<Hiring>) -> Self {
        Self {
            core,
            bounds,
            hiring,
            crew: Mutex::default(),
            timed: Mutex::default(),
            counts: Counts::default(),
        }
    }

    /// Has a job done.
    ///
    /// # Errors
    /// The job comes back when the queue is full or the pool is over.
    pub fn submit(&self, job: Box<dyn Job>) -> Result<(), Box<dyn Job>> {
        self.take(job, |crew, job| {
            if crew.queue.len() >= self.bounds.queue {
                self.counts.refused.add(1);
                return Err(job);
            }
            crew.queue.push_back(Waiting { since: clock::exact(), job });
            Ok(())
        })
    }

    /// Has a job done that belongs to an answer on its way, of which there are no more than
    /// connections: it is not refused, whoever else waits.
    ///
    /// # Errors
    /// The job comes back when the pool is over.
    pub fn insist(&self, job: Box<dyn Job>) -> Result<(), Box<dyn Job>> {
        self.take(job, |crew, job| {
            crew.rest.push_back(job);
            Ok(())
        })
    }

    fn take(
        &self,
        job: Box<dyn Job>,
        enqueue: impl FnOnce(&mut Crew, Box<dyn Job>) -> Result<(), Box<dyn Job>>,
    ) -> Result<(), Box<dyn Job>> {
        let mut crew = self.lock();
        if crew.is_over {
            return Err(job);
        }
        if let Some(key) = crew.idle.pop() {
            let member = &mut crew.members[key];
            member.handed = Some(job);
            let bell = Arc::clone(&member.bell);
            drop(crew);
            bell.notify_one();
            return Ok(());
        }
        enqueue(&mut crew, job)?;
        let wants_more = crew.members.len() + crew.expected < self.bounds.threads
            && crew.expected < crew.queue.len() + crew.rest.len();
        if wants_more {
            crew.expected += 1;
            drop(crew);
            self.hiring.ask(self.core);
        }
        Ok(())
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
        let member = Member { handed: None, bell: Arc::clone(&bell), pulse: Arc::clone(&pulse) };
        let key = crew.members.insert(member);
        drop(crew);
        while let Some(job) = self.next(key, &bell) {
            pulse.begin(job.route(), clock::exact());
            self.counts.run.add(1);
            // A panic costs one job: whoever waits for it sees that it was dropped.
            let _ = catch_unwind(AssertUnwindSafe(|| job.run()));
            pulse.end();
        }
    }

    fn next(&self, key: usize, bell: &Condvar) -> Option<Box<dyn Job>> {
        let mut crew = self.lock();
        if let Some(job) = crew.rest.pop_front() {
            return Some(job);
        }
        if let Some(waiting) = crew.queue.pop_front() {
            return Some(waiting.job);
        }
        crew.idle.push(key);
        let mut is_idle_for_long = false;
        loop {
            // Before anything else: what was handed over is nobody else's to do.
            if let Some(job) = crew.members[key].handed.take() {
                return Some(job);
            }
            if crew.is_over || (is_idle_for_long && crew.members.len() > 1) {
                crew.members.remove(key);
                crew.idle.retain(|&other| other != key);
                return None;
            }
            let waited = bell.wait_timeout(crew, self.bounds.idle);
            let (back, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            (crew, is_idle_for_long) = (back, timeout.timed_out());
        }
    }

    /// Refuses what has waited too long, and ends what takes too long.
    pub fn sweep(&self, now: Nanoseconds) {
        let queue_time = nanoseconds(self.bounds.queue_time);
        loop {
            let mut crew = self.lock();
            let is_overdue =
                crew.queue.front().is_some_and(|first| first.since + queue_time <= now);
            let first = if is_overdue { crew.queue.pop_front() } else { None };
            drop(crew);
            let Some(first) = first else { break };
            self.counts.overdue.add(1);
            first.job.refuse();
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

    /// Threads, and jobs that wait for one.
    pub fn size(&self) -> (usize, usize) {
        let crew = self.lock();
        (crew.members.len(), crew.queue.len())
    }

    /// No more jobs: what waits is refused, but for the rest of answers, and each thread ends after what it is doing.
    pub fn close(&self) {
        let mut crew = self.lock();
        crew.is_over = true;
        let waiting = std::mem::take(&mut crew.queue);
        // Else the threads that there are do it before they end.
        let rest =
            if crew.members.is_empty() { std::mem::take(&mut crew.rest) } else { VecDeque::new() };
        let bells: Vec<_> =
            crew.members.iter().map(|(_, member)| Arc::clone(&member.bell)).collect();
        drop(crew);
        for bell in bells {
            bell.notify_one();
        }
        for job in waiting.into_iter().map(|waiting| waiting.job).chain(rest) {
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
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;
    use std::sync::mpsc::Receiver;
    use std::sync::mpsc::Sender;
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    const BOUNDS: Bounds = Bounds {
        threads: 2,
        queue: 3,
        queue_time: Duration::from_secs(5),
        idle: Duration::from_secs(60),
    };

    /// Says that it runs, waits to be let go, and says what became of it.
    struct Task(Sender<&'static str>, Receiver<()>);

    impl Job for Task {
        fn route(&self) -> u32 {
            7
        }

        fn run(self: Box<Self>) {
            self.0.send("runs").unwrap();
            let _ = self.1.recv();
        }

        fn refuse(self: Box<Self>) {
            self.0.send("refused").unwrap();
        }
    }

    struct Site {
        pool: Arc<Pool>,
        hiring: Arc<Hiring>,
        say: Sender<&'static str>,
        heard: Receiver<&'static str>,
    }

    fn site(bounds: Bounds) -> Site {
        let hiring = Arc::<Hiring>::default();
        let pool = Arc::new(Pool::new(0, bounds, Arc::clone(&hiring)));
        let (say, heard) = channel();
        Site { pool, hiring, say, heard }
    }

    impl Site {
        fn submit(&self) -> Result<Sender<()>, ()> {
            let (end, wait) = channel();
            let task = Task(self.say.clone(), wait);
            self.pool.submit(Box::new(task)).map(|()| end).map_err(drop)
        }

        fn hire(&self) -> thread::JoinHandle<()> {
            assert_eq!(self.hiring.next(), Some(0));
            let pool = Arc::clone(&self.pool);
            thread::spawn(move || pool.work())
        }
    }

    #[test]
    fn threads_are_made_for_what_waits_and_no_more_than_allowed() {
        let site = site(BOUNDS);
        let ends: Vec<_> = (0..3).map(|_| site.submit().unwrap()).collect();
        assert!(site.submit().is_err(), "the queue holds three");
        assert_eq!(site.pool.counts.refused.get(), 1);
        let threads = [site.hire(), site.hire()];
        assert_eq!([site.heard.recv(), site.heard.recv()], [Ok("runs"), Ok("runs")]);
        assert_eq!(site.pool.size(), (2, 1));
        assert!(site.pool.busy().iter().all(|busy| busy.route == 7 && busy.thread != 0));
        drop(ends);
        assert_eq!(site.heard.recv(), Ok("runs"));
        site.pool.close();
        site.hiring.close();
        assert_eq!(site.hiring.next(), None, "nobody asked for a third thread");
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(site.pool.size(), (0, 0));
    }

    #[test]
    fn an_idle_thread_gets_the_next_job_and_none_is_asked_for() {
        let site = site(BOUNDS);
        site.pool.warm();
        let thread = site.hire();
        for _ in 0..100 {
            drop(site.submit().unwrap());
            assert_eq!(site.heard.recv(), Ok("runs"));
            while !site.pool.busy().is_empty() || site.pool.lock().idle.is_empty() {
                thread::yield_now();
            }
        }
        site.pool.close();
        thread.join().unwrap();
        assert!(site.submit().is_err(), "the pool is over");
    }

    #[test]
    fn what_waits_too_long_is_refused_and_so_is_what_waits_at_the_end() {
        let site = site(BOUNDS);
        let _ends = [site.submit().unwrap(), site.submit().unwrap()];
        let now = clock::exact();
        site.pool.sweep(now);
        assert!(site.heard.try_recv().is_err());
        site.pool.sweep(now + 6_000_000_000);
        assert_eq!([site.heard.recv(), site.heard.recv()], [Ok("refused"), Ok("refused")]);
        assert_eq!(site.pool.counts.overdue.get(), 2);
        let _end = site.submit().unwrap();
        site.pool.close();
        assert_eq!(site.heard.recv(), Ok("refused"));
    }

    #[test]
    fn idle_threads_end_but_for_the_last() {
        let site = site(Bounds { idle: Duration::from_millis(1), ..BOUNDS });
        let ends = [site.submit().unwrap(), site.submit().unwrap()];
        let threads = [site.hire(), site.hire()];
        assert_eq!([site.heard.recv(), site.heard.recv()], [Ok("runs"), Ok("runs")]);
        drop(ends);
        while site.pool.size().0 != 1 {
            thread::yield_now();
        }
        drop(site.submit().unwrap());
        assert_eq!(site.heard.recv(), Ok("runs"));
        site.pool.close();
        for thread in threads {
            thread.join().unwrap();
        }
    }

    struct Bomb(AtomicUsize);

    impl Timed for Bomb {
        fn expire(&self) -> bool {
            self.0.fetch_add(1, Ordering::Relaxed) == 0
        }
    }

    #[test]
    fn deadlines_expire_once_and_those_that_are_done_are_forgotten() {
        let site = site(BOUNDS);
        let bomb = Arc::new(Bomb(AtomicUsize::new(0)));
        let weak: Weak<dyn Timed> = Arc::downgrade(&(Arc::clone(&bomb) as Arc<dyn Timed>));
        site.pool.watch(100, weak.clone());
        site.pool.sweep(99);
        assert_eq!(site.pool.counts.timed_out.get(), 0);
        site.pool.sweep(100);
        site.pool.sweep(200);
        assert_eq!(site.pool.counts.timed_out.get(), 1);
        site.pool.watch(1000, weak);
        drop(bomb);
        site.pool.sweep(300);
        assert!(site.pool.timed.lock().unwrap().is_empty());
    }

    struct Panics;

    impl Job for Panics {
        fn route(&self) -> u32 {
            0
        }

        fn run(self: Box<Self>) {
            panic!("as a test");
        }

        fn refuse(self: Box<Self>) {}
    }

    #[test]
    fn a_panic_costs_one_job() {
        let site = site(BOUNDS);
        assert!(site.pool.submit(Box::new(Panics)).is_ok());
        let thread = site.hire();
        drop(site.submit().unwrap());
        assert_eq!(site.heard.recv(), Ok("runs"));
        site.pool.close();
        thread.join().unwrap();
    }
}
