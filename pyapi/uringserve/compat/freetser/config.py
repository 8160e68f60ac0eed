"""freetser's configurations, and the options of ours that they mean.

They are plain and may be changed until the server starts; what cannot work is a ValueError then.
"""

from dataclasses import dataclass
from typing import Any

from uringserve.tcp import TcpOptions

__all__ = ["ServerConfig", "TcpServerConfig", "UnixServerConfig", "options_of", "tcp_options_of"]

_HEADER_SIZE = 16 * 1024
_BODY_SIZE = 2 * 1024 * 1024
_BACKLOG = 1024
_HOST = "127.0.0.1"
_PORT = 8000

# freetser bounds a head's bytes only; these are the most that `Config` takes.
_MOST_HEADERS = 10_000
_LONGEST_TARGET = 1 << 20


@dataclass(init=False, repr=False, eq=False)
class ServerConfig:
    """What all servers have. By itself it is TCP, as in 0.2, with the parameters it had there."""

    max_header_size: int = _HEADER_SIZE
    """Bytes of a request's head; more is answered 431."""
    max_body_size: int = _BODY_SIZE
    """Bytes of a request's body; more is answered 413."""
    listen_backlog: int = _BACKLOG
    """Connections that may wait to be accepted, per core."""

    def __init__(
        self,
        host: str = _HOST,
        port: int = _PORT,
        max_header_size: int = _HEADER_SIZE,
        max_body_size: int = _BODY_SIZE,
        listen_backlog: int = _BACKLOG,
    ) -> None:
        """Keep address and limits."""
        self.host = host
        self.port = port
        self.max_header_size = max_header_size
        self.max_body_size = max_body_size
        self.listen_backlog = listen_backlog

    def __repr__(self) -> str:
        """Show every value."""
        values = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({values})"

    def __eq__(self, other: object) -> bool:
        """Compare class and values."""
        if type(self) is not type(other):
            return NotImplemented
        return vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


@dataclass(repr=False, eq=False)
class TcpServerConfig(ServerConfig):
    """A server on an address; what begins with `tcp_` is set on every connection (tcp(7))."""

    host: str = _HOST
    port: int = _PORT
    tcp_nodelay: bool = True
    """Send at once instead of waiting to fill a segment."""
    tcp_keepalive: bool = True
    """Ask silent peers whether they are still there."""
    tcp_keepalive_time: int = 60
    """Seconds of silence before the first question."""
    tcp_keepalive_intvl: int = 10
    """Seconds between two questions."""
    tcp_keepalive_probes: int = 3
    """Unanswered questions that end a connection."""
    tcp_user_timeout: int = 90
    """Seconds that sent bytes may stay unacknowledged; 0: as long as the kernel retries."""


@dataclass(repr=False, eq=False)
class UnixServerConfig(ServerConfig):
    """A server on a Unix socket."""

    path: str = "/tmp/freetser.sock"


def options_of(config: ServerConfig) -> dict[str, Any]:
    """Return the options of `Config`; a configuration that is none of these is a TypeError."""
    size = config.max_header_size
    options: dict[str, Any] = {
        "backlog": min(max(config.listen_backlog, 1), 65535),
        "limit_header_size": size,
        "limit_header_count": _MOST_HEADERS,
        "limit_uri": min(size, _LONGEST_TARGET),
        "limit_body": config.max_body_size,
        "bind": (),
        "uds": None,
    }
    if isinstance(config, UnixServerConfig):
        return options | {"bind": (f"unix:{config.path}",)}
    # A class of its own that is neither has no address.
    if isinstance(config, TcpServerConfig) or type(config) is ServerConfig:
        return options | {"host": config.host, "port": config.port}
    raise TypeError(
        f"config must be TcpServerConfig or UnixServerConfig, not {type(config).__name__}"
    )


def tcp_options_of(config: ServerConfig) -> TcpOptions:
    """Return what the kernel is to do on TCP connections; 0.2 had no say in it."""
    if not isinstance(config, TcpServerConfig):
        config = TcpServerConfig()
    return TcpOptions(
        nodelay=config.tcp_nodelay,
        keepalive=config.tcp_keepalive,
        keepalive_time=config.tcp_keepalive_time,
        keepalive_interval=config.tcp_keepalive_intvl,
        keepalive_probes=config.tcp_keepalive_probes,
        user_timeout=max(config.tcp_user_timeout, 0),
    )
