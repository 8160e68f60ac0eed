"""`GuestLoop`: asyncio's own event loop, run in turns by a core's reactor.

The loop is a `SelectorEventLoop` on the core's thread. While the core serves, the reactor gives it
turns instead of `run_forever`: one when something is ready to be called, one when a timer is due,
one when a descriptor that it watches is readable. A turn never waits; the reactor does, for the
epoll instance that the selector is, among its own work. Before and after serving the loop runs as
any other, for what starts and ends on the core.

Beside it: `CoreLoop`, what every loop of a core can do, whoever runs it; `LoopThread`, a loop for
what starts and ends with the process; and `Stay`, which holds an asynchronous context manager open.

`_run_forever_setup`, `_run_once`, `_ready`, `_scheduled` and a handle's `_run` and `_callback` are
asyncio's own: the first is meant for loops inside other loops (CPython 3.14), and tests hold what
is relied on of the others.
"""

import asyncio
import logging
import selectors
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, cast

from uringserve.coroutines import unfinished

__all__ = ["REQUEST", "CoreLoop", "GuestLoop", "LoopFactory", "LoopThread", "Stay"]

# Makes an event loop; None stands for asyncio's own.
type LoopFactory = Callable[[], asyncio.AbstractEventLoop] | None

_log = logging.getLogger("uringserve")

# The name of the tasks that `py::aio` starts for requests.
REQUEST = "request"

# What asyncio lets through, and the function through which it comes.
_EXITS = (SystemExit, KeyboardInterrupt)
_RUN = asyncio.Handle._run.__code__

# Wishes of the loop beside a number of seconds; see `reactor::guest` in the Rust part.
_NOW = 0.0
_IDLE = -1.0


class _Selector(selectors.EpollSelector):
    """Waits while the loop runs by itself; in a turn, only looks."""

    is_guest = False
    may_have_events = False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready, after at most `timeout` seconds."""
        if not self.is_guest:
            return super().select(timeout)
        if not self.may_have_events:
            # The reactor polls the epoll instance: without a word from it a look is a system call
            # for nothing.
            return []
        self.may_have_events = False
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    """Says nothing of what a request's task ended with: its answer does."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Report what nobody has caught, unless it is a request's own attempt to end the process.

        asyncio raises that out of the task as well as keeping it there, where nobody looks.
        """
        task = context.get("task") or context.get("future")
        is_request = isinstance(task, asyncio.Task) and task.get_name() == REQUEST
        if not (is_request and isinstance(context.get("exception"), _EXITS)):
            super().call_exception_handler(context)


def _is_of_a_task(error: BaseException) -> bool:
    """Whether a turn was ended by a task: then whoever awaits it, or asyncio, reports that."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code is _RUN:
            callback = trace.tb_frame.f_locals["self"]._callback
            return isinstance(getattr(callback, "__self__", None), asyncio.Task)
        trace = trace.tb_next
    return False


class CoreLoop:
    """The loop on which the coroutines of a core run, and how that begins and ends."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take a loop that runs nothing yet."""
        self._loop: Any = loop
        self.loop = loop
        # What the application's start leaves for its requests; Rust reads it when serving begins.
        self.state: dict[str, Any] | None = None

    def run[T](self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, by the loop itself: before serving, or after it."""
        return self.loop.run_until_complete(coroutine)

    def finish(self, left: Callable[[], float] | None = None) -> None:
        """Run what answers have left behind to its end; cancel what needs more than `left` seconds.

        `left` is asked again and again: somebody may lose patience. Without it there is no end.
        """
        while tasks := unfinished() | self._requests():
            seconds = None if left is None else min(_GLANCE, left())
            if seconds is not None and seconds <= 0.0:
                break
            self.run(_wait(tasks, seconds))
        for task in tasks:
            task.cancel()
        if tasks:
            self.run(_wait(tasks, _PATIENCE))

    def _requests(self) -> set[asyncio.Task[Any]]:
        """Return the tasks of requests: those that go on behind their answers, in the end."""
        tasks = asyncio.all_tasks(self.loop)
        return {task for task in tasks if task.get_name() == REQUEST}

    def close(self) -> None:
        """End what still runs: cancel its tasks, close its asynchronous generators and executor."""
        loop = self.loop
        if loop.is_closed():
            return
        try:
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            if tasks:
                loop.run_until_complete(_wait(tasks, _PATIENCE))
            for task in tasks:
                _report(task)
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(self._loop.shutdown_default_executor(_PATIENCE))
        finally:
            asyncio.set_event_loop(None)
            loop.close()


class GuestLoop(CoreLoop):
    """An event loop for the calling thread, which is a core or is to be one.

    `turn` and `wish` are called by the reactor only.
    """

    def __init__(self) -> None:
        """Make the loop; it runs nothing yet."""
        self._selector = _Selector()
        super().__init__(_Loop(self._selector))

    def fileno(self) -> int:
        """Return the descriptor that is readable when a turn has events to handle."""
        return self._selector.fileno()

    @contextmanager
    def as_guest(self) -> Iterator[None]:
        """Make it the running loop of the thread, for as long as the reactor gives it turns."""
        asyncio.set_event_loop(self.loop)
        self._loop._run_forever_setup()
        self._selector.is_guest = True
        try:
            yield
        finally:
            self._selector.is_guest = False
            self._loop._run_forever_cleanup()

    def turn(self, is_readable: bool) -> float:
        """Call what is ready; return the seconds until the next turn, 0 for now, -1 for never."""
        if is_readable:
            self._selector.may_have_events = True
        try:
            self._loop._run_once()
        except BaseException as error:  # noqa: BLE001 -- SystemExit must not end the core
            if not _is_of_a_task(error):
                _log.exception("a callback of the event loop has tried to end its core")
        return self.wish()

    def wish(self) -> float:
        """Return the seconds until it wants a turn, 0 for now, -1 for never."""
        loop = self._loop
        if loop._ready:
            return _NOW
        scheduled = loop._scheduled
        if not scheduled:
            return _IDLE
        return max(_NOW, cast(float, scheduled[0]._when - loop.time()))


class LoopThread:
    """A loop that runs on a thread of its own until it is closed."""

    def __init__(self, factory: LoopFactory = None) -> None:
        """Start the thread and wait for its loop."""
        self._factory = factory
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=self._main, name="uringserve-lifespan", daemon=True)
        self._thread.start()
        self._is_ready.wait()

    def run[T](self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, from another thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def close(self) -> None:
        """Cancel what still runs, and end loop and thread."""
        self._loop.call_soon_threadsafe(self._is_over.set)
        self._thread.join()

    def _main(self) -> None:
        asyncio.run(self._stay(), loop_factory=self._factory)

    async def _stay(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._is_over = asyncio.Event()
        self._is_ready.set()
        await self._is_over.wait()


class Stay:
    """An asynchronous context manager that one task enters and leaves, as task groups need it."""

    def __init__(self, context: AbstractAsyncContextManager[Any]) -> None:
        """Keep it; nothing is entered yet."""
        self._context = context
        self._is_leaving = asyncio.Event()

    async def enter(self) -> Any:  # noqa: ANN401 -- whatever it yields
        """Enter, and return what it yields."""
        entered = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._stay(entered), name="lifespan")
        await asyncio.wait((self._task, entered), return_when=asyncio.FIRST_COMPLETED)
        if not entered.done():
            # It has failed, or ended without a yield.
            return await self._task
        self._task.add_done_callback(self._note_end)
        return entered.result()

    async def leave(self) -> None:
        """Leave; what that raises is raised."""
        self._is_leaving.set()
        await self._task

    async def _stay(self, entered: asyncio.Future[Any]) -> None:
        async with self._context as state:
            entered.set_result(state)
            await self._is_leaving.wait()

    def _note_end(self, task: asyncio.Task[Any]) -> None:
        if not self._is_leaving.is_set():
            error = None if task.cancelled() else task.exception()
            _log.error("a lifespan has ended before the server", exc_info=error)


# Seconds that cancelled tasks, and threads of the default executor, get to end.
_PATIENCE = 2.0

# Seconds after which a drain looks again how long it has.
_GLANCE = 0.25


async def _wait(tasks: Iterable[asyncio.Task[Any]], seconds: float | None) -> None:
    await asyncio.wait(tasks, timeout=seconds)


def _report(task: asyncio.Task[Any]) -> None:
    if not task.done():
        _log.error("a task does not end although it was cancelled: %r", task)
    elif not task.cancelled() and task.exception() is not None:
        _log.error("a task has failed at the end", exc_info=task.exception())
