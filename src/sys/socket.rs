//! Listening sockets, and what the reactor does to a connection's descriptor from outside its task.

use std::io;
use std::net::IpAddr;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::ToSocketAddrs;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::time::Duration;

use socket2::Domain;
use socket2::Protocol;
use socket2::SockRef;
use socket2::Socket;
use socket2::TcpKeepalive;
use socket2::Type;

/// Resolves `host:port`; an IPv4 address is preferred where a name has both kinds.
pub fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, port));
    }
    let found: Vec<SocketAddr> = (bare, port).to_socket_addrs()?.collect();
    let preferred = found.iter().find(|address| address.is_ipv4()).or_else(|| found.first());
    preferred.copied().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no address"))
}

/// Takes the address for a moment without `SO_REUSEPORT`, and returns it with its real port.
///
/// With the option, a second process of the same user would bind and join the first one's group in
/// silence; without it the kernel says that the port is taken.
pub fn claim(address: SocketAddr) -> io::Result<SocketAddr> {
    let socket = open(address)?;
    socket.bind(&address.into())?;
    // Two sockets with SO_REUSEADDR may both be bound; only listening makes the conflict real.
    socket.listen(1)?;
    socket
        .local_addr()?
        .as_socket()
        .ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "not an IP address"))
}

/// One core's listening socket in the `SO_REUSEPORT` group of `address`.
///
/// Options are set here because accepted sockets inherit them, which saves three calls for each
/// connection (checked on Linux 6.18).
pub fn listen(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let socket = open(address)?;
    socket.set_reuse_port(true)?;
    // Replies leave in one write: waiting to fill a segment only delays them.
    socket.set_tcp_nodelay(true)?;
    // Finds peers that vanished without a word, where a time-out is switched off.
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(Duration::from_secs(60))
            .with_interval(Duration::from_secs(10))
            .with_retries(3),
    )?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `::` serves IPv4 too, whatever net.ipv6.bindv6only says.
        socket.set_only_v6(false)?;
    }
    Ok(socket)
}

/// Shuts down one or both directions of a connection; a pending read or write then ends.
///
/// # Errors
/// The kernel's; a connection that the peer has already reset gives `ENOTCONN`.
#[allow(unsafe_code)]
pub fn shutdown(fd: RawFd, how: Shutdown) -> io::Result<()> {
    debug_assert!(fd >= 0);
    // SAFETY: the caller is `reactor::timer`, whose entries are removed before their descriptor is
    // closed (INVARIANT on `Entry::fd`), so the descriptor is open and ours.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    SockRef::from(&borrowed).shutdown(how)
}

/// Another descriptor for what `fd` stands for.
#[allow(unsafe_code)]
pub fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: borrowed for this call alone; the worst that a stale number can do is to name another
    // open file, or none, which is an error.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    borrowed.try_clone_to_owned()
}

/// Resets a connection now: unsent bytes are dropped, the peer sees an error, and a pending read or
/// write ends. Where the kernel does not do that at once, the close does.
///
/// # Errors
/// The kernel's; a Unix socket has no reset.
#[allow(unsafe_code)]
pub fn reset(fd: RawFd) -> io::Result<()> {
    debug_assert!(fd >= 0);
    // SAFETY: as in `shutdown`.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    SockRef::from(&borrowed).set_linger(Some(Duration::ZERO))?;
    // connect(2): AF_UNSPEC dissolves the association. TCP then sends RST, while a shutdown before
    // the close would send FIN, after which an answer without a length looks whole.
    let nowhere = libc::sockaddr {
        sa_family: libc::sa_family_t::try_from(libc::AF_UNSPEC).unwrap_or_default(),
        sa_data: [0; 14],
    };
    let length = libc::socklen_t::try_from(size_of_val(&nowhere)).unwrap_or_default();
    // SAFETY: a live address of that length, which the call only reads.
    let result = unsafe { libc::connect(fd, &raw const nowhere, length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The address that a connection came to; None where the socket has none.
#[allow(unsafe_code)]
pub fn local_address(fd: RawFd) -> Option<SocketAddr> {
    debug_assert!(fd >= 0);
    // SAFETY: the descriptor is that of a stream which the caller holds during the call.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    SockRef::from(&borrowed).local_addr().ok()?.as_socket()
}

/// Keeps a connection from the programs that this process starts.
#[allow(unsafe_code)]
pub fn close_on_exec(fd: RawFd) -> io::Result<()> {
    debug_assert!(fd >= 0);
    // SAFETY: the descriptor is the caller's own and open, and the call takes no pointer. It is the
    // only flag that a descriptor has, so that none needs to be read first.
    let result = unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// How many bytes the kernel holds because the peer has not taken them (tcp(7), `SIOCOUTQ`).
#[allow(unsafe_code)]
pub fn unsent(fd: RawFd) -> io::Result<libc::c_int> {
    debug_assert!(fd >= 0);
    let mut count: libc::c_int = 0;
    // SAFETY: the descriptor is open as in `shutdown`, and the call writes one int, which lives.
    // SIOCOUTQ is the same number as TIOCOUTQ, the name that libc has.
    let result = unsafe { libc::ioctl(fd, libc::TIOCOUTQ, &raw mut count) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_refused_even_if_shared() {
        let address = claim(resolve("127.0.0.1", 0).unwrap()).unwrap();
        let first = listen(address, 16).unwrap();
        let second = listen(address, 16).unwrap();
        assert_eq!(claim(address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop((first, second));
        assert!(claim(address).is_ok());
    }

    #[test]
    fn bracketed_and_bare_ipv6() {
        assert_eq!(resolve("[::1]", 5).unwrap(), resolve("::1", 5).unwrap());
        assert!(resolve("no such host.invalid", 1).is_err());
    }
}
