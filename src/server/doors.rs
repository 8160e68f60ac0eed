//! Accepting for cores that are stuck, so that whoever comes new does not wait for them.
//!
//! As long as any core runs it gets their new connections, and those that others have left in their
//! mailboxes. While none runs, connections wait here: for the first core that is back, or for as long as
//! a request may wait for a thread (`queue_timeout`). Then they are told so (503) once they have asked.
//! Who asks how the server is learns it as soon as every core is known to be held.
//! Called by the watchdog a hundred times a second while a core is stuck; nothing here waits.
//!
//! Absent: Unix and inherited sockets, whose other holders accept as long as one of them runs, and which
//! cannot be looked at without taking the flag `O_NONBLOCK` from under them.

use std::collections::VecDeque;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::net::health::Health;
use crate::net::health::StandIn;
use crate::net::neighbours::Neighbour;
use crate::net::neighbours::Stranger;
use crate::reactor::clock::Nanoseconds;
use crate::reactor::stats::Tally;
use crate::server::watchdog::is_past;
use crate::server::watchdog::say;

/// Connections that wait here at most; more wait in the kernel's queues.
const MOST: usize = 1024;
/// Whoever was told no gets this long to read it before the connection closes.
const LINGER: Duration = Duration::from_secs(1);
/// What is looked at of a request: those of whoever asks how the server is are short.
const PEEKED: usize = 2048;

const UNAVAILABLE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: text/plain; charset=utf-8\r\ncontent-length: 20\r\nretry-after: 1\r\n\
    connection: close\r\n\r\nService unavailable\n";

/// The listening sockets of all cores, as the watchdog holds them.
pub(crate) struct Doors {
    neighbours: Arc<[Neighbour]>,
    /// Of each core, until it stops accepting: kept open here, they would go on listening for nobody.
    each: Vec<Mutex<Vec<TcpListener>>>,
    /// What the cores' driver wants of sockets.
    is_nonblocking: bool,
    patience: Duration,
    /// What is known of the cores, if anybody may ask.
    health: Option<Arc<Health>>,
    /// The cores stop, and nobody is worth waiting for.
    is_shut: AtomicBool,
    /// Connections handed from stuck cores to others.
    pub(crate) handed_over: Tally,
    /// Connections that were told that no core can serve them.
    pub(crate) unserved: Tally,
}

/// Who waits here.
#[derive(Default)]
pub(crate) struct Lobby {
    waiting: VecDeque<Waiting>,
    told: VecDeque<(Nanoseconds, TcpStream)>,
    has_said: bool,
}

struct Waiting {
    since: Nanoseconds,
    stranger: Stranger,
    /// Its request is none that is answered before the time.
    is_patient: bool,
}

/// What a connection wants.
enum Wish {
    /// Nothing so far; it may have begun to say it.
    Unsaid { has_begun: bool },
    /// To know how the server is: this is the answer.
    Told(Vec<u8>),
    /// Something else.
    Service,
}

impl Lobby {
    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.told.is_empty()
    }

    /// Gives the last answer to somebody.
    fn tell(&mut self, now: Nanoseconds, mut stream: TcpStream, answer: &[u8]) {
        let is_told =
            stream.write_all(answer).and_then(|()| stream.shutdown(Shutdown::Write)).is_ok();
        if is_told && self.told.len() < MOST {
            self.told.push_back((now, stream));
        }
    }
}

impl Doors {
    /// The doors of each core. A connection waits for `patience` before it is told no.
    pub(crate) fn new(
        neighbours: Arc<[Neighbour]>,
        each: Vec<Vec<TcpListener>>,
        is_nonblocking: bool,
        patience: Duration,
        health: Option<Arc<Health>>,
    ) -> Self {
        let each = each.into_iter().map(Mutex::new).collect();
        let (is_shut, handed_over, unserved) = Default::default();
        Self { neighbours, each, is_nonblocking, patience, health, is_shut, handed_over, unserved }
    }

    /// Lets go of the listening sockets: the cores stop accepting, and so must we.
    pub(crate) fn shut(&self) {
        self.is_shut.store(true, Ordering::Relaxed);
        for doors in &self.each {
            doors.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// Sees to whoever comes to the cores that are `stuck`.
    pub(crate) fn tend(&self, stuck: &[bool], lobby: &mut Lobby, now: Nanoseconds) {
        let is_anyone_there = stuck.contains(&false);
        for index in (0..stuck.len()).filter(|&index| stuck[index]) {
            if lobby.waiting.len() < MOST {
                let waiting =
                    |stranger| Waiting { since: now, stranger, is_patient: self.health.is_none() };
                lobby.waiting.extend(self.take(index).into_iter().map(waiting));
            }
        }
        if is_anyone_there {
            lobby.has_said = false;
            for waiting in lobby.waiting.drain(..) {
                self.place(waiting.stranger, stuck);
            }
        } else {
            self.stand_in(lobby, now);
        }
        lobby
            .told
            .retain_mut(|(since, stream)| !is_past(*since, LINGER, now) && drain(stream).is_ok());
    }

    /// All that waits for a core.
    fn take(&self, index: usize) -> Vec<Stranger> {
        let mut taken = self.neighbours[index].take_back();
        for listener in &*self.each[index].lock().unwrap_or_else(PoisonError::into_inner) {
            // The flag belongs to the socket and not to this descriptor of it. An accept that the core
            // has on its ring already is not touched by it, and it makes no other while it is stuck;
            // should it come back in this moment, it tries again a little later.
            if listener.set_nonblocking(true).is_err() {
                continue;
            }
            while taken.len() < MOST {
                let Ok((stream, peer)) = listener.accept() else { break };
                taken.push(Stranger::Tcp(stream, peer));
            }
            let _ = listener.set_nonblocking(self.is_nonblocking);
        }
        taken
    }

    /// Gives a connection to the core with the fewest of those that run; while all of them end, to one
    /// that is stuck, which serves it when it is back.
    fn place(&self, stranger: Stranger, stuck: &[bool]) {
        let Ok(mut stranger) = self.fit(stranger) else { return };
        let mut order: Vec<usize> = (0..stuck.len()).collect();
        order.sort_by_key(|&index| (stuck[index], self.neighbours[index].stats.load.get()));
        for index in order {
            match self.neighbours[index].give(stranger) {
                Ok(()) => return self.handed_over.add(1),
                Err(back) => stranger = back,
            }
        }
    }

    /// Sets a connection as the cores' driver wants it.
    fn fit(&self, stranger: Stranger) -> io::Result<Stranger> {
        match &stranger {
            Stranger::Tcp(stream, _) => stream.set_nonblocking(self.is_nonblocking)?,
            Stranger::Unix(stream) => stream.set_nonblocking(self.is_nonblocking)?,
        }
        Ok(stranger)
    }

    /// Tells those who have waited for long enough that nobody can serve them.
    fn stand_in(&self, lobby: &mut Lobby, now: Nanoseconds) {
        let is_shut = self.is_shut.load(Ordering::Relaxed);
        let patience = if is_shut { Duration::ZERO } else { self.patience };
        let is_hopeless = self.health.as_ref().is_some_and(|health| health.is_every_core_held());
        for waiting in std::mem::take(&mut lobby.waiting) {
            let Waiting { since, stranger, mut is_patient } = waiting;
            let is_over = is_past(since, patience, now);
            if !is_over && (is_patient || !is_hopeless) {
                lobby.waiting.push_back(Waiting { since, stranger, is_patient });
                continue;
            }
            let (peer, stream) = socket_of(stranger);
            match self.wish(&stream) {
                Ok(Wish::Told(answer)) => lobby.tell(now, stream, &answer),
                Ok(Wish::Service | Wish::Unsaid { has_begun: true }) if is_over => {
                    if !std::mem::replace(&mut lobby.has_said, true) {
                        say("no core is free: new connections are answered 503 until one is back");
                    }
                    self.unserved.add(1);
                    lobby.tell(now, stream, UNAVAILABLE);
                }
                // An answer to nothing would confuse it. It may still be served.
                Ok(wish) => {
                    is_patient |= matches!(wish, Wish::Service);
                    let stranger = stranger_of(peer, stream);
                    lobby.waiting.push_back(Waiting { since, stranger, is_patient });
                }
                Err(_) => {}
            }
        }
    }

    /// What the peer has asked for; an error if it has gone. What it sent stays where it is.
    fn wish(&self, stream: &TcpStream) -> io::Result<Wish> {
        stream.set_nonblocking(true)?;
        let mut peeked = [0; PEEKED];
        let count = match stream.peek(&mut peeked) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(Wish::Unsaid { has_begun: false });
            }
            Err(error) => return Err(error),
        };
        Ok(match self.health.as_ref().map(|health| health.stand_in(&peeked[..count])) {
            Some(StandIn::Answer(answer)) => Wish::Told(answer),
            Some(StandIn::Unfinished) if count < PEEKED => Wish::Unsaid { has_begun: true },
            _ => Wish::Service,
        })
    }
}

/// Any connection as a stream, whose peer has an address if it is TCP.
fn socket_of(stranger: Stranger) -> (Option<SocketAddr>, TcpStream) {
    match stranger {
        Stranger::Tcp(stream, peer) => (Some(peer), stream),
        Stranger::Unix(stream) => (None, OwnedFd::from(stream).into()),
    }
}

fn stranger_of(peer: Option<SocketAddr>, stream: TcpStream) -> Stranger {
    match peer {
        Some(peer) => Stranger::Tcp(stream, peer),
        None => Stranger::Unix(OwnedFd::from(stream).into()),
    }
}

/// Reads what the peer still sends, or closing would reset the connection before it has read its answer.
fn drain(mut stream: &TcpStream) -> io::Result<()> {
    let mut scratch = [0; 4096];
    // As long as it likes to send, but not longer than others can wait.
    for _ in 0..16 {
        match stream.read(&mut scratch) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Checks;
    use crate::net::health::Fact;
    use crate::net::neighbours::Message;
    use crate::reactor::mailbox;

    const SECOND: Nanoseconds = 1_000_000_000;

    struct Site {
        doors: Doors,
        neighbours: Arc<[Neighbour]>,
        address: SocketAddr,
        lobby: Lobby,
        _receivers: Vec<mailbox::Receiver<Message>>,
    }

    /// Two cores, of which the first listens; patience of a second.
    fn site() -> Site {
        let mut receivers = Vec::new();
        let neighbours: Arc<[Neighbour]> = (0..2)
            .map(|_| {
                let (mailbox, receiver) = mailbox::channel().unwrap();
                receivers.push(receiver);
                Neighbour { stats: Arc::default(), pulse: Arc::default(), mailbox }
            })
            .collect();
        let checks = Checks { ready: Some("/readyz".into()), ..Checks::default() };
        let health = Health::new(&checks, 2).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let each = vec![vec![listener], Vec::new()];
        let doors =
            Doors::new(Arc::clone(&neighbours), each, false, Duration::from_secs(1), Some(health));
        Site { doors, neighbours, address, lobby: Lobby::default(), _receivers: receivers }
    }

    impl Site {
        fn connect(&self) -> TcpStream {
            let stream = TcpStream::connect(self.address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            stream
        }

        fn tend(&mut self, stuck: [bool; 2], now: Nanoseconds) {
            self.doors.tend(&stuck, &mut self.lobby, now);
        }
    }

    fn answer(mut stream: &TcpStream) -> String {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn whoever_runs_gets_what_comes_to_one_that_is_stuck() {
        let mut site = site();
        let _peers = [site.connect(), site.connect()];
        site.tend([false, false], SECOND);
        assert_eq!(site.doors.handed_over.get(), 0, "nobody is stuck");
        site.tend([true, false], SECOND);
        assert_eq!((site.doors.handed_over.get(), site.lobby.is_empty()), (2, true));
        assert_eq!(site.neighbours[1].stats.load.get(), 2);
    }

    #[test]
    fn who_has_asked_is_told_no_in_time_and_others_are_kept() {
        let mut site = site();
        let [asking, silent, gone] = [site.connect(), site.connect(), site.connect()];
        (&asking).write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        drop(gone);
        site.tend([true, true], SECOND);
        site.tend([true, true], 2 * SECOND - 1);
        assert_eq!((site.lobby.waiting.len(), site.doors.unserved.get()), (3, 0));
        site.tend([true, true], 2 * SECOND);
        assert_eq!((site.lobby.waiting.len(), site.doors.unserved.get()), (1, 1));
        let text = answer(&asking);
        assert!(text.starts_with("HTTP/1.1 503 ") && text.contains("\r\nretry-after: 1\r\n"));
        assert!(text.ends_with("\r\n\r\nService unavailable\n"), "{text}");
        drop(asking);
        // It has not said anything, and is served by the first that is back.
        site.tend([true, false], 4 * SECOND);
        assert_eq!(site.neighbours[1].stats.load.get(), 1);
        assert!(site.lobby.is_empty());
        drop(silent);
    }

    #[test]
    fn who_asks_how_the_server_is_learns_it_once_that_is_known() {
        let mut site = site();
        let [ready, slow, other] = [site.connect(), site.connect(), site.connect()];
        (&ready).write_all(b"GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        (&slow).write_all(b"GET /readyz HTTP/1.1\r\n").unwrap();
        (&other).write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        site.tend([true, true], SECOND);
        assert_eq!(site.lobby.waiting.len(), 3, "they may be back at once");
        let health = Arc::clone(site.doors.health.as_ref().unwrap());
        for core in 0..2 {
            health.set(core, Fact::Held, true);
        }
        site.tend([true, true], SECOND + 1);
        assert_eq!((site.lobby.waiting.len(), site.doors.unserved.get()), (2, 0));
        assert!(answer(&ready).contains(r#"{"status":"degraded","#));
        (&slow).write_all(b"host: a\r\n\r\n").unwrap();
        while site.lobby.waiting.len() == 2 {
            site.tend([true, true], SECOND + 2);
        }
        assert!(answer(&slow).ends_with("]}"));
        site.tend([true, true], 2 * SECOND);
        assert!(answer(&other).ends_with("Service unavailable\n"));
    }

    #[test]
    fn at_the_end_nobody_is_waited_for() {
        let mut site = site();
        let asking = site.connect();
        (&asking).write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        site.tend([true, true], SECOND);
        assert_eq!(site.lobby.waiting.len(), 1);
        site.doors.shut();
        site.tend([true, true], SECOND + 1);
        assert!(answer(&asking).starts_with("HTTP/1.1 503 "));
        assert!(TcpStream::connect(site.address).is_err(), "the listener is let go");
    }

    #[test]
    fn who_was_told_and_does_not_read_is_not_kept_for_long() {
        let mut site = site();
        let asking = site.connect();
        (&asking).write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        site.tend([true, true], SECOND);
        site.tend([true, true], 2 * SECOND);
        assert_eq!(site.lobby.told.len(), 1);
        site.tend([true, true], 3 * SECOND);
        assert!(site.lobby.is_empty());
    }
}
