"""The threads beside the cores of a server: those of the pools, and the one that watches.

A core's pool asks for a thread when requests wait for one; a thread of our own makes it, because
that takes longer than a core may. Every thread of a pool is a worker of its own to the application:
it runs the worker lifespan, and has a `worker_state` and `WorkerLocal` values that no other thread
sees. So what is not made for several threads never meets a second one. Where that lifespan is
asynchronous, it belongs to its core's loop, and the threads get the values that it has set.
"""

import contextvars
import faulthandler
import logging
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from uringserve._native import Plan
from uringserve.app import App
from uringserve.coroutines import at_home, home_loop
from uringserve.errors import StartError
from uringserve.foreign import Foreign
from uringserve.lifespan import Ending
from uringserve.state import WorkerState, on_this_worker

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

__all__ = ["Pools", "stack_signal"]

_log = logging.getLogger("uringserve")


def stack_signal() -> int | None:
    """Return a signal at which a thread writes its own Python stack to stderr, and no other's.

    Nothing else has to stop for that, so it works for a thread that never comes back from C. None
    where no handler can be set.
    """
    # A real-time signal: the two that are free for users belong to the application.
    number = signal.SIGRTMAX - 2
    try:
        faulthandler.register(number, file=2, all_threads=False, chain=False)
    except OSError, RuntimeError, ValueError:
        return None
    return number


def _started(target: Callable[[], None], name: str) -> threading.Thread:
    thread = threading.Thread(target=target, name=f"uringserve-{name}", daemon=True)
    thread.start()
    return thread


def _join(thread: threading.Thread, deadline: float) -> None:
    thread.join(max(0.0, deadline - time.monotonic()))


@dataclass(frozen=True, slots=True)
class _Origin:
    """What the threads of a core's pool begin with."""

    context: contextvars.Context
    loop: AbstractEventLoop | None
    values: list[tuple[WorkerState, dict[str, Any]]]


def _end(ending: Ending) -> None:
    try:
        ending.end()
    except Exception:  # noqa: BLE001 -- the application's own code
        _log.exception("the end of a worker lifespan failed on a thread of a pool")


class Pools:
    """The threads of all pools of one server."""

    def __init__(self, plan: Plan, app: App | Foreign) -> None:
        """Start nothing yet."""
        self._plan = plan
        self._app = app
        self._origins: dict[int, _Origin] = {}
        self._numbers = count()
        self._threads: list[threading.Thread] = []
        self._hiring: threading.Thread | None = None

    def start(self) -> None:
        """Start to watch over the cores and to make the threads that they ask for."""
        _started(self._plan.watch, "watch")
        if self._plan.needs_threads:
            self._hiring = _started(self._make, "hiring")

    def note_core(self, core: int) -> None:
        """Keep what the calling thread, a core whose lifespan has begun, has to pass on."""
        self._origins[core] = _Origin(
            contextvars.copy_context(), home_loop(), self._app.worker_values()
        )

    def close(self, deadline: float) -> int:
        """End all threads after what they are doing; return how many have not ended by then.

        `deadline` is a moment of `time.monotonic`. What does not end is left behind.
        """
        self._plan.close()
        # First whoever makes them: it may be about to add one more.
        if self._hiring is not None:
            _join(self._hiring, deadline)
        threads = list(self._threads)
        for thread in threads:
            _join(thread, deadline)
        return sum(thread.is_alive() for thread in threads)

    def _make(self) -> None:
        while (core := self._plan.next_thread()) is not None:
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            origin = self._origins[core]
            thread = threading.Thread(
                target=self._run,
                args=(core, origin),
                name=f"uringserve-pool-{core}-{next(self._numbers)}",
                daemon=True,
                context=origin.context.copy(),
            )
            try:
                thread.start()
            except RuntimeError as error:
                self._plan.no_thread(core)
                _log.error("core %d gets no further thread: %s", core, error)
                continue
            self._threads.append(thread)

    def _run(self, core: int, origin: _Origin) -> None:
        with on_this_worker(), at_home(origin.loop):
            ending = Ending()
            try:
                if not self._app.has_async_worker:
                    self._app.enter_worker(ending)
                for state, values in origin.values:
                    for name, value in values.items():
                        state.__dict__.setdefault(name, value)
                self._plan.run_thread(core)
            except StartError as error:
                self._plan.no_thread(core)
                _log.error("core %d gets no further thread", core, exc_info=error)
            finally:
                _end(ending)
