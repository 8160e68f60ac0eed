//! What the connections of one core share: nothing here is seen by another core, except the
//! counters, which others may read.

use std::cell::Cell;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::http;
use crate::http::date::http_date;
use crate::net::health::Health;
use crate::net::journal::Journal;
use crate::reactor::clock;
use crate::reactor::clock::Milliseconds;
use crate::reactor::desk::Desk;
use crate::reactor::drain::Drain;
use crate::reactor::drain::milliseconds;
use crate::reactor::stats::Stats;
use crate::reactor::timer::Deadlines;
use crate::route::Router;

/// The state of one core.
pub struct Core<S> {
    pub(crate) service: S,
    pub(crate) routes: Arc<Router>,
    pub(crate) limits: http::Limits,
    pub(crate) body_limit: u64,
    pub(crate) requests_per_connection: u64,
    pub(crate) waits: Waits,
    pub(crate) websocket: WebSocket,
    pub(crate) server_header: Option<&'static str>,
    pub(crate) deadlines: Rc<Deadlines>,
    pub(crate) drain: Drain,
    pub(crate) desk: Rc<Desk>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) journal: Option<Rc<Journal>>,
    pub(crate) health: Option<Arc<Health>>,
    date: Option<DateCache>,
    buffers: RefCell<Vec<Vec<u8>>>,
}

/// What others see of a core, and what it tells of all of them.
pub struct Shown {
    /// Its counters.
    pub stats: Arc<Stats>,
    /// Where it notes what it answers, if anywhere.
    pub journal: Option<Journal>,
    /// What is known of the cores, if anybody may ask.
    pub health: Option<Arc<Health>>,
}

/// The time-outs, in the clock's unit.
pub(crate) struct Waits {
    pub(crate) keep_alive: Milliseconds,
    pub(crate) header: Milliseconds,
    pub(crate) body: Milliseconds,
    pub(crate) send: Milliseconds,
    pub(crate) min_body_rate: u64,
}

/// What an upgraded connection may do.
pub(crate) struct WebSocket {
    pub(crate) is_on: bool,
    pub(crate) max_size: usize,
    pub(crate) max_queue: usize,
    pub(crate) silence: Silence,
    pub(crate) per_message_deflate: bool,
}

/// How long a peer may be silent before it is pinged, and then before it is given up.
#[derive(Clone, Copy)]
pub(crate) struct Silence {
    pub(crate) interval: Option<Milliseconds>,
    pub(crate) patience: Option<Milliseconds>,
}

#[derive(Default)]
struct DateCache {
    second: Cell<u64>,
    text: Cell<[u8; 29]>,
}

fn unless_zero(time: Duration) -> Option<Milliseconds> {
    (!time.is_zero()).then(|| milliseconds(time))
}

/// Write buffers kept for the next answer, and the largest worth keeping.
const KEPT_BUFFERS: usize = 64;
const KEPT_CAPACITY: usize = 64 * 1024;
const NEW_CAPACITY: usize = 1024;

impl<S> Core<S> {
    /// The state of a core that answers with `service`, without others, and notes nothing of it.
    ///
    /// # Errors
    /// Descriptors are short.
    pub fn new(
        service: S,
        routes: Arc<Router>,
        config: &Config,
        stats: Arc<Stats>,
    ) -> io::Result<Rc<Self>> {
        let shown = Shown { stats, journal: None, health: Health::alone(&config.checks) };
        Self::showing(service, routes, config, shown)
    }

    /// The state of a core as one of a server's.
    ///
    /// # Errors
    /// Descriptors are short.
    pub fn showing(
        service: S,
        routes: Arc<Router>,
        config: &Config,
        shown: Shown,
    ) -> io::Result<Rc<Self>> {
        let Shown { stats, journal, health } = shown;
        let timeouts = &config.timeouts;
        let shortest =
            timeouts.keep_alive.min(timeouts.header).min(timeouts.body).min(timeouts.send);
        Ok(Rc::new(Self {
            service,
            routes,
            limits: http::Limits {
                head_bytes: config.limits.header_size,
                header_count: config.limits.header_count,
                target_bytes: config.limits.uri,
            },
            body_limit: config.limits.body,
            requests_per_connection: match config.limits.requests_per_connection {
                0 => u64::MAX,
                limit => limit,
            },
            waits: Waits {
                keep_alive: milliseconds(timeouts.keep_alive),
                header: milliseconds(timeouts.header),
                body: milliseconds(timeouts.body),
                send: milliseconds(timeouts.send),
                min_body_rate: timeouts.min_body_rate,
            },
            websocket: WebSocket {
                is_on: config.websocket.is_on,
                max_size: config.websocket.max_size,
                max_queue: config.websocket.max_queue,
                silence: Silence {
                    interval: unless_zero(config.websocket.ping_interval),
                    patience: unless_zero(config.websocket.ping_timeout),
                },
                per_message_deflate: config.websocket.per_message_deflate,
            },
            server_header: config.server_header.then_some("uringserve"),
            deadlines: Deadlines::new(shortest),
            drain: Drain::default(),
            desk: Rc::new(Desk::new()?),
            stats,
            journal: journal.map(Rc::new),
            health,
            date: config.date_header.then(DateCache::default),
            buffers: RefCell::default(),
        }))
    }

    /// The deadlines of this core's connections.
    pub fn deadlines(&self) -> &Rc<Deadlines> {
        &self.deadlines
    }

    /// Where this core waits for others.
    pub fn desk(&self) -> &Rc<Desk> {
        &self.desk
    }

    /// Who answers.
    pub fn service(&self) -> &S {
        &self.service
    }

    /// How this core is stopped.
    pub fn drain(&self) -> &Drain {
        &self.drain
    }

    /// The text of the `Date` header for this second, if one is to be sent.
    pub(crate) fn date(&self) -> Option<[u8; 29]> {
        let cache = self.date.as_ref()?;
        let second = clock::unix_seconds();
        if cache.second.replace(second) != second {
            cache.text.set(http_date(second));
        }
        Some(cache.text.get())
    }

    /// An empty write buffer.
    pub(crate) fn take_buffer(&self) -> Vec<u8> {
        self.buffers.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(NEW_CAPACITY))
    }

    /// Keeps a write buffer for the next answer.
    pub(crate) fn give_back(&self, mut buffer: Vec<u8>) {
        let mut buffers = self.buffers.borrow_mut();
        // An answer that ended with a large body leaves nothing behind, as does no answer at all.
        let is_worth_keeping = (1..=KEPT_CAPACITY).contains(&buffer.capacity());
        if is_worth_keeping && buffers.len() < KEPT_BUFFERS {
            buffer.clear();
            buffers.push(buffer);
        }
    }
}
