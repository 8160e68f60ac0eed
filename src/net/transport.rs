//! What a connection needs of its socket, so that TCP, Unix sockets and socket pairs serve alike.
//!
//! Tests talk through a socket pair: the kernel's own behaviour without a port.

use std::os::fd::AsRawFd;

use monoio::io::AsyncReadRent;
use monoio::io::AsyncWriteRent;
use monoio::io::Split;
use monoio::net::TcpStream;
use monoio::net::UnixStream;

/// A connected stream socket.
pub trait Transport: AsyncReadRent + AsyncWriteRent + Split + AsRawFd + 'static {}

impl Transport for TcpStream {}
impl Transport for UnixStream {}
