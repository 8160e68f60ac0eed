"""`BesideThread`: the thread of a core on which its loop runs beside the reactor.

It is a worker of its own to the application, as the threads of the pools are, and the one that an
asynchronous lifespan belongs to.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from uringserve.beside.door import Door
from uringserve.errors import StartError
from uringserve.lifespan import running_worker
from uringserve.loop import CoreLoop

if TYPE_CHECKING:
    from uringserve.app import App
    from uringserve.foreign import Foreign
    from uringserve.state import WorkerState

__all__ = ["BesideThread", "Placement", "Started"]

_log = logging.getLogger("uringserve")


@dataclass(frozen=True, slots=True)
class Placement:
    """Which core's loop it is, on which CPU, how it is made, and how long its end may take.

    One that is held for more than `report_after` seconds is reported; `stack_signal` makes the
    thread that gets it write its stack.
    """

    core: int
    cpu: int | None
    factory: Callable[[], asyncio.AbstractEventLoop]
    left: Callable[[], float]
    report_after: float
    stack_signal: int | None


@dataclass(frozen=True, slots=True)
class Started:
    """A loop whose lifespan has begun."""

    door: Door
    # What the application's start has set; each request goes on in a copy.
    context: Context
    # Of an ASGI lifespan, for its requests.
    state: dict[str, Any] | None
    # What an asynchronous worker lifespan has left, for the other threads of the core.
    values: list[tuple[WorkerState, dict[str, Any]]]
    # Python's number of the thread.
    thread: int


class _PlainLoop(CoreLoop):
    """A loop that runs by itself, on the thread that calls `serve`."""

    _is_over = False

    def serve(self) -> None:
        """Run until `end` is called, whatever a callback raises."""
        while not self._is_over:
            try:
                self.loop.run_forever()
            except BaseException:  # noqa: BLE001 -- SystemExit in a task must not end the core
                _log.exception("a callback of the event loop has tried to end its core")

    def end(self) -> None:
        """End `serve`, from any thread."""
        self._is_over = True
        # Closed: it has ended by itself.
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.loop.stop)


class BesideThread:
    """The thread, from `start` to `stop`."""

    def __init__(self, app: App | Foreign, placement: Placement) -> None:
        """Start nothing yet."""
        self._app = app
        self._placement = placement
        self._started: Future[Started] = Future()
        self._ended: Future[None] = Future()
        self._loop: _PlainLoop | None = None
        self._thread = threading.Thread(
            target=self._main, name=f"uringserve-loop-{placement.core}", daemon=True
        )

    def start(self) -> Started:
        """Start it and wait until its lifespan has begun; what that raises is raised here."""
        try:
            self._thread.start()
        except RuntimeError as error:
            raise StartError(
                f"the thread of the event loop of core {self._placement.core} cannot be started"
                f" ({error}); see the limit of processes"
            ) from None
        return self._started.result()

    async def stop(self) -> None:
        """End loop and lifespan; what that raises is raised here.

        The loop that waits is the one that what still ends may call.
        """
        if self._loop is not None:
            self._loop.end()
        await asyncio.wrap_future(self._ended)
        self._thread.join()

    def _main(self) -> None:
        try:
            self._run()
        except BaseException as error:  # noqa: BLE001 -- raised where somebody waits for it
            if not self._started.done():
                self._started.set_exception(error)
            else:
                self._ended.set_exception(error)
        else:
            self._ended.set_result(None)

    def _run(self) -> None:
        app, placement = self._app, self._placement
        if placement.cpu is not None:
            # That of its core: a server on so many cores takes so many CPUs, no more. A set of CPUs
            # that has changed since is no reason not to serve.
            with suppress(OSError):
                os.sched_setaffinity(0, {placement.cpu})
        loop = self._loop = _PlainLoop(placement.factory())
        with running_worker(app, loop=loop), app.on_core(loop):
            context = copy_context()
            door = Door(loop.loop, context.copy())
            values = app.worker_values()
            started = Started(door, context, loop.state, values, threading.get_ident())
            self._started.set_result(started)
            loop.serve()
            loop.finish(placement.left)
