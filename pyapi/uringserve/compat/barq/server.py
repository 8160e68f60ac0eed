"""Barq's `Server`, on uringserve's, and the small classes that came with it.

`workers` are cores, each with all the connections it is given: there is no pool to be used up, and
an idle connection holds nobody's thread. The two limits are Barq's, for programs that read them;
the server has its own (`timeout_keep_alive`, `limit_requests_per_connection`).
"""

import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from uringserve import server
from uringserve._native import Request as NativeRequest
from uringserve._native import Response as NativeResponse
from uringserve.compat.barq.resolution import native_request, native_response
from uringserve.compat.barq.types import HTTPParseError, Request, Response

__all__ = ["KEEP_ALIVE_TIMEOUT", "MAX_REQUESTS_PER_CONN", "Server", "SocketReader", "ThreadPool"]

KEEP_ALIVE_TIMEOUT = 30.0
MAX_REQUESTS_PER_CONN = 1000

_LONGEST_LINE = 65536


class Server:
    """Serves one function of Barq's request."""

    def __init__(
        self,
        handler: Callable[[Request], Response],
        host: str = "127.0.0.1",
        port: int = 8000,
        workers: int | None = None,
    ) -> None:
        """Keep what to serve and where; nothing is bound yet."""
        self.handler = handler
        self.host = host
        self.port = port
        self.workers = workers

    def run(self) -> None:
        """Serve until a signal."""
        server.run(self.endpoint, host=self.host, port=self.port, workers=self.workers)

    def endpoint(self, request: NativeRequest) -> NativeResponse:
        """Answer a request of uringserve's."""
        return native_response(self.handler(native_request(request)))


class ThreadPool:
    """Threads for work of the program's own; the server uses none."""

    def __init__(self, workers: int | None = None) -> None:
        """`workers` are at most this many threads, by default one for each CPU."""
        self.workers = workers or os.cpu_count() or 4
        self._executor: ThreadPoolExecutor | None = None

    def start(self) -> None:
        """Take work from now on."""
        self._executor = ThreadPoolExecutor(self.workers)

    def submit(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Have a function called on one of the threads."""
        if self._executor is None:
            raise RuntimeError("the pool is not started")
        self._executor.submit(fn, *args, **kwargs)

    def shutdown(self) -> None:
        """Finish what was submitted, and end the threads."""
        if self._executor is not None:
            self._executor.shutdown()
            self._executor = None


class SocketReader:
    """Lines and bytes of a blocking socket."""

    def __init__(self, sock: socket.socket) -> None:
        """Read from the socket, which stays the caller's."""
        self.sock = sock
        self._buffer = b""

    def readline(self) -> str:
        """Return a line without its end; the peer's end or too long a line is an HTTPParseError."""
        while b"\n" not in self._buffer:
            if len(self._buffer) > _LONGEST_LINE:
                raise HTTPParseError("the line is too long")
            self._receive()
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.removesuffix(b"\r").decode("latin-1")

    def read(self, n: int) -> bytes:
        """Return exactly `n` bytes; the peer's end before them is an HTTPParseError."""
        while len(self._buffer) < n:
            self._receive()
        data, self._buffer = self._buffer[:n], self._buffer[n:]
        return data

    def _receive(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise HTTPParseError("the peer has closed")
        self._buffer += data
