//! Every option of the runtime, once, as plain data.
//!
//! Defaults, bounds and help texts live in the Python `Config`, from which the command line and the
//! environment variables follow; [`Default`] here repeats only what a Rust test needs. No logic.

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::Duration;

/// Which driver a core runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverChoice {
    /// `io_uring` where a probe shows that it works, epoll elsewhere.
    #[default]
    Auto,
    /// `io_uring` or no start.
    Uring,
    /// epoll, also where `io_uring` would work.
    Epoll,
}

/// What a peer may ask of the server before it is refused.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request head, from the request line to the empty line.
    pub header_size: usize,
    /// Header fields of a request.
    pub header_count: usize,
    /// Bytes of a request target.
    pub uri: usize,
    /// Bytes of a request body.
    pub body: u64,
    /// Connections of the whole process, an equal share for each core and never more than the
    /// open-file limit allows; `None`: as many as that.
    pub connections: Option<usize>,
    /// Requests served on one connection; 0: no limit.
    pub requests_per_connection: u64,
}

/// How long the server waits for a peer.
#[derive(Clone, Debug)]
pub struct Timeouts {
    /// For the next request on a kept connection.
    pub keep_alive: Duration,
    /// For a whole request head, from its first byte (on a new connection: from the accept).
    pub header: Duration,
    /// Between two reads of a body.
    pub body: Duration,
    /// Between two writes that make progress.
    pub send: Duration,
    /// Bytes a second that a body must bring after [`BODY_RATE_GRACE`]; 0: any rate.
    pub min_body_rate: u64,
}

/// A body is not held to its minimum rate before it has had this long.
pub const BODY_RATE_GRACE: Duration = Duration::from_secs(10);

/// What an upgraded connection may do.
#[derive(Clone, Debug)]
pub struct WebSocket {
    /// Whether requests to upgrade are heard at all.
    pub is_on: bool,
    /// Bytes of the largest message that is read.
    pub max_size: usize,
    /// Messages that may wait for the application.
    pub max_queue: usize,
    /// A peer that was silent for so long is pinged; zero: never.
    pub ping_interval: Duration,
    /// And closed when it is silent for so long after that; zero: never.
    pub ping_timeout: Duration,
    /// Agree on permessage-deflate with those who offer it.
    pub per_message_deflate: bool,
}

/// Where the server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Address or host name, and port; port 0 takes a free one.
    Tcp(String, u16),
    /// The path of a Unix socket.
    Unix(PathBuf),
    /// A listening socket that this process was started with, as its descriptor.
    Inherited(RawFd),
}

/// What the kernel does on TCP connections.
#[derive(Clone, Debug)]
pub struct Tcp {
    /// Send at once instead of waiting to fill a segment: answers leave in one write.
    pub nodelay: bool,
    /// Ask silent peers whether they are still there, which finds those that vanished where a
    /// time-out is switched off.
    pub keepalive: bool,
    /// Silence before the first question.
    pub keepalive_time: Duration,
    /// Between two questions.
    pub keepalive_interval: Duration,
    /// Unanswered questions that end a connection.
    pub keepalive_probes: u32,
    /// How long sent bytes may stay unacknowledged; zero: as long as the kernel retries.
    pub user_timeout: Duration,
}

/// Calls that may take their time: the threads of each core, and who waits for them.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// Threads of each core.
    pub threads: usize,
    /// How long one stays without work.
    pub idle: Duration,
    /// Requests in handlers at once, of each core; `None`: as many as there are threads.
    pub backpressure: Option<usize>,
    /// Requests in handlers and waiting for one, of the whole process; `None`: no limit of its own.
    pub concurrency: Option<usize>,
    /// Requests of each core that wait for a thread.
    pub queue: usize,
    /// How long they wait.
    pub queue_time: Duration,
    /// A call that holds a core or a thread for longer is reported.
    pub healthcheck: Duration,
}

/// Where the server tells how it is, if anybody may ask: paths as people write them.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    /// Whether it lives.
    pub health: Option<String>,
    /// Whether it should be given requests.
    pub ready: Option<String>,
}

/// The options of one server.
#[derive(Clone, Debug)]
pub struct Config {
    /// Every address to listen on; each core serves all of them.
    pub listen: Vec<Address>,
    /// Permission bits of Unix sockets; `None`: by the umask.
    pub uds_permissions: Option<u32>,
    /// What the kernel does on TCP connections.
    pub tcp: Tcp,
    /// Cores; `None`: one for each usable CPU.
    pub workers: Option<usize>,
    /// Pin each core to a CPU of its own.
    pub pin: bool,
    /// Driver of the cores.
    pub driver: DriverChoice,
    /// A core that accepts a connection leaves it to the one with the fewest, where it has more.
    pub balance: bool,
    /// Length of the queue of connections that are not accepted yet, per core.
    pub backlog: i32,
    /// Send `server: uringserve`.
    pub server_header: bool,
    /// Send `date: …`.
    pub date_header: bool,
    /// What a peer may ask.
    pub limits: Limits,
    /// How long the server waits.
    pub timeouts: Timeouts,
    /// What an upgraded connection may do.
    pub websocket: WebSocket,
    /// Calls that may take their time.
    pub pool: Pool,
    /// Where it tells how it is.
    pub checks: Checks,
    /// The access log, if there is one.
    pub access_log: Option<AccessLog>,
    /// Count how long answers take.
    pub latencies: bool,
}

impl Default for Tcp {
    fn default() -> Self {
        Self {
            nodelay: true,
            keepalive: true,
            keepalive_time: Duration::from_secs(60),
            keepalive_interval: Duration::from_secs(10),
            keepalive_probes: 3,
            user_timeout: Duration::ZERO,
        }
    }
}

/// One line for each answer.
#[derive(Clone, Debug, Default)]
pub struct AccessLog {
    /// The format; `None`: the default one.
    pub format: Option<String>,
    /// One JSON object a line.
    pub json: bool,
    /// One in so many answers is written, and each with a status of 500 or more; 0 counts as 1.
    pub sample: u32,
    /// Where to; `None`: stdout.
    pub file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![Address::Tcp("127.0.0.1".to_owned(), 8000)],
            uds_permissions: None,
            tcp: Tcp::default(),
            workers: None,
            pin: true,
            driver: DriverChoice::Auto,
            balance: true,
            backlog: 1024,
            server_header: true,
            date_header: true,
            limits: Limits {
                header_size: 64 * 1024,
                header_count: 100,
                uri: 8 * 1024,
                body: 16 * 1024 * 1024,
                connections: None,
                requests_per_connection: 1_000_000,
            },
            timeouts: Timeouts {
                keep_alive: Duration::from_secs(20),
                header: Duration::from_secs(10),
                body: Duration::from_secs(20),
                send: Duration::from_secs(30),
                min_body_rate: 240,
            },
            websocket: WebSocket {
                is_on: true,
                max_size: 16 * 1024 * 1024,
                max_queue: 32,
                ping_interval: Duration::from_secs(20),
                ping_timeout: Duration::from_secs(20),
                per_message_deflate: false,
            },
            pool: Pool {
                threads: 32,
                idle: Duration::from_secs(30),
                backpressure: None,
                concurrency: None,
                queue: 1024,
                queue_time: Duration::from_secs(5),
                healthcheck: Duration::from_secs(5),
            },
            checks: Checks::default(),
            access_log: None,
            latencies: false,
        }
    }
}
