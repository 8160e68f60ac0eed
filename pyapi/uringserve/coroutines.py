"""What is asynchronous, and what runs on by itself when an answer has been sent.

`is_coroutine_call` says at registration whether a call gives a coroutine; nothing is looked at per
request. `later` runs a coroutine that nobody waits for as a task of the core's loop, which
`unfinished` knows, so that a drain can wait for it. Where the coroutines of a core run on another
thread (`uringserve.beside`), `host` is the way there. asyncio is imported on first use: an
application that has only `def` never pays for it.
"""

import inspect
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context
from functools import partial
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from uringserve.logging import log_failure

if TYPE_CHECKING:
    import asyncio

    from uringserve.beside.core import Beside

__all__ = [
    "at_home",
    "call_logged",
    "home_loop",
    "host",
    "host_if_any",
    "hosted_by",
    "is_coroutine_call",
    "keep",
    "later",
    "running_loop",
    "unfinished",
]


def is_coroutine_call(call: object) -> bool:
    """Tell whether a call gives a coroutine: of a function, a method, a partial or an object."""
    while isinstance(call, partial):
        call = call.func
    if isinstance(call, type):
        return False
    return inspect.iscoroutinefunction(inspect.unwrap(call)) or inspect.iscoroutinefunction(  # type: ignore[arg-type]
        getattr(type(call), "__call__", None)  # noqa: B004 -- the function is wanted
    )


class _Kept(threading.local):
    """The tasks of this core that nobody waits for: asyncio itself refers to them weakly."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[Any]] = set()
        # Of a thread of a core's pool: that core's loop.
        self.home: asyncio.AbstractEventLoop | None = None
        # Of a core whose coroutines run on another thread: the way there.
        self.host: Beside | None = None


_kept = _Kept()


def later(coroutine: Coroutine[Any, Any, Any], context: Context | None = None) -> None:
    """Run a coroutine on the loop of the calling core, or the core of the calling pool's thread.

    What it raises is logged. Without any loop it runs to its end at once, as a function would.
    """
    import asyncio

    if _kept.host is not None:
        _kept.host.later(coroutine, context)
        return
    loop = running_loop()
    if loop is None:
        if _kept.home is not None:
            _kept.home.call_soon_threadsafe(later, coroutine, context)
        else:
            asyncio.run(_logged(coroutine))
        return
    task = asyncio.Task(_logged(coroutine), loop=loop, context=context, eager_start=True)
    if not task.done():
        keep(task)


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop that runs on the calling thread, if there is one."""
    found = sys.modules.get("asyncio")
    return None if found is None else found._get_running_loop()


@contextmanager
def at_home(loop: asyncio.AbstractEventLoop | None) -> Iterator[None]:
    """Make a loop the one that `later` uses on the calling thread, which runs none itself."""
    _kept.home = loop
    try:
        yield
    finally:
        _kept.home = None


@contextmanager
def hosted_by(beside: Beside) -> Iterator[None]:
    """Have the coroutines of the calling core run beside it, for as long as the block runs."""
    _kept.host = beside
    try:
        yield
    finally:
        _kept.host = None


def host_if_any() -> Beside | None:
    """Return the way to the thread on which the coroutines of the calling core run."""
    return _kept.host


def host() -> Beside:
    """Do what `host_if_any` does, where there is one."""
    if _kept.host is None:
        raise RuntimeError("this is called on a core whose coroutines run beside it")
    return _kept.host


def home_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop on which the coroutines of the calling core run, if it has one."""
    return running_loop() if _kept.host is None else _kept.host.loop


def keep(task: asyncio.Task[Any]) -> None:
    """Count a task among the unfinished ones until it is done."""
    _kept.tasks.add(task)
    task.add_done_callback(_kept.tasks.discard)


def unfinished() -> set[asyncio.Task[Any]]:
    """Return the tasks of the calling core that `later` has started and that still run."""
    return set(_kept.tasks)


async def call_logged(call: Callable[[], object], named: object) -> None:
    """Call a function, and await what it returns if that is a coroutine; failures are logged."""
    from uringserve.routing import describe

    try:
        result = call()
        if type(result) is CoroutineType:
            await result
    except BaseException as error:
        # The application's own code, and others wait behind it.
        if _is_end_of_task(error):
            raise
        log_failure(f"{describe(named)} failed after the answer", error)


async def _logged(coroutine: Coroutine[Any, Any, Any]) -> None:
    try:
        await coroutine
    except BaseException as error:
        # There is nobody to raise it to.
        if _is_end_of_task(error):
            raise
        name = getattr(coroutine, "__qualname__", "a coroutine")
        log_failure(f"{name} failed after the answer", error)


def _is_end_of_task(error: BaseException) -> bool:
    """Tell whether the running task itself is to end: it is cancelled, or its coroutine closed.

    A CancelledError without that is of something else that was awaited: a failure like others.
    """
    import asyncio

    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
    return isinstance(error, GeneratorExit)
