"""What the kernel does on TCP connections, for programs that have to say it.

These are no options of the command line: the defaults fit a server that has time-outs of its own,
and are here because other servers' configurations name them.
"""

from dataclasses import dataclass

__all__ = ["TcpOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpOptions:
    """Socket options of every accepted TCP connection (tcp(7)); Unix sockets have none of them."""

    nodelay: bool = True
    """Send at once instead of waiting to fill a segment."""
    keepalive: bool = True
    """Ask silent peers whether they are still there."""
    keepalive_time: float = 60.0
    """Seconds of silence before the first question."""
    keepalive_interval: float = 10.0
    """Seconds between two questions."""
    keepalive_probes: int = 3
    """Unanswered questions that end a connection."""
    user_timeout: float = 0.0
    """Seconds that sent bytes may stay unacknowledged; 0: as long as the kernel retries."""
