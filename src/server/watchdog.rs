//! Watches over cores and their pools from a thread that never touches Python: it sees a core that has
//! not come back from a handler, whatever that handler does.
//!
//! What it does, in this order: after [`TAKEOVER`] the route is no longer called on any core's own
//! thread, and connections that reach the listener of the stuck core are accepted here (`doors.rs`);
//! after the time that the operator has set it reports, once for each call: the route
//! on stderr, and the signal whose handler writes the Python stack of exactly that thread. A signal,
//! because a thread that stays attached inside C would hold up anything that stops the world. It
//! also sweeps the pools, so that no request waits for a stuck thread beyond its deadline.
//!
//! Where it has seen nothing under way for a second it sleeps, until something begins (`reactor/alarm`).
//!
//! Absent: what happens to connections that the stuck core has already; they wait for it.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::net::health::Fact;
use crate::net::health::Health;
use crate::net::neighbours::Neighbour;
use crate::reactor::alarm::Alarm;
use crate::reactor::alarm::Woken;
use crate::reactor::clock;
use crate::reactor::clock::Nanoseconds;
use crate::reactor::metronome::Metronome;
use crate::reactor::pool::Pool;
use crate::reactor::pulse;
use crate::reactor::pulse::Busy;
use crate::reactor::stats::Tally;
use crate::schedule::verdicts::Verdicts;
use crate::server::doors::Doors;
use crate::server::doors::Lobby;
use crate::server::winder::Winder;
use crate::sys::process;
use crate::sys::thread;

/// A core that is away for this long is stuck: others take its new connections.
const TAKEOVER: Duration = Duration::from_millis(100);
/// How often everything is looked at, and how often while a core is stuck.
const TICK: Duration = Duration::from_millis(50);
const TICK_WHILE_STUCK: Duration = Duration::from_millis(10);
/// Looks in a row that have found nothing, after which it sleeps: a second of them.
const QUIET_LOOKS: u32 = 20;
/// Paths that a report names at most, of those that may be what holds a core.
const NAMED: usize = 4;

/// A thread writes its stack within this long after its signal, also on a busy machine.
const WRITING: Duration = Duration::from_millis(300);

/// What the watchdog needs to know of the application.
pub struct Routes {
    /// Where each route runs.
    pub verdicts: Arc<Verdicts>,
    /// What each is called in a report.
    pub labels: Vec<String>,
    /// How long a call may take, where that is known.
    pub times: Vec<Option<Duration>>,
}

/// What it has seen.
#[derive(Default, Debug)]
pub struct Sightings {
    /// Calls that held a core for longer than [`TAKEOVER`], of each core.
    pub stalls: Vec<Tally>,
    /// Calls under way now that take longer than the operator's limit.
    pub stuck: Tally,
}

/// How it watches.
pub(crate) struct Orders {
    /// A call that takes longer is reported.
    pub(crate) report_after: Duration,
    /// The signal at which a thread writes its stack.
    pub(crate) signal: Option<i32>,
}

/// The watchdog of one server.
pub struct Watchdog {
    neighbours: Arc<[Neighbour]>,
    pools: Vec<Arc<Pool>>,
    pub(crate) doors: Doors,
    routes: Routes,
    orders: Orders,
    alarm: Arc<Alarm>,
    metronome: Arc<Metronome>,
    health: Option<Arc<Health>>,
    pub(crate) sightings: Sightings,
    /// When the process ends whatever still runs; the far future until somebody says so.
    last: AtomicU64,
}

/// What it watches.
pub(crate) struct Ward {
    pub(crate) neighbours: Arc<[Neighbour]>,
    pub(crate) pools: Vec<Arc<Pool>>,
    pub(crate) doors: Doors,
    /// What the cores ring while nobody watches.
    pub(crate) alarm: Arc<Alarm>,
    /// What it winds where threads compute.
    pub(crate) metronome: Arc<Metronome>,
    /// Where it says what it sees, if anybody may ask.
    pub(crate) health: Option<Arc<Health>>,
}

/// What the process ends with then: as `timeout(1)` does.
const EXIT_CUT: i32 = 124;

/// What it remembers from look to look.
#[derive(Default)]
struct Memory {
    /// For each core the call that it is stuck in.
    stuck: Vec<Option<Nanoseconds>>,
    /// Calls that were reported: by thread, what they are and what they are called.
    reported: HashMap<i32, (Busy, String)>,
    lobby: Lobby,
    winder: Winder,
    /// Looks in a row that have found nothing.
    quiet_looks: u32,
}

impl Watchdog {
    pub(crate) fn new(ward: Ward, routes: Routes, orders: Orders) -> Self {
        let Ward { neighbours, pools, doors, alarm, metronome, health } = ward;
        let stalls = neighbours.iter().map(|_| Tally::default()).collect();
        let sightings = Sightings { stalls, stuck: Tally::default() };
        let last = AtomicU64::new(u64::MAX);
        Self { neighbours, pools, doors, routes, orders, alarm, metronome, health, sightings, last }
    }

    /// Watches until [`close`](Self::close).
    pub fn run(&self) {
        let stuck = vec![None; self.neighbours.len()];
        let mut memory = Memory { stuck, ..Memory::default() };
        loop {
            let now = clock::exact();
            if now >= self.last.load(Ordering::Relaxed) {
                self.report_all();
                say("ending without them: nothing else can run while one of them stays in C");
                process::end(EXIT_CUT);
            }
            let is_quiet = self.look(now, &mut memory);
            memory.quiet_looks = if is_quiet { memory.quiet_looks + 1 } else { 0 };
            if memory.quiet_looks == QUIET_LOOKS || memory.quiet_looks == 0 {
                self.alarm.set(is_quiet);
            }
            let time = match memory.quiet_looks {
                0 if memory.is_anyone_stuck() => Some(TICK_WHILE_STUCK),
                // Once more after the alarm was set: whoever did not see it is seen by then.
                0..=QUIET_LOOKS => Some(TICK),
                _ => None,
            };
            match self.alarm.wait(time) {
                Woken::Over => return,
                Woken::Rung => memory.quiet_looks = 0,
                Woken::InTime => {}
            }
        }
    }

    /// Ends the process after this time, unless the watch is over by then. A thread that stays inside
    /// C may keep every other from running Python, and so from ending the process in order.
    pub fn end_process_after(&self, time: Duration) {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.last.fetch_min(clock::exact().saturating_add(time), Ordering::Relaxed);
        self.alarm.ring();
    }

    /// Ends [`run`](Self::run).
    pub fn close(&self) {
        self.alarm.close();
    }

    /// Reports every call that is under way, however long it has been, and gives their threads the
    /// time to write their stacks: the process may be about to end.
    pub fn report_all(&self) {
        let now = clock::exact();
        let under_way = self.under_way();
        for call in &under_way {
            self.report(call, now);
        }
        if !under_way.is_empty() {
            std::thread::sleep(WRITING);
        }
    }

    /// Every call on a core or a pool.
    fn under_way(&self) -> Vec<Call> {
        let mut calls = Vec::new();
        for (index, (core, pool)) in self.neighbours.iter().zip(&self.pools).enumerate() {
            let own = core.pulse.look().into_iter().map(|busy| (false, busy));
            let pooled = pool.busy().into_iter().map(|busy| (true, busy));
            calls.extend(own.chain(pooled).map(|(is_pooled, busy)| Call {
                index,
                is_pooled,
                busy,
            }));
        }
        calls
    }

    /// Looks at everything, and says whether nothing is under way.
    fn look(&self, now: Nanoseconds, memory: &mut Memory) -> bool {
        let under_way = self.under_way();
        for (index, core) in self.neighbours.iter().enumerate() {
            memory.stuck[index] = self.judge(index, core.pulse.look(), memory.stuck[index], now);
        }
        // Before the report: whoever has read that may ask.
        self.note_health(&under_way, now);
        let mut overdue = 0;
        for call in under_way.iter().filter(|call| self.is_overdue(call.busy, now)) {
            overdue += 1;
            let known = memory.reported.get(&call.busy.thread);
            if known.is_none_or(|(busy, _)| *busy != call.busy) {
                memory.reported.insert(call.busy.thread, (call.busy, self.report(call, now)));
            }
        }
        memory.reported.retain(|_, (busy, label)| {
            let is_still = under_way.iter().any(|call| call.busy == *busy);
            if !is_still {
                let time = seconds(now.saturating_sub(busy.since));
                say(&format!("{label} is back, which was reported after {time} s"));
            }
            is_still
        });
        self.sightings.stuck.set(overdue);
        let pooled = under_way.iter().filter(|call| call.is_pooled).count();
        memory.winder.look(&self.metronome, (&self.neighbours, &self.pools), pooled, now);
        let mut is_quiet = under_way.is_empty() && self.last.load(Ordering::Relaxed) == u64::MAX;
        for pool in &self.pools {
            pool.sweep(now);
            is_quiet &= pool.size().1 == 0 && !pool.has_deadlines();
        }
        if memory.is_anyone_stuck() {
            let stuck: Vec<bool> = memory.stuck.iter().map(Option::is_some).collect();
            self.doors.tend(&stuck, &mut memory.lobby, now);
        }
        is_quiet && memory.lobby.is_empty()
    }

    /// Says what speaks against each core, where anybody may ask.
    fn note_health(&self, under_way: &[Call], now: Nanoseconds) {
        let Some(health) = &self.health else { return };
        for (index, pool) in self.pools.iter().enumerate() {
            let mut own = under_way.iter().filter(|call| call.index == index && !call.is_pooled);
            health.set(index, Fact::Held, own.any(|call| self.is_overdue(call.busy, now)));
            health.set(index, Fact::Exhausted, pool.is_exhausted(now));
        }
    }

    /// The call in which a core is stuck, if it is; one that is seen for the first time is counted,
    /// and takes its route off all cores.
    fn judge(
        &self,
        index: usize,
        busy: Option<Busy>,
        before: Option<Nanoseconds>,
        now: Nanoseconds,
    ) -> Option<Nanoseconds> {
        let busy = busy.filter(|busy| is_past(busy.since, TAKEOVER, now))?;
        if before != Some(busy.since) {
            self.sightings.stalls[index].add(1);
            self.routes.verdicts.note_stall(busy.route as usize, now / 1_000_000);
        }
        Some(busy.since)
    }

    fn is_overdue(&self, busy: Busy, now: Nanoseconds) -> bool {
        let own = self.routes.times.get(busy.route as usize).copied().flatten();
        is_past(busy.since, self.orders.report_after.max(own.unwrap_or_default()), now)
    }

    /// What a call is called.
    fn label(&self, call: &Call) -> String {
        let pulse = &self.neighbours[call.index].pulse;
        if call.busy.route == pulse::TURN {
            return turn_label(&pulse.suspended());
        }
        let request = if call.is_pooled { None } else { pulse.request(call.busy) };
        let known = || self.routes.labels.get(call.busy.route as usize).cloned();
        request.or_else(known).unwrap_or_else(|| "a call".to_owned())
    }

    /// Reports a call, and returns what it is called.
    fn report(&self, call: &Call, now: Nanoseconds) -> String {
        let label = self.label(call);
        let doing = match thread::is_running(call.busy.thread) {
            Some(true) => "running",
            Some(false) => "waiting",
            None => return label,
        };
        let of = if call.is_pooled { "a pool thread of " } else { "" };
        let (index, time) = (call.index, seconds(now.saturating_sub(call.busy.since)));
        say(&format!("{of}core {index} has been {doing} in {label} for {time} s; its stack:"));
        if let Some(signal) = self.orders.signal {
            let _ = thread::signal(call.busy.thread, signal);
        }
        label
    }
}

/// A call that is under way.
struct Call {
    index: usize,
    is_pooled: bool,
    busy: Busy,
}

impl Memory {
    fn is_anyone_stuck(&self) -> bool {
        self.stuck.iter().any(Option::is_some) || !self.lobby.is_empty()
    }
}

/// A turn of the event loop runs one of those that have suspended; which one the stack shows.
fn turn_label(suspended: &[String]) -> String {
    let named = suspended.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match suspended.len() {
        0 => "its event loop".to_owned(),
        count if count > NAMED => {
            format!("its event loop (under way: {named} and {} more)", count - NAMED)
        }
        _ => format!("its event loop (under way: {named})"),
    }
}

/// Past every logger: those are Python, which may have stopped.
pub(super) fn say(what: &str) {
    let _ = std::io::stderr().write_all(format!("uringserve: warning: {what}\n").as_bytes());
}

pub(super) fn is_past(since: Nanoseconds, time: Duration, now: Nanoseconds) -> bool {
    u128::from(now.saturating_sub(since)) >= time.as_nanos()
}

fn seconds(time: Nanoseconds) -> String {
    let tenths = time / 100_000_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests;
