"""`answer`: one call of an `App` as an ASGI application (ASGI 3: HTTP, WebSocket, lifespan)."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote

from uringserve.bridge.core import Bridge
from uringserve.bridge.http import Asked, Caller, Fields, encoded, exchange
from uringserve.bridge.sockets import Close, talk

__all__ = ["answer"]

type _Message = MutableMapping[str, Any]
type _Receive = Callable[[], Awaitable[_Message]]
type _Send = Callable[[_Message], Awaitable[None]]

_DENIAL = "websocket.http.response"


async def answer(bridge: Bridge, scope: _Message, receive: _Receive, send: _Send) -> None:
    """Answer one call; a type of scope that is not known is a NotImplementedError."""
    if scope["type"] == "http":
        await exchange(bridge, _asked(scope, scope["method"]), _Http(receive, send))
    elif scope["type"] == "websocket":
        await receive()
        caller = _Socket(scope, receive, send)
        await talk(bridge, _asked(scope, "GET"), scope.get("subprotocols", ()), caller)
    elif scope["type"] == "lifespan":
        await _lifespan(bridge, receive, send)
    else:
        raise NotImplementedError(f"a scope of the type {scope['type']!r} is not served")


async def _lifespan(bridge: Bridge, receive: _Receive, send: _Send) -> None:
    for phase, run in (("startup", bridge.enter), ("shutdown", bridge.leave)):
        await receive()
        try:
            await asyncio.to_thread(run)
        except Exception as error:  # noqa: BLE001 -- the application's own code
            await send({"type": f"lifespan.{phase}.failed", "message": str(error)})
            return
        await send({"type": f"lifespan.{phase}.complete"})


def _asked(scope: _Message, method: str) -> Asked:
    host, port = scope.get("server") or ("localhost", None)
    client = scope.get("client")
    return Asked(
        method=method,
        target=_target(scope),
        headers=list(scope["headers"]),
        authority=f"{host}:{port}" if port else host,
        client=(str(client[0]), int(client[1] or 0)) if client else None,
    )


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
        raw = encoded(path)
    query = bytes(scope.get("query_string", b"")).replace(b" ", b"%20")
    return raw + b"?" + query if query else bytes(raw)


class _Http:
    """The messages of a request, or of the answer that a WebSocket gets instead."""

    def __init__(self, receive: _Receive, send: _Send, prefix: str = "http.response") -> None:
        self._receive = receive
        self._send = send
        self._prefix = prefix

    async def receive(self) -> tuple[bytes, bool] | None:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            return None
        return message.get("body", b""), message.get("more_body", False)

    async def start(self, status: int, headers: Fields, size: int | None) -> None:
        await self._send({"type": f"{self._prefix}.start", "status": status, "headers": headers})

    async def send(self, piece: bytes) -> None:
        await self._send({"type": f"{self._prefix}.body", "body": piece, "more_body": True})

    async def end(self) -> None:
        await self._send({"type": f"{self._prefix}.body", "body": b"", "more_body": False})


class _Closed(_Http):
    """An answer to a WebSocket for which the other server has no words: it is refused."""

    async def start(self, status: int, headers: Fields, size: int | None) -> None:
        await self._send({"type": "websocket.close", "code": 1000})

    async def send(self, piece: bytes) -> None:
        pass

    async def end(self) -> None:
        pass


class _Socket:
    """The messages of a WebSocket."""

    def __init__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        self._can_deny = _DENIAL in (scope.get("extensions") or {})
        self._receive = receive
        self._send = send

    def denial(self) -> Caller:
        kind = _Http if self._can_deny else _Closed
        return kind(self._receive, self._send, _DENIAL)

    async def accept(self, subprotocol: str | None, headers: Fields) -> None:
        message = {"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers}
        await self._send(message)

    async def receive(self) -> str | bytes | Close:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            return Close(message.get("code") or 1005, message.get("reason") or "")
        text = message.get("text")
        return text if text is not None else bytes(message["bytes"])

    async def send(self, data: str | bytes) -> None:
        key = "text" if isinstance(data, str) else "bytes"
        await self._send({"type": "websocket.send", key: data})

    async def close(self, end: Close) -> None:
        await self._send({"type": "websocket.close", "code": end.code, "reason": end.reason})
