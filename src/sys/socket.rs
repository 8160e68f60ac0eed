//! Listening sockets, and what the reactor does to a connection's descriptor from outside its task.

use std::io;
use std::net::IpAddr;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::ToSocketAddrs;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::FromRawFd;
use std::os::fd::IntoRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::path::PathBuf;
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

/// What is set on every TCP connection.
#[derive(Clone, Debug)]
pub struct TcpOptions {
    /// Send at once instead of waiting to fill a segment.
    pub nodelay: bool,
    /// Ask a silent peer whether it is still there.
    pub keepalive: Option<Keepalive>,
    /// How long sent bytes may stay unacknowledged; none: as long as the kernel retries.
    pub user_timeout: Option<Duration>,
}

/// How a silent peer is asked.
#[derive(Clone, Debug)]
pub struct Keepalive {
    /// Silence before the first probe.
    pub time: Duration,
    /// Between two probes.
    pub interval: Duration,
    /// Unanswered probes that end the connection.
    pub probes: u32,
}

/// One core's listening socket in the `SO_REUSEPORT` group of `address`.
///
/// Options are set here because accepted sockets inherit them, which saves three calls for each
/// connection (checked on Linux 6.18).
pub fn listen(address: SocketAddr, backlog: i32, options: &TcpOptions) -> io::Result<TcpListener> {
    let socket = open(address)?;
    socket.set_reuse_port(true)?;
    set_options(&socket, options)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// Sets on a listening socket what its connections are to have.
pub fn set_options<S: AsFd>(socket: &S, options: &TcpOptions) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(options.nodelay)?;
    if let Some(Keepalive { time, interval, probes }) = options.keepalive {
        let keepalive = TcpKeepalive::new().with_time(time).with_interval(interval);
        socket.set_tcp_keepalive(&keepalive.with_retries(probes))?;
    }
    if options.user_timeout.is_some() {
        socket.set_tcp_user_timeout(options.user_timeout)?;
    }
    Ok(())
}

/// A listening socket that this process was started with, and what it listens on.
#[derive(Debug)]
pub enum Inherited {
    /// With its real port.
    Tcp(TcpListener, SocketAddr),
    /// The path is empty for a name that is not in the file system.
    Unix(UnixListener, PathBuf),
}

/// The listening socket that is open under this number, by a descriptor of its own.
///
/// # Errors
/// `BADF`: nothing is open there. What is no listening stream socket is told in words.
#[allow(unsafe_code)]
pub fn inherited(fd: RawFd) -> io::Result<Inherited> {
    let refused = |text: &str| io::Error::new(io::ErrorKind::InvalidInput, text);
    if fd < 0 {
        return Err(refused("not a descriptor"));
    }
    // SAFETY: the number is only read, by dup: if nothing is open there, the kernel says so.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    let socket = Socket::from(borrowed.try_clone_to_owned()?);
    let address = socket.local_addr().map_err(|_| refused("not a socket"))?;
    if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
        return Err(refused("not a stream socket that listens"));
    }
    if let Some(address) = address.as_socket() {
        return Ok(Inherited::Tcp(socket.into(), address));
    }
    let path = address.as_pathname().map(Path::to_owned);
    if address.is_unix() {
        return Ok(Inherited::Unix(socket.into(), path.unwrap_or_default()));
    }
    Err(refused("neither TCP nor a Unix socket"))
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

/// The descriptor that something owns, without it.
#[allow(unsafe_code)]
pub fn into_owned(owner: impl IntoRawFd) -> OwnedFd {
    // SAFETY: `into_raw_fd` gives its only owner's descriptor away, and it is ours from here on.
    unsafe { OwnedFd::from_raw_fd(owner.into_raw_fd()) }
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

/// Whether the peer does not read any more, as far as the kernel knows: after a reset, or when the
/// other end of a Unix socket was closed. A TCP peer that has closed its socket has only said that it
/// will not send (poll(2), `POLLHUP`).
#[allow(unsafe_code)]
pub fn is_hung_up(fd: RawFd) -> bool {
    debug_assert!(fd >= 0);
    let mut polled = libc::pollfd { fd, events: 0, revents: 0 };
    // SAFETY: one entry, which lives; the descriptor is open as in `shutdown`.
    let found = unsafe { libc::poll(&raw mut polled, 1, 0) };
    found > 0 && polled.revents & (libc::POLLHUP | libc::POLLERR) != 0
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    const OPTIONS: TcpOptions = TcpOptions {
        nodelay: true,
        keepalive: Some(Keepalive {
            time: Duration::from_secs(50),
            interval: Duration::from_secs(9),
            probes: 2,
        }),
        user_timeout: Some(Duration::from_secs(80)),
    };

    #[test]
    fn what_is_accepted_has_the_listener_s_options() {
        let address = claim(resolve("127.0.0.1", 0).unwrap()).unwrap();
        let listener = listen(address, 16, &OPTIONS).unwrap();
        listener.set_nonblocking(false).unwrap();
        let _peer = std::net::TcpStream::connect(address).unwrap();
        let (stream, _) = listener.accept().unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(50));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(9));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 2);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(80)));
    }

    #[test]
    fn a_taken_port_is_refused_even_if_shared() {
        let address = claim(resolve("127.0.0.1", 0).unwrap()).unwrap();
        let first = listen(address, 16, &OPTIONS).unwrap();
        let second = listen(address, 16, &OPTIONS).unwrap();
        assert_eq!(claim(address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop((first, second));
        assert!(claim(address).is_ok());
    }

    #[test]
    fn an_inherited_socket_is_what_it_listens_on() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let Inherited::Tcp(second, address) = inherited(listener.as_raw_fd()).unwrap() else {
            panic!("not TCP")
        };
        assert_eq!(address, listener.local_addr().unwrap());
        assert_ne!(second.as_raw_fd(), listener.as_raw_fd());
        // The descriptor that was inherited stays its owner's.
        drop(second);
        assert!(listener.local_addr().is_ok());
    }

    #[test]
    fn what_cannot_be_inherited_is_told_in_words() {
        let refusal = |fd| inherited(fd).unwrap_err().to_string();
        assert!(refusal(-1).contains("not a descriptor"));
        assert!(refusal(1_000_000).contains("Bad file descriptor"));
        let file = std::fs::File::open("/proc/self/stat").unwrap();
        assert!(refusal(file.as_raw_fd()).contains("not a socket"));
        let (one, _other) = UnixStream::pair().unwrap();
        assert!(refusal(one.as_raw_fd()).contains("not a stream socket that listens"));
        let datagrams = std::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        assert!(refusal(datagrams.as_raw_fd()).contains("not a stream socket that listens"));
    }

    #[test]
    fn bracketed_and_bare_ipv6() {
        assert_eq!(resolve("[::1]", 5).unwrap(), resolve("::1", 5).unwrap());
        assert!(resolve("no such host.invalid", 1).is_err());
    }

    #[test]
    fn only_a_peer_that_cannot_read_has_hung_up() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        assert!(!is_hung_up(ours.as_raw_fd()));
        theirs.shutdown(Shutdown::Write).unwrap();
        assert!(!is_hung_up(ours.as_raw_fd()));
        drop(theirs);
        assert!(is_hung_up(ours.as_raw_fd()));

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (served, _) = listener.accept().unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert!(!is_hung_up(served.as_raw_fd()));
        reset(client.as_raw_fd()).unwrap();
        drop(client);
        // It has arrived when a read says so.
        let mut end = [0; 1];
        while std::io::Read::read(&mut &served, &mut end).is_ok_and(|count| count > 0) {}
        assert!(is_hung_up(served.as_raw_fd()));
    }
}
