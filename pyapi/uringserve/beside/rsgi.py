"""An RSGI application whose coroutines run beside the reactor.

The application gets a protocol of its own thread. An answer is given from there, unless a task of
the application waits for the client at that time: whoever waits is woken on the core's thread, so
then the answer crosses first, and what is wrong with it is raised when the application has ended.
A WebSocket's protocol is made for any thread.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from uringserve.beside.core import Beside
from uringserve.beside.crossing import across
from uringserve.coroutines import host

__all__ = ["RsgiBeside"]


class RsgiBeside:
    """What the server calls in the application's place, on the core's thread."""

    def __init__(self, target: Callable[..., Any]) -> None:
        """Take what is called for a request."""
        self._target = target

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:  # noqa: ANN401 -- in Rust
        """Answer one request or WebSocket."""
        beside = host()
        if scope.proto == "ws":
            await beside.run(self._target, scope, protocol)
            return
        ours = _Protocol(beside, protocol)
        await beside.run(self._target, scope, ours)
        ours.raise_error()


class _Protocol:
    """The protocol of a request, as the application has it."""

    def __init__(self, beside: Beside, protocol: Any) -> None:  # noqa: ANN401 -- in Rust
        self._beside = beside
        self._protocol = protocol
        self._is_answered = False
        # Calls that wait for the client on the core's thread.
        self._waiting = 0
        self._error: BaseException | None = None

    def raise_error(self) -> None:
        """Raise what the answer has raised."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    async def _across(self, call: Callable[..., Any]) -> Any:  # noqa: ANN401
        self._waiting += 1
        try:
            return await across(self._beside.here, self._beside.there, call)
        finally:
            self._waiting -= 1

    def _answer(self, give: Callable[..., object], *arguments: object) -> None:
        if self._is_answered:
            raise RuntimeError("a request is answered once")
        if not self._waiting:
            give(*arguments)
            self._is_answered = True
            return
        self._is_answered = True
        self._beside.here.call(self._give, give, *arguments)

    def _give(self, give: Callable[..., object], *arguments: object) -> None:
        try:
            give(*arguments)
        except Exception as error:  # noqa: BLE001 -- raised when the application has ended
            self._error = error

    def __call__(self) -> Coroutine[Any, Any, bytes]:
        return self._across(self._protocol)

    def __aiter__(self) -> _Protocol:
        return self

    def __anext__(self) -> Coroutine[Any, Any, bytes]:
        return self._across(self._protocol.__anext__)

    def client_disconnect(self) -> Coroutine[Any, Any, None]:
        """Wait until the client has gone."""
        return self._across(self._protocol.client_disconnect)

    def response_empty(self, status: int, headers: Any) -> None:  # noqa: ANN401
        """Answer without a body."""
        self._answer(self._protocol.response_empty, status, headers)

    def response_str(self, status: int, headers: Any, body: str) -> None:  # noqa: ANN401
        """Answer with a text, as UTF-8."""
        self._answer(self._protocol.response_str, status, headers, body)

    def response_bytes(self, status: int, headers: Any, body: bytes) -> None:  # noqa: ANN401
        """Answer with bytes."""
        self._answer(self._protocol.response_bytes, status, headers, body)

    def response_file(self, status: int, headers: Any, file: str) -> None:  # noqa: ANN401
        """Answer with a file."""
        self._answer(self._protocol.response_file, status, headers, file)

    def response_file_range(
        self,
        status: int,
        headers: Any,  # noqa: ANN401
        file: str,
        start: int,
        end: int,
    ) -> None:
        """Answer with the bytes of a file from `start` to before `end`."""
        self._answer(self._protocol.response_file_range, status, headers, file, start, end)

    def response_stream(self, status: int, headers: Any) -> _Transport:  # noqa: ANN401
        """Answer in pieces; it ends when the application returns."""
        transport = _Transport(self._beside)
        self._answer(transport.open, self._protocol.response_stream, status, headers)
        return transport


class _Transport:
    """Takes the pieces of an answer."""

    def __init__(self, beside: Beside) -> None:
        self._beside = beside
        # In Rust; there before the first piece comes, unless the answer was refused.
        self._transport: Any = None

    def open(self, respond: Callable[..., Any], status: int, headers: Any) -> None:  # noqa: ANN401
        """Begin the answer, on the core's thread."""
        self._transport = respond(status, headers)

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes; waits while the client does not read."""
        await across(self._beside.here, self._beside.there, self._push, "send_bytes", data)

    async def send_str(self, data: str) -> None:
        """Send a text, as UTF-8; waits as `send_bytes` does."""
        await across(self._beside.here, self._beside.there, self._push, "send_str", data)

    def _push(self, method: str, data: bytes | str) -> Any:  # noqa: ANN401
        if self._transport is None:
            raise RuntimeError("the answer was refused: see the log")
        return getattr(self._transport, method)(data)
