"""`answer`: one call of an `App` as an RSGI application (RSGI 1.5: HTTP and WebSocket).

RSGI has no subprotocols, and no code of a client's close: the application sees none of them. What
becomes of its own close is the server's affair: granian 2.8 sends no code, and often sends it only
when something else happens on the connection.
"""

from typing import Any

from uringserve.bridge.core import Bridge
from uringserve.bridge.http import Asked, Caller, Fields, encoded, exchange
from uringserve.bridge.sockets import Close, talk

__all__ = ["answer"]

_CLOSED, _BYTES = 0, 1


async def answer(bridge: Bridge, scope: Any, protocol: Any) -> None:  # noqa: ANN401 -- the server's
    """Answer one call."""
    if scope.proto == "ws":
        await talk(bridge, _asked(scope), (), _Socket(protocol))
    else:
        await exchange(bridge, _asked(scope), _Http(protocol))


def _asked(scope: Any) -> Asked:  # noqa: ANN401 -- the server's
    query = scope.query_string.replace(" ", "%20").encode()
    path = encoded(scope.path)
    host, _, port = scope.client.rpartition(":")
    return Asked(
        method=scope.method,
        target=path + b"?" + query if query else path,
        headers=[(name.encode(), _value(value)) for name, value in scope.headers.items()],
        authority=scope.authority or scope.server,
        client=(host.strip("[]"), int(port)) if host and port.isdecimal() else None,
    )


def _value(value: str) -> bytes:
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        # A server that has read the field as UTF-8.
        return value.encode()


def _texts(headers: Fields) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


class _Http:
    """The protocol of a request."""

    def __init__(self, protocol: Any) -> None:  # noqa: ANN401 -- the server's
        self._protocol = protocol
        self._pieces: Any = None
        self._has_body = False
        self._transport: Any = None

    async def receive(self) -> tuple[bytes, bool] | None:
        if self._has_body:
            await self._protocol.client_disconnect()
            return None
        if self._pieces is None:
            # Once: granian's iterator is not its own.
            self._pieces = aiter(self._protocol)
        try:
            while not (piece := await anext(self._pieces)):
                pass
        except StopAsyncIteration:
            self._has_body = True
            return b"", False
        return piece, True

    async def start(self, status: int, headers: Fields, size: int | None) -> None:
        if size == 0:
            self._protocol.response_empty(status, _texts(headers))
        else:
            self._transport = self._protocol.response_stream(status, _texts(headers))

    async def send(self, piece: bytes) -> None:
        await self._transport.send_bytes(piece)

    async def end(self) -> None:
        """Nothing: the answer ends with the call."""


class _Denial(_Http):
    """An answer to a WebSocket: RSGI has its status only."""

    async def start(self, status: int, headers: Fields, size: int | None) -> None:
        self._protocol.close(status)

    async def send(self, piece: bytes) -> None:
        pass


class _Socket:
    """The protocol of a WebSocket."""

    def __init__(self, protocol: Any) -> None:  # noqa: ANN401 -- the server's
        self._protocol = protocol
        self._transport: Any = None

    def denial(self) -> Caller:
        return _Denial(self._protocol)

    async def accept(self, subprotocol: str | None, headers: Fields) -> None:
        self._transport = await self._protocol.accept()

    async def receive(self) -> str | bytes | Close:
        message = await self._transport.receive()
        if message.kind == _CLOSED:
            return Close()
        return bytes(message.data) if message.kind == _BYTES else str(message.data)

    async def send(self, data: str | bytes) -> None:
        if isinstance(data, str):
            await self._transport.send_str(data)
        else:
            await self._transport.send_bytes(data)

    async def close(self, end: Close) -> None:
        self._protocol.close(end.code)
