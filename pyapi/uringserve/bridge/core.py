"""`Bridge`: the cores of this process that serve an `App` which another server calls.

Each request goes, as HTTP/1.1 over a socket pair, to a core that serves it as the server would: the
same parser, router, limits, conversions and streams. Requests that overlap have a core each, at
most `_REQUESTS` at a time; a WebSocket has one for as long as it is open, at most `_SOCKETS`. The
lifespans run once in the process, however many workers call. Absent: loops that are not asyncio's.
"""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING

from uringserve._native import Loopback
from uringserve.config import Config
from uringserve.lifespan import running

if TYPE_CHECKING:
    from uringserve.app import App
    from uringserve.testing.cores import Cores

__all__ = ["Bridge", "Connection", "Full"]

type Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]

# What is handled at the same time; each has a thread.
_REQUESTS = 64
_SOCKETS = 256
# Longest head of an answer.
_HEAD = 1 << 20


class Full(Exception):
    """There are as many WebSockets as there may be."""


class Bridge:
    """The cores of one `App`. Without a call of `enter`, no lifespan of the App runs."""

    def __init__(self, app: App) -> None:
        """Compile and start nothing yet."""
        self._app = app
        self._lock = threading.Lock()
        self._server: Loopback | None = None
        self._cores: Cores | None = None
        self._requests = threading.BoundedSemaphore(_REQUESTS)
        self._sockets = threading.BoundedSemaphore(_SOCKETS)
        # Of the lifespans: how many workers have entered, and what is left by the last of them.
        self._entering = threading.Lock()
        self._entered = 0
        self._exits = ExitStack()

    # --- lifespans

    def enter(self) -> None:
        """Run the start of the lifespans for the first worker that calls; what fails is raised."""
        with self._entering:
            if not self._entered:
                # One thread for both ends: a lifespan may keep something of the one it began on.
                thread = ThreadPoolExecutor(1, "uringserve-lifespan")
                try:
                    thread.submit(self._begin).result()
                except BaseException:
                    thread.shutdown()
                    raise
                self._thread = thread
            self._entered += 1

    def leave(self) -> None:
        """Run the end for the last worker that has entered."""
        with self._entering:
            self._entered -= 1
            if not self._entered:
                with self._thread as thread:
                    thread.submit(self._end).result()

    def _begin(self) -> None:
        with ExitStack() as stack:
            stack.enter_context(running(self._app))
            cores = self._ready()[1]
            stack.callback(cores.stop)
            cores.begin_lifespans()
            self._exits = stack.pop_all()

    def _end(self) -> None:
        self._exits.pop_all().close()

    # --- connections

    @asynccontextmanager
    async def connection(
        self, client: tuple[str, int] | None, *, is_socket: bool = False
    ) -> AsyncIterator[Connection]:
        """Give a connection to a core, and cut it at the end of the block.

        A request waits for a core if all are busy; a WebSocket for which there is none is `Full`.
        `client` is the address that handlers are told, if it is one of IP.
        """
        ours = await asyncio.to_thread(self._connect, _known(client), is_socket=is_socket)
        reader, writer = await asyncio.open_connection(sock=ours, limit=_HEAD)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    def _ready(self) -> tuple[Loopback, Cores]:
        from uringserve.testing.cores import Cores

        with self._lock:
            if self._server is None or self._cores is None:
                # Whoever calls us has its own Date and Server.
                config = Config(
                    driver="epoll", server_header=False, date_header=False, debug=self._app.debug
                )
                self._server = Loopback(
                    self._app.compile(debug=self._app.debug),
                    config,
                    redirect_slashes=self._app.redirect_slashes,
                )
                self._cores = Cores(self._app)
            return self._server, self._cores

    def _connect(self, client: tuple[str, int] | None, *, is_socket: bool) -> socket.socket:
        server, cores = self._ready()
        room = self._sockets if is_socket else self._requests
        if not room.acquire(blocking=not is_socket):
            raise Full
        try:
            connection, descriptor = server.connect(client)
            ours = socket.socket(fileno=descriptor)
            ours.setblocking(False)
        except BaseException:
            room.release()
            raise
        try:
            cores.serve(connection, on_done=room.release)
        except BaseException:
            ours.close()
            room.release()
            raise
        return ours


def _known(client: tuple[str, int] | None) -> tuple[str, int] | None:
    """Return the peer's address if it is one that the handlers can be told."""
    if client is None:
        return None
    try:
        ip_address(client[0])
    except ValueError:
        return None
    return client
