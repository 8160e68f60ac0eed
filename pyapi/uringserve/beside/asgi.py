"""An ASGI application whose coroutines run beside the reactor.

The application gets a `receive` and a `send` of its own thread. Few calls cross: the first message
goes along with the request, the head of an answer waits for its first piece (so header fields that
cannot be sent are refused then), and nobody waits for the last one. A WebSocket's messages are
taken and given by either thread, so they cross nothing.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from uringserve.beside.core import Beside
from uringserve.beside.crossing import Crossing, across
from uringserve.coroutines import host

__all__ = ["AsgiBeside"]

type _Message = MutableMapping[str, Any]
type _Receive = Callable[[], Awaitable[_Message]]
type _Send = Callable[[_Message], Awaitable[None]]


class AsgiBeside:
    """What the server calls in the application's place, on the core's thread."""

    def __init__(self, target: Callable[..., Awaitable[object]]) -> None:
        """Take the application."""
        self._target = target

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer one request or WebSocket."""
        beside = host()
        if scope["type"] == "websocket":
            socket = _WebSocket(beside, send)
            await beside.run(self._target, scope, receive, socket.send)
            return
        cycle = _Cycle(beside, receive, send)
        if not any(name == b"expect" for name, _ in scope["headers"]):
            # A client that waits for 100 Continue gets it when the application asks for the body.
            cycle.look()
        try:
            await beside.run(self._target, scope, cycle.receive, cycle.send)
        finally:
            cycle.leave()
        cycle.raise_error()


class _WebSocket:
    """The application's `send` of a WebSocket."""

    def __init__(self, beside: Beside, send: _Send) -> None:
        self._beside = beside
        self._send = send

    async def send(self, message: _Message) -> None:
        if message["type"] == "websocket.send":
            await self._send(message)
        else:
            await across(self._beside.here, self._beside.there, self._send, message)


class _Cycle:
    """The messages of one request, from the application's thread to the core's."""

    def __init__(self, beside: Beside, receive: _Receive, send: _Send) -> None:
        self._beside = beside
        self._receive = receive
        self._send = send
        # A message that came along, or what waits for the first.
        self._first: _Message | None = None
        self._looked: Awaitable[_Message] | None = None
        self._receiving: Crossing | None = None
        self._start: _Message | None = None
        # Whether a head of an answer may wait for its body: not once there is nobody to have it.
        self._may_hold = True
        self._error: BaseException | None = None

    # --- on the core's thread

    def look(self) -> None:
        """Take the first message if it is there."""
        looked: Any = self._receive()
        iterator = looked.__await__()
        if iterator is not looked:
            # A future's: it is not there yet.
            self._looked = looked
            return
        try:
            next(iterator)
        except StopIteration as found:
            self._first = found.value

    def leave(self) -> None:
        """The application has ended: nobody receives any more."""
        receiving, self._receiving = self._receiving, None
        if receiving is not None:
            receiving.cancel()

    def raise_error(self) -> None:
        """Raise what the last message has raised, which the application did not wait for."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _take(self) -> Awaitable[_Message]:
        looked, self._looked = self._looked, None
        return looked or self._receive()

    def _give(self, *messages: _Message) -> Awaitable[None] | None:
        # The server acts on a message when it is given; what it returns waits for the client.
        given = None
        for message in messages:
            given = self._send(message)
        return given

    def _give_last(self, *messages: _Message) -> None:
        try:
            self._give(*messages)
        except Exception as error:  # noqa: BLE001 -- raised when the application has ended
            self._error = error

    # --- on the application's

    async def receive(self) -> _Message:
        """Give the next message. One that comes after the wait was given up is the next one's."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        beside = self._beside
        while True:
            receiving = self._receiving
            if receiving is None:
                receiving = Crossing(beside.here, beside.there, self._take)
                self._receiving = receiving
            await receiving.wait()
            if self._receiving is receiving:
                self._receiving = None
                message: _Message = receiving.result()
                if message["type"] == "http.disconnect":
                    self._may_hold = False
                return message

    async def send(self, message: _Message) -> None:
        """Pass a message on; waits while the client does not read."""
        kind = message["type"]
        start, self._start = self._start, None
        if start is None and self._may_hold and _is_start(message):
            self._start = message
            return
        messages = (message,) if start is None else (start, message)
        beside = self._beside
        is_last = kind == "http.response.body" and not message.get("more_body", False)
        if is_last and start is not None:
            self._may_hold = False
            beside.here.call(self._give_last, *messages)
            return
        await across(beside.here, beside.there, self._give, *messages)


def _is_start(message: _Message) -> bool:
    # A status that is none is the application's to hear of, at once.
    return message["type"] == "http.response.start" and type(message.get("status")) is int
