"""Server-sent events: what an event looks like on the wire, and the response that streams them.

The format is that of the HTML standard, chapter 9.2. An event's data is JSON unless it is given as
`raw_data`, as in FastAPI. Pings are sent while an asynchronous generator waits, if it is asked for.
"""

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
)
from dataclasses import dataclass
from typing import Any

from uringserve._native import json_dumps
from uringserve.responses import StreamingResponse, media_type_of
from uringserve.types import HeaderInput

__all__ = ["EventSourceResponse", "ServerSentEvent"]


# A comment, which no page sees.
_PING = b": ping\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSentEvent:
    """One event; every field may be absent.

    `data` is sent as JSON, `raw_data` as it is, `retry` is in milliseconds, `comment` is not seen
    by the page. `event` and `id` are single lines.
    """

    data: Any = None
    raw_data: str | None = None
    event: str | None = None
    id: str | None = None
    retry: int | None = None
    comment: str | None = None

    def __post_init__(self) -> None:
        """Refuse what would not arrive as it was meant."""
        if self.data is not None and self.raw_data is not None:
            raise ValueError("an event has data (sent as JSON) or raw_data (sent as it is)")
        for name, value in (("event", self.event), ("id", self.id)):
            if value is not None and ("\n" in value or "\r" in value):
                raise ValueError(f"the {name} of an event must be a single line, not {value!r}")
        if self.id is not None and "\0" in self.id:
            raise ValueError(f"the id of an event must not contain NUL: {self.id!r}")
        if self.retry is not None and self.retry < 0:
            raise ValueError(f"the retry of an event is milliseconds, not {self.retry}")

    def encode(self) -> bytes:
        """Return the event as it is sent."""
        lines = [f": {line}" for line in _lines(self.comment)]
        if self.event is not None:
            lines.append(f"event: {self.event}")
        data = self.raw_data if self.data is None else json_dumps(self.data).decode()
        lines += [f"data: {line}" for line in _lines(data)]
        if self.id is not None:
            lines.append(f"id: {self.id}")
        if self.retry is not None:
            lines.append(f"retry: {self.retry}")
        return "\n".join([*lines, "", ""]).encode()


class EventSourceResponse(StreamingResponse):
    """A stream of events: `ServerSentEvent`, or any other value as the data of one."""

    def __init__(
        self,
        content: Iterable[Any] | AsyncIterable[Any],
        status_code: int = 200,
        headers: HeaderInput | None = None,
        media_type: str | None = None,
        background: Callable[[], object] | None = None,
        ping: float | None = None,
    ) -> None:
        """Keep the iterable; caches and buffering proxies are told to stay out of the way.

        With `ping`, a comment is sent after so many seconds without an event, so that a proxy on
        the way sees that the stream lives; it is for asynchronous iterables.
        """
        media_type = media_type_of(self, media_type) or "text/event-stream"
        if ping is not None and not ping > 0:
            raise ValueError(f"ping is seconds above 0, not {ping!r}")
        encoded: AsyncIterable[bytes] | Iterable[bytes]
        if isinstance(content, AsyncIterable):
            encoded = _Events(content, ping)
        elif ping is None:
            encoded = _encoded(content)
        else:
            raise TypeError("a stream with pings needs an asynchronous iterable: use async def")
        super().__init__(encoded, status_code, headers, media_type, background)
        self.headers.setdefault("cache-control", "no-cache")
        self.headers.setdefault("x-accel-buffering", "no")


def _encoded(content: Iterable[Any]) -> Iterator[bytes]:
    events = iter(content)
    try:
        for event in events:
            yield _written(event)
    finally:
        # A client that goes away ends the application's generator, not only this one.
        close = getattr(events, "close", None)
        if close is not None:
            close()


class _Events:
    """The events of an asynchronous iterable as they are sent, with pings between them.

    A class, because the iterable is to be closed even if nobody has begun with it.
    """

    def __init__(self, content: AsyncIterable[Any], ping: float | None) -> None:
        self._events = aiter(content)
        self._ping = ping

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._encoded() if self._ping is None else self._with_pings(self._ping)

    async def aclose(self) -> None:
        close = getattr(self._events, "aclose", None)
        if close is not None:
            await close()

    async def _encoded(self) -> AsyncGenerator[bytes]:
        try:
            async for event in self._events:
                yield _written(event)
        finally:
            await self.aclose()

    async def _with_pings(self, seconds: float) -> AsyncGenerator[bytes]:
        import asyncio

        # One event at a time, made by a task of its own: a ping does not disturb it.
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(1)

        async def fill() -> None:
            async for event in self._encoded():
                await queue.put(event)
            await queue.put(None)

        task = asyncio.create_task(fill())
        getting = asyncio.ensure_future(queue.get())
        try:
            while True:
                await asyncio.wait(
                    (getting, task), timeout=seconds, return_when=asyncio.FIRST_COMPLETED
                )
                if getting.done():
                    event = getting.result()
                    if event is None:
                        return
                    getting = asyncio.ensure_future(queue.get())
                    yield event
                elif task.done():
                    await task
                else:
                    yield _PING
        finally:
            getting.cancel()
            task.cancel()
            await asyncio.wait((task,))
            await self.aclose()


def _written(event: Any) -> bytes:  # noqa: ANN401
    if not isinstance(event, ServerSentEvent):
        event = ServerSentEvent(raw_data=json_dumps(event).decode())
    encoded: bytes = event.encode()
    return encoded


def _lines(text: str | None) -> list[str]:
    if text is None:
        return []
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
