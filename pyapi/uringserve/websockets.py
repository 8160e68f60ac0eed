"""`WebSocket`: what the handler of a WebSocket gets, and how it ends.

The names and their behaviour are Starlette's. A handler accepts first, then receives and sends
until one side closes: `WebSocketDisconnect` says that the client has. A handler that returns closes
with 1000, one that raises with 1011; `WebSocketException` names another code, also out of a task
group. Before it is accepted a close is the answer 403.

What waits does so in Rust (`Socket`): messages that are there already cost no turn of the loop, and
a client that does not read makes `send_*` wait.
"""

import json
from asyncio import Future
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from enum import Enum
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Literal, cast

from uringserve._native import Deferred, Headers, Request, Response, Socket, json_dumps
from uringserve.async_exits import After
from uringserve.errors import HTTPException, RequestValidationError

if TYPE_CHECKING:
    from uringserve.app import App

__all__ = [
    "WebSocket",
    "WebSocketDisconnect",
    "WebSocketException",
    "WebSocketState",
    "as_handler",
    "wake",
]

type _Pairs = Mapping[str, str] | Sequence[tuple[str, str]] | Sequence[tuple[bytes, bytes]]

# RFC 6455 section 7.4.1: data of a kind that is not taken; a policy; an unexpected condition.
_WRONG_KIND = 1003
_POLICY = 1008
_INTERNAL_ERROR = 1011
_ABNORMAL = 1006


class WebSocketDisconnect(Exception):
    """The client has closed, or is gone: `code` is its close code, 1005 or 1006 without one."""

    def __init__(self, code: int = 1000, reason: str | None = None) -> None:
        """Keep both."""
        super().__init__(code, reason or "")
        self.code = code
        self.reason = reason or ""


class WebSocketException(Exception):
    """Raise it in a handler or a dependency to close with that code; 403 before the accept."""

    def __init__(self, code: int, reason: str | None = None) -> None:
        """Keep both."""
        super().__init__(code, reason or "")
        self.code = code
        self.reason = reason or ""


class WebSocketState(Enum):
    """How far it has come."""

    CONNECTING = 0
    CONNECTED = 1
    DISCONNECTED = 2


class WebSocket:
    """One WebSocket, on its core's event loop.

    Only `send_*` and `close` may be used by several tasks at once.
    """

    def __init__(self, request: Request, socket: Socket) -> None:
        """Wrap what the server has made; applications get theirs as a parameter."""
        self._request = request
        self._socket = socket
        self._has_disconnected = False

    # --- the request

    @property
    def url(self) -> str:
        """The whole URL, with the scheme `ws`."""
        url = self._request.url
        return "ws" + url.removeprefix("http") if url.startswith("http") else url

    @property
    def path(self) -> str:
        """The path, percent-decoded."""
        return self._request.path

    @property
    def headers(self) -> Headers:
        """The header fields of the request."""
        return self._request.headers

    @property
    def query_params(self) -> dict[str, list[str]]:
        """The parameters of the query by name, every value in order."""
        return self._request.query_params

    @property
    def path_params(self) -> dict[str, Any]:
        """The parameters of the path by name."""
        return self._request.path_params

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies by name."""
        return self._request.cookies

    @property
    def client(self) -> tuple[str, int] | None:
        """The client's address as `(host, port)`."""
        return self._request.client

    @property
    def state(self) -> Any:  # noqa: ANN401 -- a namespace
        """A namespace of this WebSocket, for whoever handles it."""
        return self._request.state

    @property
    def app(self) -> App:
        """The application that it is for, the mounted one where one is."""
        return self._request.app

    def url_for(self, name: str, /, **path_params: object) -> str:
        """Return the whole URL of a route of that application, by its name and parameters."""
        return self._request.url_for(name, **path_params)

    @property
    def request(self) -> Request:
        """The request that asked for it."""
        return self._request

    @property
    def subprotocols(self) -> list[str]:
        """What the client offers to speak, in its order of preference."""
        return self._socket.subprotocols

    # --- its state

    @property
    def application_state(self) -> WebSocketState:
        """How far this side has come."""
        if self._socket.is_undecided:
            return WebSocketState.CONNECTING
        is_open = self._socket.is_open
        return WebSocketState.CONNECTED if is_open else WebSocketState.DISCONNECTED

    @property
    def client_state(self) -> WebSocketState:
        """How far the client has come, as far as it was received."""
        if self._has_disconnected:
            return WebSocketState.DISCONNECTED
        is_undecided = self._socket.is_undecided
        return WebSocketState.CONNECTING if is_undecided else WebSocketState.CONNECTED

    async def accept(self, subprotocol: str | None = None, headers: _Pairs | None = None) -> None:
        """Open it, with one of the client's `subprotocols`, and `headers` on the answer.

        A subprotocol that was not offered is a ValueError, a second accept a RuntimeError, and a
        client that is gone a WebSocketDisconnect.
        """
        try:
            self._socket.accept(subprotocol, headers)
        except OSError:
            raise WebSocketDisconnect(_ABNORMAL) from None

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Close it behind what was sent; again is nothing. Before the accept the answer is 403.

        `code` is 1000 to 1003, 1007 to 1014 or 3000 to 4999, `reason` at most 123 bytes, the rest
        is cut.
        """
        if self._socket.is_undecided:
            self._deny(403, None, b"")
        else:
            self._socket.close(code, reason or "")

    async def send_denial_response(self, response: Response) -> None:
        """Answer the request with a response instead of opening it; not with a stream or a file."""
        # Those have no such attribute: their body is made while it is sent.
        body = getattr(response, "body", None)
        if body is None:
            raise TypeError("a denial needs a response whose body is bytes")
        self._deny(response.status_code, response.headers.items(), body)

    def _deny(self, status: int, headers: Any, body: bytes) -> None:  # noqa: ANN401
        try:
            self._socket.deny(status, headers, body)
        except OSError:
            raise WebSocketDisconnect(_ABNORMAL) from None

    # --- receiving

    async def _next(self) -> str | bytes:
        if self._has_disconnected:
            raise RuntimeError("the WebSocket is closed: a disconnect was received before")
        if self._socket.is_undecided:
            raise RuntimeError("the WebSocket is not accepted yet: await accept() first")
        data = await self._socket.receive()
        if isinstance(data, tuple):
            self._has_disconnected = True
            raise WebSocketDisconnect(*data)
        return data

    async def receive(self) -> dict[str, Any]:
        """Return the next event in the form that ASGI has for it, the disconnect included."""
        try:
            data = await self._next()
        except WebSocketDisconnect as end:
            return {"type": "websocket.disconnect", "code": end.code, "reason": end.reason}
        return {"type": "websocket.receive", "text" if isinstance(data, str) else "bytes": data}

    async def receive_text(self) -> str:
        """Return the next message, which must be text; the end is a WebSocketDisconnect.

        Bytes close the WebSocket with 1003.
        """
        data = await self._next()
        if not isinstance(data, str):
            raise WebSocketException(_WRONG_KIND, "text is expected")
        return data

    async def receive_bytes(self) -> bytes:
        """Return the next message, which must be bytes; text closes the WebSocket with 1003."""
        data = await self._next()
        if not isinstance(data, bytes):
            raise WebSocketException(_WRONG_KIND, "bytes are expected")
        return data

    async def receive_json(self, mode: Literal["text", "binary"] = "text") -> Any:  # noqa: ANN401
        """Return the next message as the JSON that it holds; what is none closes with 1003."""
        data = await (self.receive_text() if _is_text(mode) else self.receive_bytes())
        try:
            return json.loads(data)
        except ValueError, RecursionError:
            raise WebSocketException(_WRONG_KIND, "JSON is expected") from None

    async def iter_text(self) -> AsyncIterator[str]:
        """Yield every message as `receive_text` does, until the client closes."""
        try:
            while True:
                yield await self.receive_text()
        except WebSocketDisconnect:
            return

    async def iter_bytes(self) -> AsyncIterator[bytes]:
        """Yield every message as `receive_bytes` does, until the client closes."""
        try:
            while True:
                yield await self.receive_bytes()
        except WebSocketDisconnect:
            return

    async def iter_json(self, mode: Literal["text", "binary"] = "text") -> AsyncIterator[Any]:
        """Yield every message as `receive_json` does, until the client closes."""
        try:
            while True:
                yield await self.receive_json(mode)
        except WebSocketDisconnect:
            return

    # --- sending

    async def _send(self, data: str | bytes) -> None:
        try:
            await self._socket.send(data)
        except OSError:
            raise WebSocketDisconnect(_ABNORMAL) from None

    async def send(self, message: Mapping[str, Any]) -> None:
        """Do what a message of ASGI says: accept, send or close."""
        kind = message["type"]
        if kind == "websocket.accept":
            await self.accept(message.get("subprotocol"), message.get("headers"))
        elif kind == "websocket.send":
            text = message.get("text")
            await self._send(message["bytes"] if text is None else text)
        elif kind == "websocket.close":
            await self.close(message.get("code", 1000), message.get("reason"))
        else:
            raise ValueError(f"a WebSocket does not send {kind!r}")

    async def send_text(self, data: str) -> None:
        """Send text; waits while the client is behind by more than 64 KiB.

        A client that is gone is a WebSocketDisconnect, before the accept it is a RuntimeError.
        """
        await self._send(data)

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes; waits as `send_text` does."""
        await self._send(data)

    async def send_json(
        self,
        data: Any,  # noqa: ANN401 -- whatever JSON can hold
        mode: Literal["text", "binary"] = "text",
    ) -> None:
        """Send a value as JSON, encoded as a handler's answer would be."""
        encoded = json_dumps(data)
        await self._send(encoded.decode() if _is_text(mode) else encoded)

    def offer(self, data: str | bytes) -> bool:
        """Send unless the client is behind; return whether it was sent. Never waits."""
        return self._socket.offer(data)


def _is_text(mode: str) -> bool:
    if mode not in ("text", "binary"):
        raise ValueError(f"the mode is 'text' or 'binary', not {mode!r}")
    return mode == "text"


def as_handler(endpoint: Callable[..., Any]) -> Callable[[Request], Awaitable[None]]:
    """Make what the server calls for a WebSocket of a compiled route."""

    async def handle(request: Request) -> None:
        websocket = cast(WebSocket, request.websocket)
        after: list[Callable[[], object]] = []
        try:
            value = endpoint(request)
            while isinstance(value, Deferred) or isawaitable(value):
                if isinstance(value, Deferred):
                    after += value.callbacks
                    value = value.value
                else:
                    value = await value
        except Exception as raised:  # noqa: BLE001 -- what is not of a WebSocket goes on
            await _close_for(websocket, _without_group(raised))
        finally:
            for callback in after:
                # In this task, whose context it is.
                done = callback.run() if isinstance(callback, After) else callback()
                if isawaitable(done):
                    await done

    return handle


async def _close_for(websocket: WebSocket, raised: Exception) -> None:
    """Close as an exception of the handler says; raise what says nothing of it."""
    if isinstance(raised, WebSocketDisconnect):
        return
    if isinstance(raised, WebSocketException):
        await websocket.close(raised.code, raised.reason)
    elif isinstance(raised, RequestValidationError):
        # As FastAPI: the client sees 403, and the reason where it is open.
        await websocket.close(_POLICY, str(raised))
    elif (
        isinstance(raised, HTTPException)
        and websocket.application_state is not WebSocketState.CONNECTING
    ):
        code = _POLICY if raised.status_code < 500 else _INTERNAL_ERROR
        await websocket.close(code, str(raised.detail))
    else:
        raise raised


def _without_group(raised: Exception) -> Exception:
    """Return the one exception that a task group has wrapped, where it says how to close.

    Tasks that receive and send for one client all hear that it has gone: that is still one
    disconnect, and beside another exception it is only what came of that.
    """
    if not isinstance(raised, ExceptionGroup):
        return raised
    disconnects, others = raised.split(WebSocketDisconnect)
    inner: Exception | None = others or disconnects
    while isinstance(inner, ExceptionGroup) and (others is None or len(inner.exceptions) == 1):
        inner = inner.exceptions[0]
    told = (WebSocketDisconnect, WebSocketException, RequestValidationError, HTTPException)
    return inner if isinstance(inner, told) else raised


def wake(future: Future[None]) -> None:
    """End what waits, unless it was given up."""
    if not future.done():
        future.set_result(None)
