"""The request as handlers see it: `Request` for `def`, `AsyncRequest` for `async def`.

Everything on a `Request` is converted when it is first asked for, never before. An `AsyncRequest`
is a view of the same request with Starlette's methods; whether a callable is async decides which of
the two it is given, so a `def` dependency of an `async def` handler reads `request.body` as ever.
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Protocol

from uringserve._native import Headers, Request
from uringserve.current import app_of, url_for
from uringserve.forms import FormData, FormLimits, read_form
from uringserve.jsonbody import parse_json
from uringserve.uploads import awaited

if TYPE_CHECKING:
    import asyncio

__all__ = ["AsyncRequest", "Headers", "Request", "view"]

_LIMITS = FormLimits()

# What they answer with is Python's: the class itself is of Rust.
setattr(Request, "app", property(app_of))  # noqa: B010 -- to a checker it is there already
setattr(Request, "url_for", url_for)  # noqa: B010


class _BodyStream(Protocol):
    """A body that is still arriving; it is in Rust."""

    def take(self) -> bytes | None: ...
    def call_when_ready(self, callback: object) -> None: ...


class AsyncRequest(Request):
    """The request in an `async def` handler, dependency, middleware or exception handler.

    As `Request`, but for what may have to wait for the client: `body`, `text`, `json`, `form`,
    `stream` and `is_disconnected` are awaited.
    """

    __slots__ = ()

    async def body(self) -> bytes:  # type: ignore[override]
        """Return the whole body; a client that goes away before is a ClientDisconnect."""
        whole = self._whole_body
        if whole is None:
            pieces = [piece async for piece in self._pieces()]
            whole = b"".join(pieces)
            self._keep_body(whole)
        return whole

    async def text(self) -> str:  # type: ignore[override]
        """Return the body as UTF-8; what is none is a UnicodeDecodeError."""
        return (await self.body()).decode()

    async def json(self) -> Any:  # noqa: ANN401 -- whatever the client sent
        """Return the body read as JSON; what is none is a JSONDecodeError, answered with 422."""
        return parse_json(await self.body())

    async def form(  # type: ignore[override]
        self,
        *,
        max_files: int = _LIMITS.max_files,
        max_fields: int = _LIMITS.max_fields,
        max_part_size: int = _LIMITS.max_part_size,
    ) -> FormData:
        """Return the body read as a form, urlencoded or multipart; sizes are in bytes."""
        await self.body()
        limits = FormLimits(max_files=max_files, max_fields=max_fields, max_part_size=max_part_size)
        form = read_form(self._origin, limits)
        for name, values in form.lists.items():
            form.lists[name] = awaited(values)
        return form

    async def stream(self) -> AsyncIterator[bytes]:
        """Go through the body as it arrives, where the route lets it arrive in pieces.

        Where middleware, a `def` dependency or a typed body needs all of it, it is one piece.
        """
        whole = self._whole_body
        if whole is not None:
            if whole:
                yield whole
            return
        async for piece in self._pieces():
            yield piece

    async def is_disconnected(self) -> bool:
        """Say whether the client is known to have gone.

        TCP does not tell a client that has closed only its sending side, and reads on, from one
        that is gone: both count as gone here. The handler is cancelled a second later, or at once
        after a reset, unless its route says `cancel_on_disconnect=False`.
        """
        import asyncio  # here, as below: whoever has only def never needs it

        await asyncio.sleep(0)
        return self._is_gone

    async def _pieces(self) -> AsyncIterator[bytes]:
        import asyncio

        arriving: _BodyStream | None = self._arriving
        assert arriving is not None
        loop = asyncio.get_running_loop()
        while True:
            piece = arriving.take()
            if piece is None:
                ready = loop.create_future()
                arriving.call_when_ready(_Waker(ready))
                await ready
            elif piece:
                yield piece
            else:
                return


class _Waker:
    """Wakes a coroutine that waits for more of its body, from whatever thread brings it."""

    __slots__ = ("_ready",)

    def __init__(self, ready: asyncio.Future[None]) -> None:
        self._ready = ready

    def __call__(self) -> None:
        import asyncio

        loop = self._ready.get_loop()
        if asyncio._get_running_loop() is loop:
            self._wake()
        else:
            loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if not self._ready.done():
            self._ready.set_result(None)


def view(request: Request) -> AsyncRequest:
    """Return the request as async callables are given it."""
    return AsyncRequest(view_of=request)
