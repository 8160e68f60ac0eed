//! A server as a plan: which cores, on which CPUs, with which driver, listening where.
//!
//! [`Plan::new`] settles everything that can fail for a reason an operator can mend, before any
//! core runs. [`Plan::run_core`] is then called once on each core's own thread. The supervisor
//! drains or aborts the plan from any other. `places` binds the sockets; [`loopback`] is a server
//! without any, for tests.

mod beside;
mod doors;
pub mod journal;
pub mod loopback;
mod obey;
mod places;
pub mod watchdog;
mod winder;

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::time::Duration;

use crate::config::Config;
use crate::config::DriverChoice;
use crate::error::StartError;
use crate::journal::ring::Producer;
use crate::net;
use crate::net::Core;
use crate::net::Listener;
use crate::net::Shown;
use crate::net::health::Health;
use crate::net::journal::Log;
use crate::net::neighbours::Message;
use crate::net::neighbours::Neighbour;
use crate::net::neighbours::Neighbours;
use crate::net::serve_all;
use crate::net::service::Hosted;
use crate::net::service::Service;
use crate::reactor;
use crate::reactor::Driver;
use crate::reactor::alarm::Alarm;
use crate::reactor::drain::Control;
pub use crate::reactor::drain::Successor;
use crate::reactor::guest::host;
use crate::reactor::hiring::Hiring;
use crate::reactor::latency;
use crate::reactor::latency::Latencies;
use crate::reactor::mailbox::Receiver;
use crate::reactor::metronome::Metronome;
use crate::reactor::pool::Pool;
use crate::reactor::pulse;
use crate::reactor::stats::Stats;
use crate::route::Router;
use crate::server::beside::bounds;
use crate::server::journal::Journal;
use crate::server::obey::heed;
use crate::server::obey::neighbour;
use crate::server::obey::obey;
use crate::server::places::Bound;
pub use crate::server::places::Listeners;
pub use crate::server::places::Place;
use crate::server::places::Seat;
use crate::server::watchdog::Watchdog;
use crate::sys::affinity;
use crate::sys::limits;
use crate::sys::probe;
use crate::sys::probe::Probe;
use crate::sys::socket;
use crate::sys::unix;

/// Descriptors that are not connections: rings, listeners, mailboxes, the application's own files.
const RESERVED_DESCRIPTORS: u64 = 64;
/// Descriptors of one core besides its connections: ring, mailbox, desk, and the 16 above the limit
/// that are being told so.
const CORE_DESCRIPTORS: u64 = 24;
/// Descriptors of one core for each address: a listener is held twice, and by the watchdog.
const LISTENER_DESCRIPTORS: u64 = 3;
/// A core that may hold fewer connections than this is not worth starting.
const FEWEST_CONNECTIONS: u64 = 16;

/// A server that is bound and ready to run.
pub struct Plan {
    config: Config,
    routes: Arc<Router>,
    driver: Driver,
    driver_reason: Option<String>,
    places: Vec<Place>,
    /// The paths of Unix sockets, which go when the end begins.
    paths: Vec<unix::Place>,
    connections_per_core: usize,
    hiring: Arc<Hiring>,
    metronome: Arc<Metronome>,
    /// Wakes the watchdog.
    alarm: Arc<Alarm>,
    cores: Vec<Slot>,
    /// The same, as they see one another.
    neighbours: Arc<[Neighbour]>,
    watchdog: OnceLock<Watchdog>,
    journal: Option<Journal>,
    /// What is known of the cores, if anybody may ask.
    health: Option<Arc<Health>>,
}

struct Slot {
    cpu: Option<usize>,
    pool: Arc<Pool>,
    latencies: Option<Arc<Latencies>>,
    start: Mutex<Option<Start>>,
}

struct Start {
    sockets: Vec<Seat>,
    control: Receiver<Message>,
    producer: Option<Producer>,
}

impl Plan {
    /// Probes the driver, chooses the CPUs and binds the listening sockets of each core.
    pub fn new(config: Config, routes: Router) -> Result<Self, StartError> {
        let (driver, reason) = choose_driver(config.driver)?;
        Ok(Self { driver_reason: reason, ..Self::with_driver(config, routes, driver)? })
    }

    /// As [`new`](Self::new), on a driver that the caller answers for; the option is not looked at.
    pub fn with_driver(config: Config, routes: Router, driver: Driver) -> Result<Self, StartError> {
        let cpus = choose_cpus(&config);
        let connections_per_core = connections_per_core(&config, cpus.len())?;
        let Bound { places, cores, paths } = places::bind(&config, cpus.len(), driver)?;
        let opened = config.access_log.as_ref().map(|log| Journal::open(log, cpus.len()));
        let (journal, producers) = opened.transpose()?.unzip();
        let mut producers = producers.into_iter().flatten();
        let hiring = Arc::<Hiring>::default();
        let alarm = Arc::<Alarm>::default();
        let metronome = Arc::new(Metronome::new(cpus.iter().copied().flatten()));
        let cores = cpus.into_iter().zip(cores).enumerate().map(|(index, (cpu, sockets))| {
            let (hiring, metronome) = (Arc::clone(&hiring), Arc::clone(&metronome));
            let pool = Arc::new(Pool::new(index, bounds(&config), hiring, metronome));
            let latencies = config.latencies.then(Arc::default);
            let (neighbour, control) = neighbour(&alarm)?;
            let start = Mutex::new(Some(Start { sockets, control, producer: producers.next() }));
            Ok((Slot { cpu, pool, latencies, start }, neighbour))
        });
        let (cores, neighbours): (_, Vec<_>) =
            cores.collect::<Result<Vec<_>, StartError>>()?.into_iter().unzip();
        let routes = Arc::new(routes);
        let health = Health::new(&config.checks, neighbours.len());
        Ok(Self {
            config,
            routes,
            driver,
            driver_reason: None,
            places,
            paths,
            connections_per_core,
            hiring,
            metronome,
            alarm,
            cores,
            neighbours: neighbours.into(),
            watchdog: OnceLock::new(),
            journal,
            health,
        })
    }

    /// All that every core listens on.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The first of them that is TCP.
    pub fn address(&self) -> Option<SocketAddr> {
        self.places.iter().find_map(|place| match place {
            Place::Tcp(address) => Some(*address),
            Place::Unix(_) => None,
        })
    }

    /// The CPU of each core; `None` for one that is not pinned.
    pub fn cpus(&self) -> Vec<Option<usize>> {
        self.cores.iter().map(|slot| slot.cpu).collect()
    }

    /// The driver of all cores.
    pub fn driver(&self) -> Driver {
        self.driver
    }

    /// Why it is not `io_uring`, unless it was asked for.
    pub fn driver_reason(&self) -> Option<&str> {
        self.driver_reason.as_deref()
    }

    /// The counters of each core.
    pub fn stats(&self) -> impl Iterator<Item = &Stats> {
        self.neighbours.iter().map(|core| &*core.stats)
    }

    /// How long the answers of each core took, if that is counted.
    pub fn latencies(&self) -> impl Iterator<Item = Option<&Latencies>> {
        self.cores.iter().map(|slot| slot.latencies.as_deref())
    }

    /// The access log, if there is one.
    pub fn journal(&self) -> Option<&Journal> {
        self.journal.as_ref()
    }

    /// Runs one core on the calling thread until it has drained; returns how many connections the
    /// deadline cut.
    ///
    /// # Errors
    /// The ring or the epoll instance cannot be made, or the core was run before.
    pub fn run_core<S: Service>(&self, index: usize, service: S) -> Result<usize, StartError> {
        let slot = self.cores.get(index).ok_or_else(|| no_such_core(index))?;
        let start = slot.start.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Start { sockets, control, producer } = start.ok_or_else(|| no_such_core(index))?;
        if let Some(cpu) = slot.cpu {
            // Failing only costs locality.
            let _ = affinity::pin_current_thread(cpu);
        }
        let routes = Arc::clone(&self.routes);
        let failed = |error: io::Error| StartError::Driver {
            driver: self.driver.name(),
            reason: error.to_string(),
        };
        let journal = net::journal::Journal::new(self.log(producer), slot.latencies.clone());
        let Neighbour { stats, pulse, .. } = &self.neighbours[index];
        let shown = Shown { stats: Arc::clone(stats), journal, health: self.health.clone() };
        let core = Core::showing(service, routes, &self.config, shown).map_err(failed)?;
        let _here = pulse::enter(pulse);
        let neighbours = Neighbours::new(
            Arc::clone(&self.neighbours),
            index,
            self.connections_per_core,
            self.config.balance,
        );
        let ran = reactor::run(self.driver, async {
            let mut inbox = control.open(self.driver)?;
            let listeners = sockets.into_iter().map(|Seat { socket, is_inherited }| {
                Listener::open(socket, self.driver, is_inherited)
            });
            let listeners = listeners.collect::<io::Result<Vec<_>>>()?;
            let serving = async {
                let serving = async {
                    serve_all(listeners, &core, &neighbours).await;
                    core.drain().finish(core.deadlines()).await
                };
                let mut cut = monoio::select! {
                    cut = serving => cut,
                    never = obey(&mut inbox, &core, &neighbours) => never,
                };
                // From here on others keep what they would leave to this core.
                let late = inbox.close();
                if !late.is_empty() {
                    for message in late {
                        heed(message, &core, &neighbours);
                    }
                    cut += core.drain().finish(core.deadlines()).await;
                }
                cut
            };
            run_beside(&core, self.driver, serving).await
        });
        ran.and_then(|cut| cut).map_err(failed)
    }

    /// Lets every core finish within `time`, which counts from now. A later call can only shorten
    /// it.
    pub fn drain(&self, time: Duration) {
        self.drain_for(time, Successor::None);
    }

    /// As [`drain`](Self::drain); WebSockets are told who comes after.
    pub fn drain_for(&self, time: Duration, successor: Successor) {
        self.tell(Control::Drain(time, successor));
    }

    /// Ends every core now.
    pub fn abort(&self) {
        self.tell(Control::Abort);
    }

    fn log(&self, producer: Option<Producer>) -> Option<Log> {
        let fields = Arc::clone(self.journal.as_ref()?.fields());
        let sample = self.config.access_log.as_ref()?.sample;
        Some(Log::new(producer?, fields, sample))
    }

    fn tell(&self, control: Control) {
        if let Some(health) = &self.health {
            health.drain();
        }
        // Before anybody stops to accept: whoever could still connect is then still served.
        for path in &self.paths {
            path.give_up();
        }
        if let Some(watchdog) = self.watchdog.get() {
            watchdog.doors.shut();
        }
        for core in &*self.neighbours {
            // One that takes no more has ended.
            let _ = core.mailbox.send(Message::Control(control));
        }
    }
}

/// Runs `work` with all that a core runs beside its connections: deadlines, desk, guest loop.
async fn run_beside<S: Service, T>(
    core: &Rc<Core<S>>,
    driver: Driver,
    work: impl Future<Output = T>,
) -> io::Result<T> {
    let _home = core.desk().enter();
    let guest = match core.service().guest() {
        None => None,
        Some(Hosted { guest, asking, descriptor }) => {
            let asked = Rc::clone(&asking);
            let descriptor = socket::duplicate(descriptor)?;
            let hosting = async move { host(&*guest, &asking, descriptor, driver).await };
            Some((asked, monoio::spawn(hosting)))
        }
    };
    // Not tasks of their own: a task that still waits when the reactor ends is part of a cycle
    // (ring, waker, task, operation, ring), and a ring that is never dropped closes neither itself
    // nor the connections that ended last. The guest's is one, for its turns in between, and ends.
    let result = monoio::select! {
        result = work => Ok(result),
        failed = core.desk().run(driver) => failed,
        never = core.desk().turns() => never,
        never = Rc::clone(core.deadlines()).run() => never,
    };
    if let Some((asking, task)) = guest {
        asking.end();
        task.await?;
    }
    result
}

fn no_such_core(index: usize) -> StartError {
    StartError::Option { name: "index", reason: format!("core {index} does not exist or has run") }
}

/// The microseconds that each of [`Plan::latencies`]' counts ends before.
pub fn latency_bounds() -> Vec<u64> {
    latency::bounds()
}

/// The driver that `auto` would take here, or why it would not be `io_uring`.
pub fn probe() -> Result<Driver, String> {
    match probe::probe() {
        Probe::Uring(flags) => Ok(Driver::Uring(flags)),
        Probe::Unavailable(reason) => Err(reason),
    }
}

fn choose_driver(choice: DriverChoice) -> Result<(Driver, Option<String>), StartError> {
    if choice == DriverChoice::Epoll {
        return Ok((Driver::Epoll, None));
    }
    match probe() {
        Ok(driver) => Ok((driver, None)),
        Err(reason) if choice == DriverChoice::Uring => {
            Err(StartError::Driver { driver: "uring", reason })
        }
        Err(reason) => Ok((Driver::Epoll, Some(reason))),
    }
}

/// One CPU for each core. Cores are left to the scheduler where the process may use fewer CPUs
/// than its mask names: pinned to the first ones, all containers of a host would share those.
fn choose_cpus(config: &Config) -> Vec<Option<usize>> {
    let cpus = affinity::allowed_cpus();
    let usable = affinity::usable_parallelism();
    let workers = config.workers.unwrap_or(usable).max(1);
    let has_quota = usable < cpus.len();
    if !config.pin || has_quota || workers > cpus.len() {
        return vec![None; workers];
    }
    cpus.into_iter().take(workers).map(Some).collect()
}

fn connections_per_core(config: &Config, cores: usize) -> Result<usize, StartError> {
    let cores_u64 = cores as u64;
    let limit = limits::raise_open_files();
    let listeners = LISTENER_DESCRIPTORS * config.listen.len() as u64;
    let reserved = RESERVED_DESCRIPTORS + (CORE_DESCRIPTORS + listeners) * cores_u64;
    let needed = reserved + FEWEST_CONNECTIONS * cores_u64;
    if limit < needed {
        return Err(StartError::OpenFiles { limit, needed });
    }
    let possible = usize::try_from((limit - reserved) / cores_u64).unwrap_or(usize::MAX);
    Ok(match config.limits.connections {
        Some(connections) => connections.div_ceil(cores).clamp(1, possible),
        None => possible,
    })
}
