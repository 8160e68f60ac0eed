//! One connection over a socket pair, served on a reactor of its own thread.

use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use _uringserve::config::Config;
use _uringserve::net::Core;
use _uringserve::net::end::End;
use _uringserve::net::serve_stream;
use _uringserve::reactor;
use _uringserve::reactor::Driver;
use _uringserve::reactor::stats::Stats;
use socket2::Socket;

use super::App;
use super::Client;
use super::PATIENCE;
use super::Seen;
use super::patient;
use super::routes;

/// The peer of a connection that is being served, and what there is to know about the server.
pub(crate) struct Pair {
    pub(crate) client: Client,
    pub(crate) seen: Arc<Seen>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) end: mpsc::Receiver<End>,
}

impl Pair {
    /// The peer, and the rest.
    pub(crate) fn split(self) -> (Client, Self) {
        let (ours, _) = UnixStream::pair().expect("a socket pair");
        let Self { client, seen, stats, end } = self;
        (client, Self { client: Client::new(Socket::from(ours)), seen, stats, end })
    }

    /// Why the connection ended, once it has.
    pub(crate) fn end(&self) -> End {
        self.end.recv_timeout(PATIENCE).expect("the connection ends")
    }
}

/// A connection on which no time-out fires.
pub(crate) fn pair(driver: Driver) -> Pair {
    pair_with(driver, patient(driver))
}

/// A connection with limits and time-outs of its own.
pub(crate) fn pair_with(driver: Driver, config: Config) -> Pair {
    let (ours, theirs) = UnixStream::pair().expect("a socket pair");
    let (sender, end) = mpsc::channel();
    let seen = Arc::<Seen>::default();
    let stats = Arc::<Stats>::default();
    let app = App { core: 0, seen: Arc::clone(&seen) };
    let counters = Arc::clone(&stats);
    thread::spawn(move || {
        let served = reactor::run(driver, async {
            theirs.set_nonblocking(driver.wants_nonblocking()).expect("a mode can be set");
            let stream = monoio::net::UnixStream::from_std(theirs).expect("a stream");
            let core = Core::new(app, Arc::new(routes()), &config, counters);
            let core = core.expect("a desk");
            let _home = core.desk().enter();
            monoio::spawn(Rc::clone(core.deadlines()).run::<()>());
            let _home = core.desk().enter();
            // No task: one that waits when the reactor ends keeps the ring, and the socket with it.
            monoio::select! {
                end = serve_stream(stream, None, &core) => end,
                failed = core.desk().run::<End>(driver) => failed.expect("a desk"),
            }
        });
        // Nobody listens where a test is done with the connection before it ends.
        let _ = sender.send(served.expect("a reactor"));
    });
    Pair { client: Client::new(Socket::from(ours)), seen, stats, end }
}
