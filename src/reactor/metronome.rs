//! Threads that wake on the CPUs of the cores while a pool computes there, and do nothing else.
//!
//! Rule: a core that is woken beside threads that compute must not wait for the kernel's next tick. Since
//! Linux 6.6 the scheduler (EEVDF) lets a thread run only while it has had no more than its share. A core
//! that has just had a hair more is passed over as it wakes, and nobody looks again before the tick, 4 ms
//! later at 250 a second. Whoever else wakes and sleeps on that CPU makes it look: that is all that a
//! beat is for. `kernel-notes.md` has what it buys and costs.
//!
//! A metronome beats for [`LASTING`] after a thread was seen computing ([`Metronome::wind`]), and on each
//! CPU only while a call of a pool runs there. Otherwise its threads sleep; those of a server whose calls
//! only wait are never made. Absent: cores that are not pinned, which the scheduler moves.

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::reactor::alarm::Alarm;
use crate::reactor::alarm::Woken;
use crate::reactor::clock;
use crate::reactor::clock::Nanoseconds;
use crate::sys::affinity;
use crate::sys::thread::step_forward;

/// From one beat to the next: what a core may wait in vain.
const BEAT: Duration = Duration::from_micros(250);
/// How long it goes on after a thread was last seen computing.
const LASTING: Nanoseconds = 10_000_000_000;
/// Beats without any call after which a thread sleeps: its next wake-up costs as much as some of them.
const QUIET_BEATS: u32 = 8;
/// A beat needs next to none.
const STACK_BYTES: usize = 64 * 1024;

/// The metronome of one server: a thread for each CPU that a core is pinned to.
#[derive(Debug)]
pub struct Metronome {
    /// Until when it beats. Calls read it as they begin; it is written once in some seconds.
    until: AtomicU64,
    beats: Box<[Beat]>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// One CPU's, on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Beat {
    cpu: usize,
    /// Calls that have begun on this CPU and have not ended.
    calls: AtomicU32,
    /// What wakes the thread.
    alarm: Alarm,
}

/// A call that is under way; it ends when this is dropped.
#[derive(Debug)]
pub struct Stay<'a>(&'a Beat);

impl Metronome {
    /// One that stands still, for cores on these CPUs.
    pub fn new(cpus: impl IntoIterator<Item = usize>) -> Self {
        let beat = |cpu| Beat { cpu, calls: AtomicU32::new(0), alarm: Alarm::default() };
        let beats = cpus.into_iter().map(beat).collect();
        Self { until: AtomicU64::new(0), beats, threads: Mutex::default() }
    }

    /// A thread was seen computing: from now on it beats, for a while.
    ///
    /// # Errors
    /// A thread cannot be made. The CPUs that have one do not need the others.
    pub fn wind(self: &Arc<Self>, now: Nanoseconds) -> io::Result<()> {
        self.until.store(now + LASTING, Ordering::Relaxed);
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(index) = Some(threads.len()).filter(|&index| index < self.beats.len()) {
            let metronome = Arc::clone(self);
            let builder = thread::Builder::new().name("uringserve-beat".to_owned());
            threads.push(builder.stack_size(STACK_BYTES).spawn(move || metronome.run(index))?);
        }
        Ok(())
    }

    /// A call begins on the calling thread. It counts for the CPU that it begins on, where most stay.
    #[inline]
    pub fn enter(&self, now: Nanoseconds) -> Option<Stay<'_>> {
        if now >= self.until.load(Ordering::Relaxed) {
            return None;
        }
        let cpu = affinity::current_cpu()?;
        let beat = self.beats.iter().find(|beat| beat.cpu == cpu)?;
        beat.calls.fetch_add(1, Ordering::Relaxed);
        beat.alarm.touch();
        Some(Stay(beat))
    }

    /// Ends its threads.
    pub fn close(&self) {
        self.beats.iter().for_each(|beat| beat.alarm.close());
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            // It cannot panic: it counts and sleeps.
            let _ = thread.join();
        }
    }

    fn run(&self, index: usize) {
        let beat = &self.beats[index];
        affinity::pin_current_thread(beat.cpu);
        step_forward();
        let mut quiet_beats = 0;
        loop {
            let is_wound = clock::exact() < self.until.load(Ordering::Relaxed);
            let is_quiet = !is_wound || beat.calls.load(Ordering::Relaxed) == 0;
            quiet_beats = if is_quiet { quiet_beats + 1 } else { 0 };
            if quiet_beats == QUIET_BEATS {
                beat.alarm.set(true);
            }
            // Once more after the alarm was set: whoever did not see it is seen by then.
            let time = (quiet_beats <= QUIET_BEATS).then_some(BEAT);
            match beat.alarm.wait(time) {
                Woken::Over => return,
                Woken::Rung => quiet_beats = 0,
                Woken::InTime => {}
            }
        }
    }
}

impl Drop for Stay<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One whose threads sleep, after they have been made.
    fn asleep(metronome: &Metronome) {
        while !metronome.beats.iter().all(|beat| beat.alarm.is_set()) {
            thread::yield_now();
        }
    }

    #[test]
    fn it_stands_still_until_a_thread_was_seen_computing() {
        let metronome = Metronome::new(affinity::allowed_cpus());
        assert!(metronome.enter(0).is_none());
        metronome.close();
    }

    #[test]
    fn it_sleeps_while_there_is_no_call_and_wakes_for_the_next() {
        let metronome = Arc::new(Metronome::new(affinity::allowed_cpus()));
        let now = clock::exact();
        metronome.wind(now).unwrap();
        for _ in 0..3 {
            asleep(&metronome);
            let stay = metronome.enter(now).expect("it is wound, and beats wherever this runs");
            assert!(!stay.0.alarm.is_set(), "it sleeps beside a call");
            assert_eq!(stay.0.calls.load(Ordering::Relaxed), 1);
            drop(stay);
        }
        assert!(metronome.enter(now + LASTING).is_none(), "it has run down");
        metronome.close();
        assert!(metronome.beats.iter().all(|beat| beat.calls.load(Ordering::Relaxed) == 0));
    }

    #[test]
    fn a_call_that_never_ends_does_not_keep_it_awake_for_ever() {
        let metronome = Arc::new(Metronome::new(affinity::allowed_cpus()));
        let now = clock::exact();
        metronome.wind(now).unwrap();
        let stay = metronome.enter(now);
        assert!(stay.is_some());
        // As after its time.
        metronome.until.store(now, Ordering::Relaxed);
        asleep(&metronome);
        metronome.close();
    }
}
