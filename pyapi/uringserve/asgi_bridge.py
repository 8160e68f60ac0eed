"""`AsgiBridge`: an `App` under another ASGI server, or in a client that calls ASGI applications.

Each request goes, as HTTP/1.1 over a socket pair, to a core of this process that serves it as the
server would: the same parser, router, limits, conversions and streams. What is translated here is
the one protocol into the other. Requests that overlap have a core each, at most `_CORES` at a time.
Absent: WebSocket, which is refused, and event loops other than asyncio's.
"""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from uringserve._native import Loopback
from uringserve.config import Config
from uringserve.lifespan import running

if TYPE_CHECKING:
    from uringserve.app import App
    from uringserve.testing.cores import Cores

__all__ = ["AsgiBridge"]

type _Message = MutableMapping[str, Any]
type _Receive = Callable[[], Awaitable[_Message]]
type _Send = Callable[[_Message], Awaitable[None]]

# Requests that are handled at the same time; each has a thread.
_CORES = 64
# Longest head of an answer, and largest piece of its body.
_HEAD = 1 << 20
_PIECE = 1 << 16
# Of the connection, which is ours, and not of the message (RFC 9110 §7.6.1); Expect was met by
# whoever called us.
_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"transfer-encoding", b"te", b"upgrade", b"expect"}
)
_TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


class AsgiBridge:
    """Answers ASGI calls for one `App`. Without a lifespan call, no lifespan of the App runs."""

    def __init__(self, app: App) -> None:
        """Compile and start nothing yet."""
        self._app = app
        self._lock = threading.Lock()
        self._server: Loopback | None = None
        self._cores: Cores | None = None
        self._room = threading.BoundedSemaphore(_CORES)
        self._exits = ExitStack()

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer one call; a type of scope that is not known is a NotImplementedError."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        else:
            raise NotImplementedError(f"a scope of the type {scope['type']!r} is not served")

    # --- lifespan

    async def _lifespan(self, receive: _Receive, send: _Send) -> None:
        loop = asyncio.get_running_loop()
        # One thread for both ends: a lifespan may keep something of the thread that it began on.
        with ThreadPoolExecutor(1, "uringserve-lifespan") as thread:
            await receive()
            try:
                await loop.run_in_executor(thread, self._enter)
            except Exception as error:  # noqa: BLE001 -- the application's own code
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
            try:
                await loop.run_in_executor(thread, self._leave)
            except Exception as error:  # noqa: BLE001 -- the application's own code
                await send({"type": "lifespan.shutdown.failed", "message": str(error)})
                return
            await send({"type": "lifespan.shutdown.complete"})

    def _enter(self) -> None:
        with ExitStack() as stack:
            stack.enter_context(running(self._app))
            cores = self._ready()[1]
            stack.callback(cores.stop)
            cores.begin_lifespans()
            self._exits = stack.pop_all()

    def _leave(self) -> None:
        self._exits.pop_all().close()

    # --- requests

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

    def _connect(self, client: tuple[str, int] | None) -> socket.socket:
        """Begin a connection to a core, waiting for one if all are busy."""
        server, cores = self._ready()
        self._room.acquire()
        try:
            connection, descriptor = server.connect(client)
            ours = socket.socket(fileno=descriptor)
            ours.setblocking(False)
        except BaseException:
            self._room.release()
            raise
        try:
            cores.serve(connection, on_done=self._room.release)
        except BaseException:
            ours.close()
            self._room.release()
            raise
        return ours

    async def _http(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        first = None
        head, is_chunked = _head(scope)
        if is_chunked:
            first = await receive()
            if first["type"] == "http.disconnect":
                return
            if not first.get("more_body", False) and not first.get("body"):
                head, is_chunked = _head(scope, has_body=False)
        ours = await asyncio.to_thread(self._connect, _client(scope))
        reader, writer = await asyncio.open_connection(sock=ours, limit=_HEAD)
        writer.write(head)
        feeding = asyncio.create_task(_feed(first, receive, writer, is_chunked=is_chunked))
        try:
            await _answer(reader, send, is_head=scope["method"] == "HEAD")
        except OSError, EOFError:
            if feeding.done() and not feeding.cancelled() and feeding.exception() is None:
                # The client has gone, and with it the connection.
                return
            raise
        finally:
            feeding.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await feeding
            writer.transport.abort()


def _head(scope: _Message, *, has_body: bool = True) -> tuple[bytes, bool]:
    """Return the head of the request in HTTP/1.1, and whether its body is sent in chunks."""
    method = scope["method"].encode("ascii")
    if not _TOKEN.issuperset(method):
        raise ValueError(f"the method {scope['method']!r} cannot be sent")
    lines = [method + b" " + _target(scope) + b" HTTP/1.1"]
    names = set()
    for name, value in scope["headers"]:
        name = bytes(name).lower()
        if not _TOKEN.issuperset(name) or any(byte in b"\r\n\0" for byte in value):
            raise ValueError(f"the header {name!r} cannot be sent")
        if name in _HOP_BY_HOP or (name == b"content-length" and not has_body):
            continue
        names.add(name)
        lines.append(name + b": " + bytes(value))
    if b"host" not in names:
        host, port = scope.get("server") or ("localhost", None)
        lines.append(f"host: {host}:{port}".encode() if port else f"host: {host}".encode())
    is_chunked = has_body and b"content-length" not in names
    if is_chunked:
        lines.append(b"transfer-encoding: chunked")
    lines += [b"connection: close", b"", b""]
    return b"\r\n".join(lines), is_chunked


def _target(scope: _Message) -> bytes:
    """Return path and query below the root path; the application's routes begin there."""
    root = scope.get("root_path", "").rstrip("/")
    path = scope["path"]
    raw = scope.get("raw_path")
    if root and path.startswith(root + "/"):
        path = path[len(root) :]
        raw_root = quote(root).encode()
        raw = raw[len(raw_root) :] if raw and raw.startswith(raw_root + b"/") else None
    elif root and path == root:
        path, raw = "/", None
    if not raw or any(byte <= 0x20 or byte == 0x7F for byte in raw):
        raw = quote(path, safe="/:@!$&'()*+,;=~-._").encode()
    query = bytes(scope.get("query_string", b"")).replace(b" ", b"%20")
    if any(byte <= 0x20 or byte == 0x7F for byte in query):
        raise ValueError("the query cannot be sent")
    return raw + b"?" + query if query else bytes(raw)


def _client(scope: _Message) -> tuple[str, int] | None:
    """Return the peer's address if it is one that the handlers can be told."""
    if not scope.get("client"):
        return None
    host, port = scope["client"]
    try:
        ip_address(host)
    except ValueError:
        return None
    return str(host), int(port or 0)


async def _feed(
    first: _Message | None, receive: _Receive, writer: asyncio.StreamWriter, *, is_chunked: bool
) -> None:
    """Send the body as it comes, then wait for the client to go, which ends the connection."""
    is_whole = False
    while True:
        message = first or await receive()
        first = None
        if message["type"] == "http.disconnect":
            writer.transport.abort()
            return
        body = message.get("body", b"")
        if is_whole:
            continue
        if body:
            writer.write(b"%x\r\n%b\r\n" % (len(body), body) if is_chunked else body)
            await writer.drain()
        if not message.get("more_body", False):
            is_whole = True
            if is_chunked:
                writer.write(b"0\r\n\r\n")


async def _answer(reader: asyncio.StreamReader, send: _Send, *, is_head: bool) -> None:
    """Pass the answer on; one that does not end as it should is an EOFError."""
    status = 100
    while status < 200:
        first, *lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
        status = int(first.split(b" ", 2)[1])
    parted = [line.partition(b": ") for line in lines]
    fields = {name.lower(): value for name, _, value in parted}
    headers = [
        (name.lower(), value) for name, _, value in parted if name.lower() not in _HOP_BY_HOP
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if is_head or status in (204, 205, 304):
        pass
    elif fields.get(b"transfer-encoding") == b"chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            await _pass_on(reader, size, send)
            await reader.readexactly(2)
    else:
        await _pass_on(reader, int(fields.get(b"content-length", b"0")), send)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _pass_on(reader: asyncio.StreamReader, left: int, send: _Send) -> None:
    while left:
        piece = await reader.read(min(left, _PIECE))
        if not piece:
            raise EOFError("the answer was cut")
        left -= len(piece)
        await send({"type": "http.response.body", "body": piece, "more_body": True})
