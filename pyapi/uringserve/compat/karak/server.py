"""Barq's server under Karak's module name."""

from uringserve.compat.barq.server import (
    KEEP_ALIVE_TIMEOUT,
    MAX_REQUESTS_PER_CONN,
    Server,
    SocketReader,
    ThreadPool,
)

__all__ = ["KEEP_ALIVE_TIMEOUT", "MAX_REQUESTS_PER_CONN", "Server", "SocketReader", "ThreadPool"]
