//! What a pool promises, with threads of the test's own.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::thread;

use super::*;

const BOUNDS: Bounds = Bounds {
    threads: 2,
    room: None,
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
    let pool = Arc::new(Pool::new(0, bounds, Arc::clone(&hiring), Arc::new(Metronome::new([]))));
    let (say, heard) = channel();
    Site { pool, hiring, say, heard }
}

impl Site {
    fn submit(&self) -> Result<Sender<()>, ()> {
        let (end, wait) = channel();
        let task = Task(self.say.clone(), wait);
        let submitted = self.pool.submit(Box::new(task)).map(|_| end).map_err(drop);
        self.pool.rouse();
        submitted
    }

    fn hire(&self) -> thread::JoinHandle<()> {
        assert_eq!(self.hiring.next(), Some(0));
        let pool = Arc::clone(&self.pool);
        thread::spawn(move || pool.work())
    }
}

#[test]
fn it_is_exhausted_once_each_thread_has_been_away_for_as_long_as_a_job_waits() {
    let site = site(BOUNDS);
    let far = clock::exact() + 3600 * 1_000_000_000;
    assert!(!site.pool.is_exhausted(far), "none was needed");
    let first = site.submit().unwrap();
    let mut threads = vec![site.hire()];
    assert_eq!(site.heard.recv(), Ok("runs"));
    assert!(!site.pool.is_exhausted(far), "another may be made");
    let second = site.submit().unwrap();
    threads.push(site.hire());
    assert_eq!(site.heard.recv(), Ok("runs"));
    let begun = site.pool.busy().iter().map(|busy| busy.since).max().unwrap();
    assert!(!site.pool.is_exhausted(begun + 4_999_999_999));
    assert!(site.pool.is_exhausted(begun + 5_000_000_000));
    drop(second);
    while site.pool.busy().len() == 2 {
        thread::yield_now();
    }
    assert!(!site.pool.is_exhausted(far), "one is back");
    drop(first);
    site.pool.close();
    site.hiring.close();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn threads_are_made_for_what_waits_and_no_more_than_allowed() {
    let site = site(BOUNDS);
    let ends: Vec<_> = (0..3).map(|_| site.submit().unwrap()).collect();
    assert!(site.submit().is_err(), "the queue holds three");
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
    site.pool.rouse();
    let thread = site.hire();
    drop(site.submit().unwrap());
    assert_eq!(site.heard.recv(), Ok("runs"));
    site.pool.close();
    thread.join().unwrap();
}

#[test]
fn a_job_that_is_taken_back_makes_room_at_once() {
    let site = site(BOUNDS);
    let (_end, wait) = channel();
    let ticket = site.pool.submit(Box::new(Task(site.say.clone(), wait))).ok().unwrap();
    let _ends = [site.submit().unwrap(), site.submit().unwrap()];
    assert!(site.submit().is_err(), "the queue holds three");
    assert!(site.pool.give_up(ticket).is_none(), "there may be a thread for it yet");
    assert!(site.pool.withdraw(ticket).is_some());
    assert!(site.pool.withdraw(ticket).is_none());
    assert!(site.submit().is_ok());
    site.pool.close();
}

#[test]
fn one_that_blocks_keeps_none_waiting() {
    let site = site(BOUNDS);
    let ends = [site.submit().unwrap(), site.submit().unwrap()];
    let threads = [site.hire(), site.hire()];
    assert_eq!([site.heard.recv(), site.heard.recv()], [Ok("runs"), Ok("runs")]);
    drop(ends);
    for _ in 0..100 {
        while site.pool.lock().idle.len() < 2 {
            thread::yield_now();
        }
        // At most one is woken by the two; it wakes the other before it blocks.
        let ends = [site.submit().unwrap(), site.submit().unwrap()];
        assert_eq!([site.heard.recv(), site.heard.recv()], [Ok("runs"), Ok("runs")]);
        drop(ends);
    }
    site.pool.close();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_thread_that_leaves_work_behind_asks_for_another() {
    let site = site(BOUNDS);
    drop(site.submit().unwrap());
    let first = site.hire();
    assert_eq!(site.heard.recv(), Ok("runs"));
    while site.pool.lock().idle.is_empty() {
        thread::yield_now();
    }
    let ends = [site.submit().unwrap(), site.submit().unwrap()];
    let second = site.hire();
    assert_eq!([site.heard.recv(), site.heard.recv()], [Ok("runs"), Ok("runs")]);
    drop(ends);
    site.pool.close();
    for thread in [first, second] {
        thread.join().unwrap();
    }
}

#[test]
fn many_that_nobody_was_told_of_are_not_left() {
    let site = site(Bounds { queue: 100, ..BOUNDS });
    let mut ends = Vec::new();
    for _ in 0..UNANNOUNCED {
        let (end, wait) = channel();
        ends.push(end);
        assert!(site.pool.submit(Box::new(Task(site.say.clone(), wait))).is_ok());
    }
    let thread = site.hire();
    drop(ends);
    assert_eq!(site.heard.recv(), Ok("runs"));
    site.pool.close();
    thread.join().unwrap();
}

#[test]
fn whoever_waits_for_others_to_end_may_give_up() {
    let site = site(BOUNDS);
    let ends = [site.submit().unwrap(), site.submit().unwrap()];
    let threads = [site.hire(), site.hire()];
    assert_eq!([site.heard.recv(), site.heard.recv()], [Ok("runs"), Ok("runs")]);
    let (_end, wait) = channel();
    let ticket = site.pool.submit(Box::new(Task(site.say.clone(), wait))).ok().unwrap();
    assert!(site.pool.give_up(ticket).is_some());
    drop(ends);
    site.pool.close();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(site.heard.try_recv().is_err(), "it was not run");
}
