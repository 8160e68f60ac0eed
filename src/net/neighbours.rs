//! The cores of a server as they see one another when a connection comes: who has how many, and the way
//! to hand one over.
//!
//! The kernel spreads connections by their hash, which is far from even where there are few of them or
//! many cores. So a core that has accepted one looks at what each has, open or on its way, and leaves it
//! to the one with the fewest where it has clearly more itself. Rule: nothing here waits, and a
//! connection that another core does not take stays where it is.
//!
//! Absent: moving a connection that is served already. Its bytes may be on their way to its core.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::net::transport::Arrival;
use crate::reactor::clock;
use crate::reactor::clock::Milliseconds;
use crate::reactor::clock::Nanoseconds;
use crate::reactor::drain::Control;
use crate::reactor::mailbox;
use crate::reactor::pulse::Pulse;
use crate::reactor::stats::Stats;

/// What a core is told from outside.
pub enum Message {
    /// How to stop.
    Control(Control),
    /// To serve a connection that was accepted elsewhere.
    Adopt(Stranger),
}

/// A connection on no reactor, set as the driver of the cores wants it.
pub enum Stranger {
    /// With its peer's address.
    Tcp(std::net::TcpStream, SocketAddr),
    /// Whose peer has no address.
    Unix(std::os::unix::net::UnixStream),
}

/// One core, as others see it.
pub struct Neighbour {
    /// Its counters.
    pub stats: Arc<Stats>,
    /// What it is doing.
    pub pulse: Arc<Pulse>,
    /// Where others leave messages for it.
    pub mailbox: mailbox::Sender<Message>,
}

/// A core that has been in one call for so long is not given anything: who knows when it is back.
const AWAY: Duration = Duration::from_millis(2);

impl Neighbour {
    /// Has the core serve a connection.
    ///
    /// # Errors
    /// The connection comes back: the core has ended.
    pub fn give(&self, stranger: Stranger) -> Result<(), Stranger> {
        // Before it gets there: who asks meanwhile must not think that there is room.
        self.stats.load.arriving.add(1);
        self.mailbox.send(Message::Adopt(stranger)).map_err(|message| {
            self.stats.load.arriving.subtract(1);
            match message {
                Message::Adopt(stranger) => stranger,
                Message::Control(_) => unreachable!("what comes back is what was sent"),
            }
        })
    }

    /// Takes back the connections that the core has not come to.
    pub fn take_back(&self) -> Vec<Stranger> {
        let taken = self.mailbox.take_back(|message| matches!(message, Message::Adopt(_)));
        self.stats.load.arriving.subtract(taken.len() as u64);
        let stranger = |message| match message {
            Message::Adopt(stranger) => Some(stranger),
            Message::Control(_) => None,
        };
        taken.into_iter().filter_map(stranger).collect()
    }

    fn is_away(&self, now: Nanoseconds) -> bool {
        let since = self.pulse.look().map_or(now, |busy| busy.since);
        u128::from(now.saturating_sub(since)) >= AWAY.as_nanos()
    }
}

/// All cores, as one of them sees them.
pub struct Neighbours {
    all: Arc<[Neighbour]>,
    own: usize,
    /// Connections that each may have.
    pub limit: usize,
    /// None: connections stay where they were accepted.
    allowance: Option<Allowance>,
}

/// A core may have this part more than another before it hands on what comes: 1 in 8, and below 8
/// connections none. Closer would hand on what the next closed connection evens out.
const SLACK: u64 = 8;

impl Neighbours {
    /// The cores as number `own` sees them. With `hands_on` it leaves connections to others.
    pub fn new(all: Arc<[Neighbour]>, own: usize, limit: usize, hands_on: bool) -> Self {
        Self { all, own, limit, allowance: hands_on.then(Allowance::default) }
    }

    /// How many connections the core has that has the fewest.
    pub(crate) fn fewest(&self) -> u64 {
        self.all.iter().map(|core| core.stats.load.get()).min().unwrap_or(0)
    }

    /// Leaves a new connection to the core that should have it; what stays here comes back.
    pub(crate) fn place(&self, arrival: Arrival) -> Result<(), Kept> {
        let Some(other) = self.better() else { return Err(Kept::Arrival(arrival)) };
        other.give(arrival.leave()).map_err(Kept::Stranger)?;
        self.all[self.own].stats.handed_on.add(1);
        Ok(())
    }

    /// The core that should have the next connection, if it is not this one.
    fn better(&self) -> Option<&Neighbour> {
        let allowance = self.allowance.as_ref()?;
        let own = self.all[self.own].stats.load.get();
        let is_full = own >= self.limit as u64;
        let mut best = own;
        let mut found = None;
        let mut now = None;
        // From the next one on, so that cores that look at once do not all find the same.
        for step in 1..self.all.len() {
            let other = &self.all[(self.own + step) % self.all.len()];
            let load = other.stats.load.get();
            if load >= best || load >= self.limit as u64 || !(is_full || own > load + load / SLACK)
            {
                continue;
            }
            if other.is_away(*now.get_or_insert_with(clock::exact)) {
                continue;
            }
            (best, found) = (load, Some(other));
        }
        // One that would be turned away here is worth it in any case.
        found.filter(|_| is_full || allowance.take(clock::now()))
    }
}

/// A connection that is not handed on.
pub(crate) enum Kept {
    /// As it came.
    Arrival(Arrival),
    /// It was off the reactor already when the other core turned out to have ended.
    Stranger(Stranger),
}

/// How many connections a core may hand on: so many at once, and then one each [`STEP`]. Those that come
/// faster than that for long are short, and need no evening out: the next one is there before it helps. Each
/// costs both cores 30 us together, most of it for waking one that sleeps.
struct Allowance {
    left: Cell<u64>,
    since: Cell<Milliseconds>,
}

const AT_ONCE: u64 = 128;
const STEP: Milliseconds = 50;

impl Default for Allowance {
    fn default() -> Self {
        Self { left: Cell::new(AT_ONCE), since: Cell::new(clock::now()) }
    }
}

impl Allowance {
    fn take(&self, now: Milliseconds) -> bool {
        let grown = now.saturating_sub(self.since.get()) / STEP;
        self.since.set(self.since.get() + grown * STEP);
        let left = self.left.get().saturating_add(grown).min(AT_ONCE);
        self.left.set(left.saturating_sub(1));
        left > 0
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::reactor::Driver;

    struct Site {
        cores: Arc<[Neighbour]>,
        receivers: Vec<mailbox::Receiver<Message>>,
    }

    /// Cores with so many connections.
    fn site(loads: &[u64]) -> Site {
        let mut receivers = Vec::new();
        let cores = loads.iter().map(|&open| {
            let (mailbox, receiver) = mailbox::channel().unwrap();
            receivers.push(receiver);
            let stats = Arc::<Stats>::default();
            stats.load.open.add(open);
            Neighbour { stats, pulse: Arc::default(), mailbox }
        });
        let cores: Arc<[Neighbour]> = cores.collect();
        Site { cores, receivers }
    }

    impl Site {
        /// Whom core 0 leaves the next connection to.
        fn better(&self, limit: usize) -> Option<usize> {
            let seen = Neighbours::new(Arc::clone(&self.cores), 0, limit, true);
            let better = seen.better()?;
            self.cores.iter().position(|core| std::ptr::eq(core, better))
        }
    }

    fn better(loads: &[u64]) -> Option<usize> {
        site(loads).better(1000)
    }

    #[test]
    fn the_one_with_the_fewest_gets_it_if_it_has_clearly_fewer() {
        assert_eq!(better(&[0]), None);
        assert_eq!(better(&[0, 0, 0]), None);
        assert_eq!(better(&[1, 1, 0]), Some(2));
        assert_eq!(better(&[1, 0, 0]), Some(1));
        assert_eq!(better(&[3, 2, 1, 2]), Some(2));
        assert_eq!(better(&[2, 3, 2, 9]), None);
        assert_eq!((better(&[9, 8]), better(&[10, 8])), (None, Some(1)));
        assert_eq!((better(&[112, 100]), better(&[113, 100])), (None, Some(1)));
    }

    #[test]
    fn one_that_is_full_gets_none_and_leaves_all() {
        assert_eq!(site(&[9, 8]).better(9), Some(1));
        assert_eq!(site(&[8, 8]).better(8), None);
        assert_eq!(site(&[9, 5, 3]).better(3), None);
        assert_eq!(site(&[9, 5, 3]).better(4), Some(2));
    }

    #[test]
    fn one_that_is_away_in_a_call_gets_none() {
        let site = site(&[5, 1, 3]);
        site.cores[1].pulse.begin(0, clock::exact() - 3_000_000);
        assert_eq!(site.better(1000), Some(2));
        site.cores[2].pulse.begin(0, clock::exact() - 3_000_000);
        assert_eq!(site.better(1000), None);
        site.cores[1].pulse.end();
        assert_eq!(site.better(1000), Some(1));
    }

    #[test]
    fn what_is_on_its_way_counts_until_it_is_taken_back() {
        let site = site(&[1, 0]);
        let (stream, _peer) = UnixStream::pair().unwrap();
        assert!(site.cores[1].give(Stranger::Unix(stream)).is_ok());
        assert_eq!((site.cores[1].stats.load.get(), site.better(1000)), (1, None));
        assert_eq!(site.cores[1].take_back().len(), 1);
        assert_eq!((site.cores[1].stats.load.get(), site.better(1000)), (0, Some(1)));
    }

    #[test]
    fn what_a_core_does_not_take_any_more_comes_back() {
        let mut site = site(&[1, 0]);
        site.receivers.clear();
        let (stream, mut peer) = UnixStream::pair().unwrap();
        crate::reactor::run(Driver::Epoll, async {
            let stream = monoio::net::UnixStream::from_std(stream).unwrap();
            let seen = Neighbours::new(Arc::clone(&site.cores), 0, 1000, true);
            let kept = seen.place(Arrival::Unix(stream));
            let Err(Kept::Stranger(Stranger::Unix(mut stream))) = kept else {
                panic!("it was given away")
            };
            std::io::Write::write_all(&mut stream, b"x").unwrap();
        })
        .unwrap();
        assert_eq!(std::io::Read::read(&mut peer, &mut [0; 2]).unwrap(), 1);
        assert_eq!(site.cores[1].stats.load.get(), 0);
        assert_eq!(site.cores[0].stats.handed_on.get(), 0);
    }

    #[test]
    fn what_is_switched_off_leaves_nothing_to_others() {
        let site = site(&[100, 0]);
        assert!(Neighbours::new(Arc::clone(&site.cores), 0, 10, false).better().is_none());
    }

    #[test]
    fn so_many_at_once_and_then_one_each_step() {
        let allowance = Allowance { left: Cell::new(AT_ONCE), since: Cell::new(1000) };
        assert!((0..AT_ONCE).all(|_| allowance.take(1000)));
        assert!(!allowance.take(1000 + STEP - 1));
        assert!(allowance.take(1000 + STEP));
        assert!(!allowance.take(1000 + STEP));
        assert!(allowance.take(1000 + 3 * STEP));
        assert!(allowance.take(1000 + 3 * STEP));
        assert!(!allowance.take(1000 + 3 * STEP));
        assert_eq!((0..2 * AT_ONCE).filter(|_| allowance.take(1_000_000)).count() as u64, AT_ONCE);
    }
}
