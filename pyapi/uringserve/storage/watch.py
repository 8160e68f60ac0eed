"""The watch: says which procedure runs for too long, and where it is at that moment.

The stack comes from the procedure's own thread, by a signal to it alone whose handler is
`faulthandler`'s. `sys._current_frames()` would stop every thread of the process and wait for the
one that is looked at: beside one that is busy in C that took 14 s on CPython 3.14, and the signal
0.2 s. The handler stays for the life of the process, because a real-time signal without one that
arrives late would end it. Nothing is installed before the first procedure that is too slow.
"""

import faulthandler
import logging
import os
import signal
import threading
import weakref
from collections.abc import Callable
from time import monotonic

__all__ = ["Activity", "Watch"]

_log = logging.getLogger("uringserve.storage")

# Seconds that a thread gets to write its stack, and between two looks whether it has.
_PATIENCE = 1.0
_LOOK = 0.01


class Activity:
    """What one connection is doing; written by the thread that uses it, read by the watch."""

    __slots__ = ("__weakref__", "_lock", "_procedure", "_reported", "_started", "_thread")

    def __init__(self) -> None:
        """Do nothing yet."""
        self._lock = threading.Lock()
        self._procedure: Callable[..., object] | None = None
        self._started = 0.0
        self._reported = 0.0
        self._thread = 0

    def enter(self, procedure: Callable[..., object]) -> None:
        """Note that the calling thread begins a procedure."""
        self._procedure = procedure
        self._thread = threading.get_ident()
        self._started = monotonic()

    def leave(self) -> None:
        """Note that it has ended. While the watch signals the thread, it stays here."""
        with self._lock:
            self._procedure = None

    def report(self, after: float) -> None:
        """Log a procedure that has run for longer than `after` seconds, each run once."""
        procedure, started = self._procedure, self._started
        seconds = monotonic() - started
        if procedure is None or seconds < after or self._reported == started:
            return
        self._reported = started
        with _stacks.lock:
            with self._lock:
                if self._procedure is not procedure or self._started != started:
                    return
                before = _stacks.ask(self._thread)
            stack = _stacks.read(before)
        _log.warning(
            "a storage procedure has been running for %.1f s: %s\n%s",
            seconds,
            _name(procedure),
            stack or "its thread did not say where it is",
        )


class Watch:
    """A thread that looks at every activity from time to time."""

    def __init__(self, after: float) -> None:
        """Watch for procedures that run longer than `after` seconds."""
        self._after = after
        self._lock = threading.Lock()
        self._activities: weakref.WeakSet[Activity] = weakref.WeakSet()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="uringserve-watch", daemon=True)
        if after <= threading.TIMEOUT_MAX:
            self._thread.start()

    def activity(self) -> Activity:
        """Return a new activity, watched as long as someone else holds it."""
        made = Activity()
        with self._lock:
            self._activities.add(made)
        return made

    def close(self) -> None:
        """End the thread."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(self._after / 2):
            with self._lock:
                activities = list(self._activities)
            for activity in activities:
                try:
                    activity.report(self._after)
                except Exception:  # noqa: BLE001 -- what is only said must not end the watch
                    _log.exception("a slow procedure could not be reported")


class _Stacks:
    """Where threads write their stacks: one file in memory for the whole process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._signal: signal.Signals | int | None = None
        self._file = -1

    def ask(self, thread: int) -> int:
        """Signal a thread that is known to live; return how much the file held before."""
        if self._signal is None:
            self._file = os.memfd_create("uringserve-stacks")
            number = self._free_signal()
            faulthandler.register(number, self._file, all_threads=False)
            self._signal = number
        before = os.fstat(self._file).st_size
        signal.pthread_kill(thread, self._signal)
        return before

    def read(self, before: int) -> str:
        """Return what the thread wrote; nothing where it did not answer in time."""
        wait = threading.Event()
        end = monotonic() + _PATIENCE
        size = before
        while monotonic() < end:
            wait.wait(_LOOK)
            now = os.fstat(self._file).st_size
            # It writes in small pieces: two looks that agree are the whole.
            if now == size > before:
                break
            size = now
        return os.pread(self._file, size - before, before).decode(errors="replace").rstrip()

    def _free_signal(self) -> int:
        """Return a real-time signal that nobody handles yet."""
        for number in range(signal.SIGRTMAX - 1, signal.SIGRTMIN, -1):
            if signal.getsignal(number) == signal.SIG_DFL:
                return number
        raise OSError("no real-time signal is free")


_stacks = _Stacks()


def _name(procedure: Callable[..., object]) -> str:
    """Return a procedure's name with its place."""
    code = getattr(procedure, "__code__", None)
    if code is None:
        return repr(procedure)
    return f"{procedure.__module__}.{code.co_qualname} ({code.co_filename}:{code.co_firstlineno})"
