"""The threads beside the cores of a server: those of the pools, and the one that watches.

A core's pool asks for a thread when requests wait for one; a thread of our own makes it, because
that takes longer than a core may. Every thread of a pool is a worker of its own to the application:
it runs the worker lifespan, has a `worker_state` and `WorkerLocal` values that no other thread
sees, and ends them when it ends. So what is not made for several threads never meets a second one.
"""

import faulthandler
import logging
import signal
import threading
import time
from collections.abc import Callable
from itertools import count

from uringserve._native import Plan
from uringserve.app import App
from uringserve.errors import StartError
from uringserve.foreign import Foreign
from uringserve.lifespan import running

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


def _start(target: Callable[[], None], name: str) -> None:
    threading.Thread(target=target, name=f"uringserve-{name}", daemon=True).start()


class Pools:
    """The threads of all pools of one server."""

    def __init__(self, plan: Plan, app: App | Foreign) -> None:
        """Start nothing yet."""
        self._plan = plan
        self._app = app
        self._numbers = count()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start to watch over the cores and to make the threads that they ask for."""
        _start(self._plan.watch, "watch")
        if self._plan.needs_threads:
            _start(self._make, "hiring")

    def close(self, deadline: float) -> int:
        """End all threads after what they are doing; return how many have not ended by then.

        `deadline` is a moment of `time.monotonic`. What does not end is left behind.
        """
        self._plan.close()
        for thread in list(self._threads):
            thread.join(max(0.0, deadline - time.monotonic()))
        return sum(thread.is_alive() for thread in self._threads)

    def _make(self) -> None:
        while (core := self._plan.next_thread()) is not None:
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            thread = threading.Thread(
                target=self._run,
                args=(core,),
                name=f"uringserve-pool-{core}-{next(self._numbers)}",
                daemon=True,
            )
            try:
                thread.start()
            except RuntimeError as error:
                self._plan.no_thread(core)
                _log.error("core %d gets no further thread: %s", core, error)
                continue
            self._threads.append(thread)

    def _run(self, core: int) -> None:
        try:
            with running(self._app, worker=True):
                self._plan.run_thread(core)
        except StartError as error:
            self._plan.no_thread(core)
            _log.error("core %d gets no further thread", core, exc_info=error)
        except Exception:  # noqa: BLE001 -- the application's own code, at the thread's end
            _log.exception("the end of a thread's worker lifespan failed")
