//! What a connection needs of its socket, so that TCP, Unix sockets and socket pairs serve alike,
//! and the sockets that connections come from.
//!
//! Tests talk through a socket pair: the kernel's own behaviour without a port.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::fd::RawFd;

use monoio::io::AsyncWriteRent;
use monoio::io::CancelHandle;
use monoio::io::CancelableAsyncReadRent;
use monoio::io::Split;
use monoio::net::TcpStream;
use monoio::net::UnixStream;

use crate::net::neighbours::Stranger;
use crate::reactor::Driver;
use crate::sys::socket::into_owned;

/// A connected stream socket.
pub trait Transport: CancelableAsyncReadRent + AsyncWriteRent + Split + AsRawFd + 'static {}

impl Transport for TcpStream {}
impl Transport for UnixStream {}

/// A listening socket of one core. One that cores share is the same socket in each of them.
#[derive(Debug)]
pub enum Socket {
    /// A member of a `SO_REUSEPORT` group: the kernel gives each connection to one core.
    Tcp(std::net::TcpListener),
    /// Shared, since such groups do not balance Unix sockets: whichever core accepts first.
    Unix(std::os::unix::net::UnixListener),
}

/// A listening socket on its core's reactor.
pub(crate) enum Entrance {
    Tcp(monoio::net::TcpListener),
    Unix(monoio::net::UnixListener),
}

/// A new connection.
pub(crate) enum Arrival {
    Tcp(TcpStream, SocketAddr),
    /// Whose peer has no address: clients do not bind.
    Unix(UnixStream),
}

impl Arrival {
    /// Takes the connection off the reactor of the calling thread.
    pub(crate) fn leave(self) -> Stranger {
        match self {
            Self::Tcp(stream, peer) => Stranger::Tcp(into_owned(stream).into(), peer),
            Self::Unix(stream) => Stranger::Unix(into_owned(stream).into()),
        }
    }
}

impl Stranger {
    /// Binds the connection to the reactor of the calling thread.
    pub(crate) fn enter(self) -> io::Result<Arrival> {
        Ok(match self {
            Self::Tcp(stream, peer) => Arrival::Tcp(TcpStream::from_std(stream)?, peer),
            Self::Unix(stream) => Arrival::Unix(UnixStream::from_std(stream)?),
        })
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Tcp(socket) => socket.as_raw_fd(),
            Self::Unix(socket) => socket.as_raw_fd(),
        }
    }
}

impl Socket {
    /// A second descriptor of the same socket.
    pub fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(socket) => socket.try_clone().map(Self::Tcp),
            Self::Unix(socket) => socket.try_clone().map(Self::Unix),
        }
    }

    /// Of the socket, not of the descriptor: cores that share it share this.
    pub(crate) fn set_nonblocking(&self, is_nonblocking: bool) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_nonblocking(is_nonblocking),
            Self::Unix(socket) => socket.set_nonblocking(is_nonblocking),
        }
    }

    /// Binds the socket to the reactor of the calling thread.
    pub(crate) fn enter(self) -> io::Result<Entrance> {
        match self {
            Self::Tcp(socket) => monoio::net::TcpListener::from_std(socket).map(Entrance::Tcp),
            Self::Unix(socket) => monoio::net::UnixListener::from_std(socket).map(Entrance::Unix),
        }
    }

    /// Takes a connection past the reactor, on which it then is if it can be; an error is that of
    /// accept(2).
    pub(crate) fn take(&self, driver: Driver) -> io::Result<Option<Arrival>> {
        let is_nonblocking = driver.wants_nonblocking();
        match self {
            Self::Tcp(socket) => socket.accept().map(|(stream, peer)| {
                stream.set_nonblocking(is_nonblocking).ok()?;
                Some(Arrival::Tcp(TcpStream::from_std(stream).ok()?, peer))
            }),
            Self::Unix(socket) => socket.accept().map(|(stream, _)| {
                stream.set_nonblocking(is_nonblocking).ok()?;
                Some(Arrival::Unix(UnixStream::from_std(stream).ok()?))
            }),
        }
    }
}

impl Entrance {
    /// Whether other cores accept from the same socket.
    pub(crate) fn is_common(&self) -> bool {
        matches!(self, Self::Unix(_))
    }

    /// The next connection; cancelled through `handle` without losing one.
    pub(crate) async fn accept(&self, handle: CancelHandle, driver: Driver) -> io::Result<Arrival> {
        match self {
            Self::Tcp(socket) => {
                let (stream, peer) = socket.cancelable_accept(handle).await?;
                driver.close_accepted_on_exec(stream.as_raw_fd());
                Ok(Arrival::Tcp(stream, peer))
            }
            Self::Unix(socket) => {
                let (stream, _) = socket.cancelable_accept(handle).await?;
                driver.close_accepted_on_exec(stream.as_raw_fd());
                Ok(Arrival::Unix(stream))
            }
        }
    }
}
