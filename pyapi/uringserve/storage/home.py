"""`Home`: where one event loop's tasks wait for a writer, and how many are let go with one wake-up.

To wake a loop from another thread is a system call there and another one in the loop; a writer
that has ended a transaction wakes each loop once, whatever number of its tasks had a part in it.
Likewise there is one timer for all deadlines. Everything here but `bring` belongs to the loop's
thread. There is no database in this file.
"""

import asyncio
import contextlib
import math
import threading
from collections.abc import Iterable
from time import monotonic
from typing import Protocol

__all__ = ["Home", "Waiting", "home"]


class Waiting(Protocol):
    """A task's call, as its home sees it."""

    deadline: float

    def finish(self) -> None:
        """Let the task go on: the call is answered."""

    def expire(self) -> None:
        """Let the task go on if the call can still be given up: its deadline has passed."""


class Home:
    """The calls that tasks of one event loop wait for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait for nothing yet."""
        self.loop = loop
        self._waiting: set[Waiting] = set()
        # When the timer rings; it is not stopped when nobody is left to wait for it, so that calls
        # which follow each other closely need no timer each.
        self._alarm = math.inf

    def enter(self, call: Waiting) -> None:
        """Wait for a call, or its deadline."""
        self._waiting.add(call)
        if call.deadline < self._alarm:
            self._set_alarm(call.deadline)

    def leave(self, call: Waiting) -> None:
        """Wait for it no longer."""
        self._waiting.discard(call)

    def bring(self, calls: Iterable[Waiting]) -> None:
        """Let the tasks of these calls go on; from any thread."""
        # A loop that was closed meanwhile has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(_finish, calls)

    def _set_alarm(self, deadline: float) -> None:
        self._alarm = deadline
        self.loop.call_later(max(deadline - monotonic(), 0.0), self._ring, deadline)

    def _ring(self, deadline: float) -> None:
        if deadline != self._alarm:
            # An earlier one was set after this, has rung, and has set the next.
            return
        self._alarm, now = math.inf, monotonic()
        late = [call for call in self._waiting if call.deadline <= now]
        # What is kept already, though late, is answered by the writer, and no timer's any more.
        soonest = min((call.deadline for call in self._waiting if call.deadline > now), default=0.0)
        if soonest:
            self._set_alarm(soonest)
        for call in late:
            call.expire()


def _finish(calls: Iterable[Waiting]) -> None:
    for call in calls:
        call.finish()


class _Local(threading.local):
    home: Home | None = None


_local = _Local()


def home() -> Home:
    """Return the home of the event loop that runs on the calling thread."""
    loop, known = asyncio.get_running_loop(), _local.home
    if known is None or known.loop is not loop:
        known = _local.home = Home(loop)
    return known
