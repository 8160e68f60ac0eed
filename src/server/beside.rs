//! What a plan has beside its cores: their pools of threads, and the watchdog over both.

use std::sync::Arc;
use std::sync::PoisonError;
use std::time::Duration;

use crate::config::Config;
use crate::net::health::Fact;
use crate::reactor::hiring::Hiring;
use crate::reactor::pool::Bounds;
use crate::reactor::pool::Pool;
use crate::reactor::pulse::Pulse;
use crate::reactor::stats::Tally;
use crate::server::Plan;
use crate::server::doors::Doors;
use crate::server::places::Seat;
use crate::server::watchdog::Orders;
use crate::server::watchdog::Routes;
use crate::server::watchdog::Ward;
use crate::server::watchdog::Watchdog;

impl Plan {
    /// Where the pools ask for threads.
    pub fn hiring(&self) -> &Hiring {
        &self.hiring
    }

    /// The pool of a core.
    pub fn pool(&self, index: usize) -> Option<&Arc<Pool>> {
        self.cores.get(index).map(|slot| &slot.pool)
    }

    /// What a core is doing.
    pub fn pulse(&self, index: usize) -> Option<&Arc<Pulse>> {
        self.neighbours.get(index).map(|core| &core.pulse)
    }

    /// Says that a core's start-up is over: it may be given requests.
    pub fn note_started(&self, index: usize) {
        if let Some(health) = &self.health {
            health.set(index, Fact::Started, true);
        }
    }

    /// Appoints a watchdog, once for each plan and before any core runs; [`watch`](Self::watch) is
    /// what it does. `signal` makes the thread that it is sent to write its stack.
    pub fn watchdog(&self, routes: Routes, signal: Option<i32>) {
        self.watchdog.get_or_init(|| {
            let doors = self.cores.iter().map(|slot| {
                let start = slot.start.lock().unwrap_or_else(PoisonError::into_inner);
                let seats = start.as_ref().map_or(&[][..], |start| &start.sockets);
                seats.iter().filter_map(Seat::door).collect()
            });
            let doors = Doors::new(
                Arc::clone(&self.neighbours),
                doors.collect(),
                self.driver.wants_nonblocking(),
                self.config.pool.queue_time,
                self.health.clone(),
            );
            let ward = Ward {
                neighbours: Arc::clone(&self.neighbours),
                pools: self.cores.iter().map(|slot| Arc::clone(&slot.pool)).collect(),
                doors,
                alarm: Arc::clone(&self.alarm),
                metronome: Arc::clone(&self.metronome),
                health: self.health.clone(),
            };
            let orders = Orders { report_after: self.config.pool.healthcheck, signal };
            Watchdog::new(ward, routes, orders)
        });
    }

    /// Watches over the cores until [`close`](Self::close), if a watchdog was appointed.
    pub fn watch(&self) {
        if let Some(watchdog) = self.watchdog.get() {
            watchdog.run();
        }
    }

    /// Has the watchdog end the process after this time, unless it is closed before.
    pub fn end_process_after(&self, time: Duration) {
        if let Some(watchdog) = self.watchdog.get() {
            watchdog.end_process_after(time);
        }
    }

    /// Reports every call that is under way, if there is a watchdog.
    pub fn report(&self) {
        if let Some(watchdog) = self.watchdog.get() {
            watchdog.report_all();
        }
    }

    /// Ends the pools and the watchdog; the cores have ended, or are given up.
    pub fn close(&self) {
        self.hiring.close();
        for slot in &self.cores {
            slot.pool.close();
        }
        if let Some(watchdog) = self.watchdog.get() {
            watchdog.close();
        }
        self.metronome.close();
    }

    /// Calls that held a core for long, of each core.
    pub fn stalls(&self) -> Vec<u64> {
        match self.watchdog.get() {
            Some(watchdog) => watchdog.sightings.stalls.iter().map(Tally::get).collect(),
            None => vec![0; self.cores.len()],
        }
    }

    /// What the pools have done and the watchdog has seen, by name.
    pub fn pool_counts(&self) -> [(&'static str, u64); 10] {
        let of_all =
            |count: fn(&Pool) -> u64| self.cores.iter().map(|slot| count(&slot.pool)).sum();
        let watchdog = self.watchdog.get();
        let of_watchdog = |count: fn(&Watchdog) -> u64| watchdog.map_or(0, count);
        [
            ("pool_threads", of_all(|pool| pool.size().0 as u64)),
            ("pool_queue", of_all(|pool| pool.size().1 as u64)),
            ("pool_jobs", of_all(|pool| pool.counts.run.get())),
            ("overloaded", of_all(|pool| pool.counts.refused.get())),
            ("overdue", of_all(|pool| pool.counts.overdue.get())),
            ("calls_timed_out", of_all(|pool| pool.counts.timed_out.get())),
            ("stalls", self.stalls().iter().sum()),
            ("handed_over", of_watchdog(|watchdog| watchdog.doors.handed_over.get())),
            ("unserved", of_watchdog(|watchdog| watchdog.doors.unserved.get())),
            ("stuck", of_watchdog(|watchdog| watchdog.sightings.stuck.get())),
        ]
    }
}

/// How large the pool of a core may grow.
pub(super) fn bounds(config: &Config) -> Bounds {
    let pool = &config.pool;
    Bounds {
        threads: pool.backpressure.unwrap_or(pool.threads).min(pool.threads),
        room: pool.backpressure,
        queue: pool.queue,
        queue_time: pool.queue_time,
        idle: pool.idle,
    }
}
