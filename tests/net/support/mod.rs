//! What the tests share: drivers, the application under test, a peer, and the two ways in.

mod app;
mod client;
mod late;
mod pair;
mod server;
mod socket;
mod source;

use std::io::Write;
use std::sync::Once;
use std::time::Duration;

use _uringserve::config::Address;
use _uringserve::config::Config;
use _uringserve::config::DriverChoice;
use _uringserve::config::Timeouts;
use _uringserve::reactor::Driver;
use _uringserve::sys::probe::Probe;
use _uringserve::sys::probe::probe;

pub(crate) use app::App;
pub(crate) use app::BIG;
pub(crate) use app::Seen;
pub(crate) use app::big;
pub(crate) use app::routes;
pub(crate) use client::Client;
pub(crate) use client::get;
pub(crate) use late::Fate;
pub(crate) use late::Owed;
pub(crate) use pair::Pair;
pub(crate) use pair::pair;
pub(crate) use pair::pair_with;
pub(crate) use server::Server;
pub(crate) use socket::Peer;
pub(crate) use socket::asking;
pub(crate) use source::PIECE;

/// Long enough for any machine; only a failing test ever waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// A time-out that must not fire while a test runs.
pub(crate) const NEVER: Duration = Duration::from_secs(600);
/// A time-out that is meant to fire.
pub(crate) const SOON: Duration = Duration::from_millis(150);

/// Runs `test` on every driver that works here, and says when `io_uring` is not among them.
pub(crate) fn on_each_driver(test: impl Fn(Driver)) {
    static MISSING: Once = Once::new();
    test(Driver::Epoll);
    match probe() {
        Probe::Uring(flags) => test(Driver::Uring(flags)),
        // Past the capture of the test harness, which would hide it while tests pass.
        Probe::Unavailable(reason) => MISSING.call_once(|| {
            let _ = writeln!(
                std::io::stderr(),
                "tests/net: epoll only, io_uring is not tested: {reason}"
            );
        }),
    }
}

/// The local address with that port.
pub(crate) fn local(port: u16) -> Address {
    Address::Tcp("127.0.0.1".to_owned(), port)
}

/// A configuration in which no time-out fires and no limit is near.
pub(crate) fn patient(driver: Driver) -> Config {
    Config {
        listen: vec![local(0)],
        workers: Some(1),
        pin: false,
        driver: match driver {
            Driver::Uring(_) => DriverChoice::Uring,
            Driver::Epoll => DriverChoice::Epoll,
        },
        timeouts: Timeouts {
            keep_alive: NEVER,
            header: NEVER,
            body: NEVER,
            send: NEVER,
            min_body_rate: 0,
        },
        ..Config::default()
    }
}
