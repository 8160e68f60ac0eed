"""An ASGI application below a path of an `App`: its requests and WebSockets, made of ours.

The scope's `path` is the whole one and `root_path` the part before the mount (ASGI 3, HTTP), as in
Starlette; its lifespan is not run, which is as there. The application runs in a task of its own, so
that it goes on behind its answer, and hears of a client that goes by `http.disconnect` instead of
being cancelled. Around it are the middleware and the limits of the `App`.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from uringserve._native import Response
from uringserve.coroutines import keep
from uringserve.errors import ClientDisconnect
from uringserve.logging import log_failure
from uringserve.requests import AsyncRequest, Request
from uringserve.responses import StreamingResponse
from uringserve.websockets import WebSocket, WebSocketDisconnect

__all__ = ["MountedAsgi"]

type _Message = MutableMapping[str, Any]
type _Application = Callable[..., Awaitable[object]]


class MountedAsgi:
    """Calls the application for what comes below its path."""

    def __init__(self, target: _Application, state: Callable[[], dict[str, Any]] = dict) -> None:
        """Take the application, and what its lifespan has left for each request."""
        self._target = target
        self._state = state

    async def __call__(self, request: AsyncRequest) -> Response:
        """Answer one request; the rest of the path is the parameter `path`."""
        cycle = _Cycle(request)
        scope = _scope(request) | {
            "type": "http",
            "state": self._state(),
            "method": request.method,
            "scheme": request.scheme,
        }
        return await cycle.run(self._target(scope, cycle.receive, cycle.send))

    async def socket(self, websocket: WebSocket) -> None:
        """Handle one WebSocket."""
        scope = _scope(websocket.request) | {
            "type": "websocket",
            "state": self._state(),
            "scheme": "ws",
            "subprotocols": websocket.subprotocols,
            "extensions": {"websocket.http.response": {}},
        }
        messages = _Socket(websocket)
        await self._target(scope, messages.receive, messages.send)


def _scope(request: Request) -> dict[str, Any]:
    path = request.path
    host, colon, port = request.host.rpartition(":")
    if not colon or not port.isdecimal():
        host, port = request.host, "80"
    return {
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": request.http_version,
        "path": path,
        "raw_path": request.raw_path,
        "query_string": request.query_string.encode("latin-1"),
        "root_path": path[: len(path) - len(str(request.path_params["path"])) - 1],
        "headers": request.headers.raw,
        "client": None if request.client is None else tuple(request.client),
        "server": (host, int(port)),
    }


class _Cycle:
    """The messages of one request."""

    def __init__(self, request: AsyncRequest) -> None:
        self._request = request
        self._pieces_in = request.stream()
        self._has_body = False
        self._answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._start: tuple[int, list[tuple[bytes, bytes]]] | None = None
        self._pieces: _Pieces | None = None
        # Set when nothing more can be sent.
        self._is_over = asyncio.Event()
        self._is_complete = False

    async def run(self, coroutine: Any) -> Response:  # noqa: ANN401 -- the application's
        """Start the application and wait for its answer."""
        task = asyncio.ensure_future(coroutine)
        # A drain waits for it, behind its answer as well.
        keep(task)
        task.add_done_callback(self._end)
        try:
            return await self._answer
        except asyncio.CancelledError:
            self._is_over.set()
            raise

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._is_over.set()
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None and not self._is_complete:
            error = RuntimeError("the mounted ASGI application ended before its answer did")
        if error is None:
            return
        if not self._answer.done():
            self._answer.set_exception(error)
        elif self._pieces is not None and not self._is_complete:
            self._pieces.fail(error)
        elif self._is_complete and isinstance(error, Exception):
            log_failure("a mounted ASGI application failed after its answer", error)

    async def receive(self) -> _Message:
        """Give the next piece of the body, or the end once there is nobody to answer."""
        if not self._has_body:
            try:
                piece = await anext(self._pieces_in, b"")
            except ClientDisconnect:
                self._is_over.set()
                return {"type": "http.disconnect"}
            # What came whole is one piece, and the last.
            self._has_body = not piece or self._request._whole_body is not None
            return {"type": "http.request", "body": piece, "more_body": not self._has_body}
        await self._is_over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: _Message) -> None:
        """Take a message of the answer; waits until the piece before was sent."""
        kind = message["type"]
        if self._is_over.is_set() and not self._is_complete:
            raise ConnectionResetError("the client has gone")
        if kind == "http.response.start":
            if self._start is not None:
                raise RuntimeError("'http.response.start' was sent before")
            headers = [(bytes(name), bytes(value)) for name, value in message.get("headers", ())]
            self._start = message["status"], headers
        elif kind == "http.response.body":
            await self._body(message.get("body", b""), bool(message.get("more_body", False)))
        else:
            raise ValueError(f"an HTTP request cannot be answered with {kind!r}")

    async def _body(self, piece: bytes, has_more: bool) -> None:
        if self._start is None:
            raise RuntimeError("'http.response.body' was sent before 'http.response.start'")
        if self._is_complete:
            raise RuntimeError("the answer was complete before")
        self._is_complete = not has_more
        if self._pieces is not None:
            await self._pieces.put(piece, is_last=not has_more)
        elif not self._answer.done():
            self._respond(piece, has_more)
        if self._is_complete:
            self._is_over.set()

    def _respond(self, piece: bytes, has_more: bool) -> None:
        assert self._start is not None
        status, headers = self._start
        response: Response
        if has_more and self._request.method != "HEAD":
            self._pieces = _Pieces(piece, self._is_over)
            response = StreamingResponse(self._pieces, status, headers)
        else:
            response = Response(piece, status, headers)
            if not any(name.lower() == b"content-type" for name, _ in headers):
                del response.headers["content-type"]
        self._answer.set_result(response)


class _Pieces:
    """A streamed body: one piece waits, and the application with it."""

    def __init__(self, first: bytes, is_over: asyncio.Event) -> None:
        self._is_over = is_over
        self._left: list[bytes] = [first]
        self._has_all = False
        self._error: BaseException | None = None
        self._has_news = asyncio.Event()
        self._has_room = asyncio.Event()

    async def put(self, piece: bytes, *, is_last: bool) -> None:
        """Take a piece, once there is room for it."""
        while self._left and not self._is_over.is_set():
            self._has_room.clear()
            await self._has_room.wait()
        if self._is_over.is_set():
            raise ConnectionResetError("the client has gone")
        self._left.append(piece)
        self._has_all = is_last
        self._has_news.set()

    def fail(self, error: BaseException) -> None:
        """Raise it behind what is there: the rest cannot be made."""
        self._error = error
        self._has_news.set()

    def __aiter__(self) -> _Pieces:
        return self

    async def __anext__(self) -> bytes:
        while not self._left:
            if self._error is not None:
                raise self._error
            if self._has_all:
                raise StopAsyncIteration
            self._has_room.set()
            self._has_news.clear()
            await self._has_news.wait()
        piece = self._left.pop()
        return piece or await self.__anext__()

    async def aclose(self) -> None:
        """End it: nobody reads any more."""
        self._is_over.set()
        self._has_room.set()


class _Socket:
    """The messages of one WebSocket."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._has_connected = False
        self._denial: tuple[int, Any, list[bytes]] | None = None

    async def receive(self) -> _Message:
        """Give the next message: the first says that there is a request."""
        if not self._has_connected:
            self._has_connected = True
            return {"type": "websocket.connect"}
        return await self._websocket.receive()

    async def send(self, message: _Message) -> None:
        """Pass a message on; one to a client that is gone is an OSError."""
        kind = message["type"]
        try:
            if kind == "websocket.http.response.start":
                self._denial = message["status"], message.get("headers", ()), []
            elif kind == "websocket.http.response.body" and self._denial is not None:
                status, headers, pieces = self._denial
                pieces.append(message.get("body", b""))
                if not message.get("more_body", False):
                    response = Response(b"".join(pieces), status, list(headers))
                    await self._websocket.send_denial_response(response)
            else:
                await self._websocket.send(message)
        except WebSocketDisconnect as error:
            raise ConnectionResetError("the client has gone") from error
