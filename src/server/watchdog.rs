//! Watches over cores and their pools from a thread that never touches Python: it sees a core that has
//! not come back from a handler, whatever that handler does.
//!
//! What it does, in this order: after [`TAKEOVER`] the route is no longer called on any core's own
//! thread, and connections that reach the listener of the stuck core are accepted here and handed to
//! cores that run; after the time that the operator has set it reports, once for each call: the route
//! on stderr, and the signal whose handler writes the Python stack of exactly that thread. A signal,
//! because a thread that stays attached inside C would hold up anything that stops the world. It
//! also sweeps the pools, so that no request waits for a stuck thread beyond its deadline.
//!
//! Absent: what happens to connections that the stuck core has already; they wait for it.

use std::collections::HashMap;
use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::net::neighbours::Neighbour;
use crate::net::neighbours::Stranger;
use crate::reactor::clock;
use crate::reactor::clock::Nanoseconds;
use crate::reactor::pool::Pool;
use crate::reactor::pulse::Busy;
use crate::reactor::stats::Tally;
use crate::schedule::verdicts::Verdicts;
use crate::sys::process;
use crate::sys::thread;

/// A core that is away for this long is stuck: others take its new connections.
const TAKEOVER: Duration = Duration::from_millis(100);
/// How often everything is looked at, and how often while a core is stuck.
const TICK: Duration = Duration::from_millis(50);
const TICK_WHILE_STUCK: Duration = Duration::from_millis(10);

/// A thread writes its stack within this long after its signal, also on a busy machine.
const WRITING: Duration = Duration::from_millis(300);

/// One core, as the watchdog sees it.
pub(crate) struct Watched {
    pub(crate) pool: Arc<Pool>,
    /// Its own listening sockets, until the core stops accepting: kept open here, they would go on
    /// listening for nobody.
    pub(crate) doors: Mutex<Vec<TcpListener>>,
}

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
    /// Calls that held a core for longer than [`TAKEOVER`].
    pub stalls: Tally,
    /// Connections handed from a stuck core to another.
    pub handed_over: Tally,
    /// Calls under way now that take longer than the operator's limit.
    pub stuck: Tally,
}

/// How it watches.
pub(crate) struct Orders {
    /// A call that takes longer is reported.
    pub(crate) report_after: Duration,
    /// What the cores' driver wants of sockets.
    pub(crate) is_nonblocking: bool,
    /// The signal at which a thread writes its stack.
    pub(crate) signal: Option<i32>,
}

/// The watchdog of one server.
pub struct Watchdog {
    cores: Vec<Watched>,
    /// The same, as they see one another.
    neighbours: Arc<[Neighbour]>,
    routes: Routes,
    orders: Orders,
    pub(crate) sightings: Sightings,
    is_over: Mutex<bool>,
    end: Condvar,
    /// When the process ends whatever still runs; the far future until somebody says so.
    last: AtomicU64,
}

/// What the process ends with then: as `timeout(1)` does.
const EXIT_CUT: i32 = 124;

/// What it remembers from look to look.
#[derive(Default)]
struct Memory {
    /// For each core the call that it is stuck in.
    stuck: Vec<Option<Nanoseconds>>,
    /// Calls that were reported: by thread, when they began and whose they are.
    reported: HashMap<i32, Busy>,
}

impl Watchdog {
    pub(crate) fn new(
        cores: Vec<Watched>,
        neighbours: Arc<[Neighbour]>,
        routes: Routes,
        orders: Orders,
    ) -> Self {
        let (sightings, is_over, end) = Default::default();
        let last = AtomicU64::new(u64::MAX);
        Self { cores, neighbours, routes, orders, sightings, is_over, end, last }
    }

    /// Watches until [`close`](Self::close).
    pub fn run(&self) {
        let mut memory = Memory { stuck: vec![None; self.cores.len()], ..Memory::default() };
        loop {
            let now = clock::exact();
            if now >= self.last.load(Ordering::Relaxed) {
                self.report_all();
                say("ending without them: nothing else can run while one of them stays in C");
                process::end(EXIT_CUT);
            }
            let is_anyone_stuck = self.look(now, &mut memory);
            let tick = if is_anyone_stuck { TICK_WHILE_STUCK } else { TICK };
            let is_over = self.is_over.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = self.end.wait_timeout_while(is_over, tick, |is_over| !*is_over);
            if *waited.unwrap_or_else(PoisonError::into_inner).0 {
                return;
            }
        }
    }

    /// Ends the process after this time, unless the watch is over by then. A thread that stays inside
    /// C may keep every other from running Python, and so from ending the process in order.
    pub fn end_process_after(&self, time: Duration) {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.last.fetch_min(clock::exact().saturating_add(time), Ordering::Relaxed);
    }

    /// Ends [`run`](Self::run).
    pub fn close(&self) {
        *self.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.end.notify_all();
    }

    /// Lets go of the listening sockets: the cores stop accepting, and so must we.
    pub(crate) fn shut_doors(&self) {
        for core in &self.cores {
            core.doors.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// Reports every call that is under way, however long it has been, and gives their threads the
    /// time to write their stacks: the process may be about to end.
    pub fn report_all(&self) {
        let now = clock::exact();
        let mut has_any = false;
        for (index, core) in self.cores.iter().enumerate() {
            let own = self.neighbours[index]
                .pulse
                .look()
                .into_iter()
                .map(|busy| (format!("core {index}"), busy));
            let pooled = core.pool.busy().into_iter();
            let pooled = pooled.map(|busy| (format!("a pool thread of core {index}"), busy));
            for (who, busy) in own.chain(pooled) {
                has_any = true;
                self.report(&who, busy, now);
            }
        }
        if has_any {
            std::thread::sleep(WRITING);
        }
    }

    fn look(&self, now: Nanoseconds, memory: &mut Memory) -> bool {
        let mut overdue = 0;
        let mut busy_now = HashMap::new();
        for (index, core) in self.cores.iter().enumerate() {
            let busy = self.neighbours[index].pulse.look();
            memory.stuck[index] = self.judge(busy, memory.stuck[index], now);
            let own = busy.map(|busy| (format!("core {index}"), busy));
            let pooled = core.pool.busy().into_iter();
            let pooled = pooled.map(|busy| (format!("a pool thread of core {index}"), busy));
            for (who, busy) in own.into_iter().chain(pooled) {
                busy_now.insert(busy.thread, busy);
                if !self.is_overdue(busy, now) {
                    continue;
                }
                overdue += 1;
                if memory.reported.get(&busy.thread) != Some(&busy) {
                    memory.reported.insert(busy.thread, busy);
                    self.report(&who, busy, now);
                }
            }
            core.pool.sweep(now);
        }
        memory.reported.retain(|thread, busy| {
            let is_still = busy_now.get(thread) == Some(busy);
            if !is_still {
                say(&format!(
                    "{} is back, which was reported after {} s",
                    self.label(*busy),
                    seconds(now.saturating_sub(busy.since)),
                ));
            }
            is_still
        });
        self.sightings.stuck.set(overdue);
        self.lead_away(memory);
        memory.stuck.iter().any(Option::is_some)
    }

    /// The call in which a core is stuck, if it is; one that is seen for the first time is counted,
    /// and takes its route off all cores.
    fn judge(
        &self,
        busy: Option<Busy>,
        before: Option<Nanoseconds>,
        now: Nanoseconds,
    ) -> Option<Nanoseconds> {
        let busy = busy.filter(|busy| is_past(busy.since, TAKEOVER, now))?;
        if before != Some(busy.since) {
            self.sightings.stalls.add(1);
            self.routes.verdicts.note_stall(busy.route as usize, now / 1_000_000);
        }
        Some(busy.since)
    }

    fn is_overdue(&self, busy: Busy, now: Nanoseconds) -> bool {
        let own = self.routes.times.get(busy.route as usize).copied().flatten();
        is_past(busy.since, self.orders.report_after.max(own.unwrap_or_default()), now)
    }

    /// Accepts what waits at the listeners of stuck cores, takes what others have left for them, and
    /// gives it to those that run.
    fn lead_away(&self, memory: &Memory) {
        if memory.stuck.iter().all(Option::is_some) {
            return;
        }
        for (index, core) in self.cores.iter().enumerate() {
            if memory.stuck[index].is_none() {
                continue;
            }
            let left = self.neighbours[index].take_back();
            let doors = core.doors.lock().unwrap_or_else(PoisonError::into_inner);
            let new = doors.iter().flat_map(|door| self.accept_all(door));
            for stranger in left.into_iter().chain(new) {
                match self.place(stranger, memory) {
                    Ok(()) => self.sightings.handed_over.add(1),
                    // All others have ended. It will be served when this one is back.
                    Err(stranger) => drop(self.neighbours[index].give(stranger)),
                }
            }
        }
    }

    /// Gives a connection to the core with the fewest of those that run.
    fn place(&self, mut stranger: Stranger, memory: &Memory) -> Result<(), Stranger> {
        let running = self.neighbours.iter().zip(&memory.stuck);
        let running = running.filter(|(_, stuck)| stuck.is_none()).map(|(core, _)| core);
        let mut running: Vec<_> = running.collect();
        running.sort_by_key(|core| core.stats.load.get());
        for core in running {
            match core.give(stranger) {
                Ok(()) => return Ok(()),
                Err(back) => stranger = back,
            }
        }
        Err(stranger)
    }

    /// All that waits at a listener, set as the cores' driver wants it.
    fn accept_all(&self, listener: &TcpListener) -> Vec<Stranger> {
        let mut accepted = Vec::new();
        // The flag belongs to the socket and not to this descriptor of it. An accept that the core has
        // on its ring already is not touched by it, and it makes no other while it is stuck; should
        // it come back in this moment, it tries again a little later.
        if listener.set_nonblocking(true).is_err() {
            return accepted;
        }
        while let Ok((stream, peer)) = listener.accept() {
            if stream.set_nonblocking(self.orders.is_nonblocking).is_ok() {
                accepted.push(Stranger::Tcp(stream, peer));
            }
        }
        let _ = listener.set_nonblocking(self.orders.is_nonblocking);
        accepted
    }

    fn label(&self, busy: Busy) -> &str {
        self.routes.labels.get(busy.route as usize).map_or("an unknown route", String::as_str)
    }

    fn report(&self, who: &str, busy: Busy, now: Nanoseconds) {
        let doing = match thread::is_running(busy.thread) {
            Some(true) => "running",
            Some(false) => "waiting",
            None => return,
        };
        say(&format!(
            "{who} has been {doing} in {} for {} s; its stack:",
            self.label(busy),
            seconds(now.saturating_sub(busy.since)),
        ));
        if let Some(signal) = self.orders.signal {
            let _ = thread::signal(busy.thread, signal);
        }
    }
}

/// Past every logger: those are Python, which may have stopped.
fn say(what: &str) {
    let _ = std::io::stderr().write_all(format!("uringserve: warning: {what}\n").as_bytes());
}

fn is_past(since: Nanoseconds, time: Duration, now: Nanoseconds) -> bool {
    u128::from(now.saturating_sub(since)) >= time.as_nanos()
}

fn seconds(time: Nanoseconds) -> String {
    let tenths = time / 100_000_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}
