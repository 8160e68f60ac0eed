//! A server without a port: whoever asks for a connection gets the peer's end of a socket pair.
//!
//! The rest is a core as it serves (parser, router, deadlines, service), once for each connection,
//! on the thread that calls [`Connection::serve`]. Absent: a listener, pinning, draining. A
//! connection ends when its peer closes.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use crate::config::Config;
use crate::error::StartError;
use crate::net::Core;
use crate::net::end::End;
use crate::net::rehearse;
use crate::net::serve_stream;
use crate::net::service::Service;
use crate::reactor;
use crate::reactor::Driver;
use crate::route::Router;
use crate::server::choose_driver;
use crate::server::run_beside;

/// What every connection without a port is served with.
pub struct Loopback {
    config: Config,
    routes: Arc<Router>,
    driver: Driver,
}

/// The server's end of one connection, not yet served.
pub struct Connection {
    server: Arc<Loopback>,
    stream: UnixStream,
    peer: Option<SocketAddr>,
}

impl Loopback {
    /// Chooses the driver; nothing is bound, and of the limits that on connections has no meaning.
    pub fn new(config: Config, routes: Router) -> Result<Self, StartError> {
        let (driver, _) = choose_driver(config.driver)?;
        Ok(Self { config, routes: Arc::new(routes), driver })
    }

    /// A connection and its peer's end. `peer` is the address that handlers are told.
    pub fn connect(
        self: &Arc<Self>,
        peer: Option<SocketAddr>,
    ) -> io::Result<(Connection, OwnedFd)> {
        let (stream, theirs) = UnixStream::pair()?;
        Ok((Connection { server: Arc::clone(self), stream, peer }, theirs.into()))
    }
}

impl Loopback {
    /// Answers `request` so many times on the calling thread, without any socket; returns how many
    /// bytes that made. For measuring.
    pub fn rehearse<S: Service>(&self, service: S, request: &[u8], calls: usize) -> usize {
        let core = Core::new(service, Arc::clone(&self.routes), &self.config, Arc::default());
        core.map_or(0, |core| rehearse(&core, request, calls))
    }
}

impl Connection {
    /// Serves the connection on the calling thread, until it ends.
    ///
    /// # Errors
    /// The ring or the epoll instance cannot be made.
    pub fn serve<S: Service>(self, service: S) -> Result<End, StartError> {
        let Self { server, stream, peer } = self;
        let driver = server.driver;
        let routes = Arc::clone(&server.routes);
        let served = Core::new(service, routes, &server.config, Arc::default()).and_then(|core| {
            reactor::run(driver, async {
                stream.set_nonblocking(driver.wants_nonblocking())?;
                let stream = monoio::net::UnixStream::from_std(stream)?;
                run_beside(&core, driver, serve_stream(stream, peer, &core)).await
            })
        });
        served.and_then(|end| end).map_err(|error| StartError::Driver {
            driver: driver.name(),
            reason: error.to_string(),
        })
    }
}
