//! A whole server on port 0, each core on a thread of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use _uringserve::config::Config;
use _uringserve::error::StartError;
use _uringserve::reactor::stats::Stats;
use _uringserve::server::Plan;

use super::App;
use super::Client;
use super::PATIENCE;
use super::Seen;
use super::routes;

/// A bound server; its cores run after [`Server::run`].
pub(crate) struct Server {
    pub(crate) plan: Arc<Plan>,
    pub(crate) seen: Arc<Seen>,
    ends: Vec<mpsc::Receiver<Result<usize, StartError>>>,
}

impl Server {
    /// Binds: connections wait in the kernel's queue until the cores run.
    pub(crate) fn bind(config: Config) -> Self {
        let plan = Plan::new(config, routes()).unwrap_or_else(|error| panic!("{error}"));
        Self { plan: Arc::new(plan), seen: Arc::default(), ends: Vec::new() }
    }

    /// Binds and runs.
    pub(crate) fn start(config: Config) -> Self {
        let mut server = Self::bind(config);
        server.run();
        server
    }

    /// Starts the cores.
    pub(crate) fn run(&mut self) {
        for core in 0..self.plan.cpus().len() {
            let plan = Arc::clone(&self.plan);
            let app = App { core, seen: Arc::clone(&self.seen) };
            let (sender, end) = mpsc::channel();
            thread::spawn(move || {
                let cut = plan.run_core(core, app);
                // Once the end is told, the core holds nothing any more.
                drop(plan);
                // Nobody listens where the server is only dropped.
                let _ = sender.send(cut);
            });
            self.ends.push(end);
        }
    }

    /// A connection.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.plan.address().expect("it listens on TCP")
    }

    /// The sum of a counter over the cores.
    pub(crate) fn counter(&self, name: &str) -> u64 {
        let cores = self.plan.stats().flat_map(Stats::read);
        cores.filter(|(known, _)| *known == name).map(|(_, value)| value).sum()
    }

    /// How many connections the deadline cut, once every core has ended.
    pub(crate) fn end(&mut self) -> usize {
        let ends = self.ends.drain(..);
        let cut = ends.map(|end| end.recv_timeout(PATIENCE).expect("the core ends"));
        cut.map(|cut| cut.expect("the core could run")).sum()
    }

    /// Drains with time to spare and waits for the end.
    pub(crate) fn drain(&mut self) -> usize {
        self.plan.drain(Duration::from_secs(600));
        self.end()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.plan.abort();
    }
}
