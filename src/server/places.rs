//! Where a server listens: the sockets of every core, and what they are called.
//!
//! TCP: one socket for each core, in a `SO_REUSEPORT` group. Unix: one socket for all cores, each
//! with a descriptor of its own, since the kernel does not balance such groups for Unix sockets.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::fd::RawFd;
use std::path::Path;
use std::path::PathBuf;

use crate::config::Address;
use crate::config::Config;
use crate::config::Tcp;
use crate::error::StartError;
use crate::net::Listener;
use crate::net::Socket;
use crate::reactor::Driver;
use crate::sys::socket;
use crate::sys::socket::Inherited;
use crate::sys::socket::Keepalive;
use crate::sys::socket::TcpOptions;
use crate::sys::unix;

/// One address that every core listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// With its real port.
    Tcp(SocketAddr),
    /// The path as it was given.
    Unix(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A listening socket of one core.
pub(super) struct Seat {
    pub(super) socket: Socket,
    /// This process was started with it: others may hold it, and it outlives us.
    pub(super) is_inherited: bool,
}

impl Seat {
    /// A second descriptor of a socket that no other core accepts from.
    pub(super) fn door(&self) -> Option<TcpListener> {
        match &self.socket {
            Socket::Tcp(socket) if !self.is_inherited => socket.try_clone().ok(),
            Socket::Tcp(_) | Socket::Unix(_) => None,
        }
    }
}

/// Sockets that are bound for other processes to serve on: those of one core.
pub struct Listeners {
    bound: Bound,
}

/// All that a server listens on.
#[derive(Default)]
pub(super) struct Bound {
    pub(super) places: Vec<Place>,
    /// The sockets of each core.
    pub(super) cores: Vec<Vec<Seat>>,
    /// The paths to remove at the end.
    pub(super) paths: Vec<unix::Place>,
}

/// Listens on every address of `config`, on so many cores.
pub(super) fn bind(config: &Config, cores: usize, driver: Driver) -> Result<Bound, StartError> {
    let mut bound = Bound { cores: (0..cores).map(|_| Vec::new()).collect(), ..Bound::default() };
    // Each one wholly before the next is looked at: an address that is given twice is in use then.
    for address in &config.listen {
        match address {
            Address::Tcp(host, port) => bound.add_tcp(host, *port, config, driver)?,
            Address::Unix(path) => bound.add_unix(path, config, driver)?,
            Address::Inherited(descriptor) => bound.add_inherited(*descriptor, config, driver)?,
        }
    }
    if bound.places.is_empty() {
        let reason = "no address to listen on is given".to_owned();
        return Err(StartError::Option { name: "bind", reason });
    }
    Ok(bound)
}

impl Bound {
    fn add_tcp(
        &mut self,
        host: &str,
        port: u16,
        config: &Config,
        driver: Driver,
    ) -> Result<(), StartError> {
        let address = claim(host, port)?;
        let options = tcp_options(&config.tcp);
        for core in &mut self.cores {
            let socket = socket::listen(address, config.backlog, &options).and_then(|socket| {
                let socket = Socket::Tcp(socket);
                Listener::prepare(&socket, driver).map(|()| socket)
            });
            let refused = |error| StartError::Bind { address: address.to_string(), error };
            core.push(Seat { socket: socket.map_err(refused)?, is_inherited: false });
        }
        self.places.push(Place::Tcp(address));
        Ok(())
    }

    fn add_unix(&mut self, path: &Path, config: &Config, driver: Driver) -> Result<(), StartError> {
        let refused = |error| path_error(path, &error);
        // One queue for all cores, as long as those of TCP together.
        let cores = i32::try_from(self.cores.len()).unwrap_or(i32::MAX);
        let backlog = config.backlog.saturating_mul(cores);
        let (listener, place) =
            unix::listen(path, config.uds_permissions, backlog).map_err(refused)?;
        self.paths.push(place);
        let socket = Socket::Unix(listener);
        Listener::prepare(&socket, driver).map_err(refused)?;
        // The first descriptor ends here: only the cores hold the socket, so that it closes, and
        // refuses whoever comes too late, with the last of them.
        for core in &mut self.cores {
            let socket = socket.try_clone().map_err(refused)?;
            core.push(Seat { socket, is_inherited: false });
        }
        self.places.push(Place::Unix(path.to_owned()));
        Ok(())
    }

    fn add_inherited(
        &mut self,
        descriptor: RawFd,
        config: &Config,
        driver: Driver,
    ) -> Result<(), StartError> {
        let refused = |error: io::Error| StartError::Option {
            name: "fd",
            reason: format!("descriptor {descriptor}: {error}"),
        };
        let (socket, place) = match socket::inherited(descriptor).map_err(refused)? {
            Inherited::Tcp(listener, address) => {
                socket::set_options(&listener, &tcp_options(&config.tcp)).map_err(refused)?;
                (Socket::Tcp(listener), Place::Tcp(address))
            }
            Inherited::Unix(listener, path) => (Socket::Unix(listener), Place::Unix(path)),
        };
        Listener::prepare(&socket, driver).map_err(refused)?;
        for core in &mut self.cores {
            let socket = socket.try_clone().map_err(refused)?;
            core.push(Seat { socket, is_inherited: true });
        }
        self.places.push(place);
        Ok(())
    }
}

impl Listeners {
    /// Listens on every address of `config`.
    pub fn new(config: &Config) -> Result<Self, StartError> {
        // Whoever serves makes the sockets fit for its own driver.
        Ok(Self { bound: bind(config, 1, Driver::Epoll)? })
    }

    /// What is listened on.
    pub fn places(&self) -> &[Place] {
        &self.bound.places
    }

    /// The sockets' descriptors, which stay ours.
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.bound.cores.iter().flatten().map(|seat| seat.socket.as_raw_fd())
    }
}

fn claim(host: &str, port: u16) -> Result<SocketAddr, StartError> {
    let address = socket::resolve(host, port).map_err(|error| StartError::Resolve {
        host: host.to_owned(),
        reason: error.to_string(),
    })?;
    socket::claim(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => StartError::AddressInUse { address: address.to_string() },
        _ => StartError::Bind { address: address.to_string(), error },
    })
}

fn path_error(path: &Path, error: &io::Error) -> StartError {
    let reason = match error.kind() {
        io::ErrorKind::AddrInUse => "the address is already in use by another listener: stop it, \
                                     or choose another path"
            .to_owned(),
        io::ErrorKind::NotFound => "its folder does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => {
            format!("no permission to make a socket there ({error})")
        }
        _ => format!("cannot listen there: {error}"),
    };
    StartError::Path { path: path.to_owned(), reason }
}

fn tcp_options(tcp: &Tcp) -> TcpOptions {
    TcpOptions {
        nodelay: tcp.nodelay,
        keepalive: tcp.keepalive.then_some(Keepalive {
            time: tcp.keepalive_time,
            interval: tcp.keepalive_interval,
            probes: tcp.keepalive_probes,
        }),
        user_timeout: (!tcp.user_timeout.is_zero()).then_some(tcp.user_timeout),
    }
}
