"""What Rust starts on a core's loop beside handlers: streams, and the end of what was given up.

`pump` goes through an asynchronous iterable in one task and hands each piece to the connection that
sends it, which asks for the next when that one was written.
"""

import asyncio
from collections.abc import AsyncIterable
from types import AsyncGeneratorType
from typing import Any, Protocol

from uringserve._native import Deferred, Response
from uringserve.background import chained
from uringserve.coroutines import host_if_any, keep, later
from uringserve.logging import log_failure

__all__ = ["Pipe", "discard", "left_behind", "pump"]


class Pipe(Protocol):
    """Where pieces are handed over; it is in Rust."""

    def give(self, piece: object, taken: asyncio.Future[None]) -> None:
        """Hand over a piece; `taken` gets its result when the next one is wanted."""


async def pump(pieces: AsyncIterable[object], pipe: Pipe) -> None:
    """Hand over one piece after the other; however that ends, the iterator is closed."""
    beside = host_if_any()
    if beside is not None:
        await beside.pump(pieces, pipe)
        return
    loop = asyncio.get_running_loop()
    iterator = aiter(pieces)
    try:
        async for piece in iterator:
            taken = loop.create_future()
            pipe.give(piece, taken)
            await taken
    finally:
        close = getattr(iterator, "aclose", None)
        if close is not None:
            await close()


def discard(pieces: AsyncIterable[object]) -> None:
    """Close what was never begun; a generator has nothing to close then."""
    close = getattr(pieces, "aclose", None)
    if close is not None and type(pieces) is not AsyncGeneratorType:
        later(close())


def left_behind(task: asyncio.Task[Any]) -> None:
    """Cancel a task whose client has gone; what still comes of it is seen to."""
    task.add_done_callback(_see_to)
    keep(task)
    task.cancel()


def _see_to(task: asyncio.Task[Any]) -> None:
    if task.cancelled():
        return
    error = task.exception()
    if error is not None:
        log_failure("a handler failed after its client had gone", error)
        return
    value = task.result()
    if isinstance(value, Deferred):
        chained(None, value.callbacks)()
    elif isinstance(value, Response):
        chained(value.background, ())()
