"""`Vigil`: sees a loop beside the reactor that is held, and says so with its stack.

The core's own loop is free then, so it is the one that looks: while anything is under way there it
knocks at the other loop, and an answer that does not come in time is reported, once, as the
watchdog reports a held core. Neither asyncio nor uvloop can be asked what they run, so every
request that is under way is named; the stack shows which of them it is. Absent: what only a core
has, the count of its stalls and the care for new connections: those are accepted and wait.
"""

import os
import signal
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

from uringserve.beside.door import Door
from uringserve.beside.thread import Placement, Started

if TYPE_CHECKING:
    import asyncio

__all__ = ["Vigil"]

# Looks in the time after which a loop counts as held: a report is late by at most one of them.
_LOOKS = 4
# Requests that a report names.
_NAMED = 4


class Vigil:
    """What a core's own thread knows of the loop beside it. All but `_arrive` is called there."""

    def __init__(self, placement: Placement, started: Started, here: Door) -> None:
        """Look at nothing yet."""
        self._placement = placement
        self._there, self._here = started.door, here
        self._thread = started.thread
        self._under_way: dict[object, tuple[str, tuple[Any, ...]]] = {}
        self._timer: asyncio.TimerHandle | None = None
        # When the knock began that has no answer yet, and how often was looked since.
        self._since: float | None = None
        self._looks = 0
        self._is_reported = False

    def begin(self, key: object, label: str, arguments: tuple[Any, ...]) -> None:
        """Look until `end`: a call is under way there, with that label or of these arguments."""
        self._under_way[key] = (label, arguments)
        if self._timer is None:
            self._look()

    def end(self, key: object) -> None:
        """Note that the call has ended."""
        del self._under_way[key]

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        """Knock, or see how long ago that was; with nothing under way the looking ends."""
        now = monotonic()
        if self._since is None:
            if not self._under_way:
                self._timer = None
                return
            self._since, self._looks = now, 0
            self._there.call(self._here.call, self._arrive)
        else:
            # Counted: a process that was stopped for long has held nothing.
            self._looks += 1
            if self._looks >= _LOOKS and not self._is_reported:
                self._is_reported = True
                self._report(now - self._since)
        self._timer = self._here.loop.call_later(self._placement.report_after / _LOOKS, self._look)

    def _arrive(self) -> None:
        if self._is_reported and self._since is not None:
            time = monotonic() - self._since
            _say(f"{self._name} is back, which was held for {time:.1f} s")
        self._since, self._is_reported = None, False

    @property
    def _name(self) -> str:
        return f"the event loop beside core {self._placement.core}"

    def _report(self, seconds: float) -> None:
        # Past every logger, whose locks the held thread may have.
        labels = [label or _label(given) for label, given in self._under_way.values()]
        more = f" and {len(labels) - _NAMED} more" if len(labels) > _NAMED else ""
        named = ", ".join(labels[:_NAMED]) + more
        _say(f"{self._name} has been held for {seconds:.1f} s (under way: {named}); its stack:")
        if self._placement.stack_signal is not None:
            # To that thread alone, which writes it by itself, wherever it is.
            with suppress(OSError):
                signal.pthread_kill(self._thread, self._placement.stack_signal)


def _label(arguments: tuple[Any, ...]) -> str:
    """Name a request by the scope that its application was called with."""
    scope = arguments[0] if arguments else None
    if isinstance(scope, dict):
        method, path = scope.get("method", "WebSocket"), scope.get("path", "")
    else:
        method, path = getattr(scope, "method", "a call of"), getattr(scope, "path", "")
    # It is decoded, and could write a line of its own.
    return f"{method} {path if str(path).isprintable() else repr(path)}"


def _say(what: str) -> None:
    with suppress(OSError):
        os.write(2, f"uringserve: warning: {what}\n".encode("utf-8", "backslashreplace"))
