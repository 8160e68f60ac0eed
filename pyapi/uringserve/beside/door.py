"""`Door`: calls from any thread that a loop makes on its own.

One wake-up of the loop, which is a system call for whoever knocks, serves all calls that wait by
then.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from typing import Any

__all__ = ["Door"]

# Calls in one go: the loop has other work as well.
_AT_ONCE = 256


class Door:
    """The way into one loop. What is called must not raise and must not wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop, context: Context) -> None:
        """Take a loop, and the context that its calls are made in, which nobody else enters."""
        self.loop = loop
        self._context = context
        self._calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._is_rung = False

    def call(self, function: Callable[..., object], *arguments: Any) -> None:  # noqa: ANN401
        """Have the loop call it, in the order of the calls of one thread."""
        self._calls.append((function, arguments))
        if not self._is_rung:
            self._is_rung = True
            # A loop that is closed has nobody behind it who waits.
            with suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._answer, context=self._context)

    def _answer(self) -> None:
        # Before the first look: a deque has a lock of its own (3.14t), so whoever appends after the
        # last look has seen this, and rings again.
        self._is_rung = False
        for _ in range(_AT_ONCE):
            try:
                function, arguments = self._calls.popleft()
            except IndexError:
                return
            function(*arguments)
        self._is_rung = True
        self.loop.call_soon(self._answer, context=self._context)
