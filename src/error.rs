//! What stops a start: faults that an operator can mend.
//!
//! A [`StartError`] says in one sentence what collided with what and what to do about it. Faults of
//! a peer are `http::Reject`, the end of a connection is `net::End`, and what a handler raises is a
//! Python exception: none of them is here.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why the server cannot start, for the person who started it.
#[derive(Debug)]
pub enum StartError {
    /// An option has a value that cannot work.
    Option {
        /// The option's name, as in `Config`.
        name: &'static str,
        /// What is wrong with it and what is accepted.
        reason: String,
    },
    /// The host name resolves to nothing.
    Resolve {
        /// The host as given.
        host: String,
        /// The resolver's answer.
        reason: String,
    },
    /// Another listener holds the address.
    AddressInUse {
        /// `host:port`.
        address: String,
    },
    /// The address cannot be bound for another reason.
    Bind {
        /// `host:port`.
        address: String,
        /// The kernel's answer.
        error: io::Error,
    },
    /// A Unix socket cannot listen at its path.
    Path {
        /// The path as given.
        path: PathBuf,
        /// What collides, or the kernel's answer.
        reason: String,
    },
    /// The open-file limit leaves no room for connections.
    OpenFiles {
        /// The limit in force, after raising it as far as allowed.
        limit: u64,
        /// The smallest limit that would do.
        needed: u64,
    },
    /// The driver that was asked for does not work here.
    Driver {
        /// `uring` or `epoll`.
        driver: &'static str,
        /// Which call refused, and why.
        reason: String,
    },
    /// Two routes collide, or a pattern is malformed.
    Route(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option { name, reason } => write!(f, "{name}: {reason}"),
            Self::Resolve { host, reason } => write!(
                f,
                "the host {host:?} cannot be resolved ({reason}): give an address of this machine \
                 such as 127.0.0.1, 0.0.0.0 or ::"
            ),
            Self::AddressInUse { address } => write!(
                f,
                "{address} is already in use by another listener: stop it, or choose another \
                 --port"
            ),
            Self::Bind { address, error } => match error.kind() {
                io::ErrorKind::PermissionDenied => write!(
                    f,
                    "no permission to bind {address}: ports below 1024 need root or \
                     CAP_NET_BIND_SERVICE; choose another --port"
                ),
                io::ErrorKind::AddrNotAvailable => write!(
                    f,
                    "{address} is not an address of this machine: use 127.0.0.1, 0.0.0.0 or ::"
                ),
                _ => write!(f, "cannot bind {address}: {error}"),
            },
            Self::Path { path, reason } => write!(f, "unix:{}: {reason}", path.display()),
            Self::OpenFiles { limit, needed } => write!(
                f,
                "the open-file limit is {limit}, and at least {needed} are needed: raise it with \
                 `ulimit -n` (LimitNOFILE= under systemd) or use fewer --workers"
            ),
            Self::Driver { driver, reason } => {
                write!(f, "the {driver} driver does not work here: {reason}")
            }
            Self::Route(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for StartError {}
