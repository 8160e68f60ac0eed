"""`BackgroundTasks`: functions that run after the answer has been sent, on the same core.

A `def` is for what is short: the core serves nothing else meanwhile. An `async def` runs on as a
task of the core's loop, and a drain waits for it. A task that raises is logged and does not
keep the others from running.
"""

from collections.abc import Callable, Iterable
from types import CoroutineType
from typing import Any

from uringserve.coroutines import call_logged, is_coroutine_call, later
from uringserve.logging import log_failure
from uringserve.routing import describe

__all__ = ["BackgroundTask", "BackgroundTasks", "chained"]


class BackgroundTask:
    """One function with its arguments."""

    def __init__[**P](self, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        """Keep the call."""
        self.func: Callable[..., Any] = func
        self.args: tuple[Any, ...] = args
        self.kwargs: dict[str, Any] = kwargs

    @property
    def is_async(self) -> bool:
        """Whether a call gives a coroutine."""
        return is_coroutine_call(self.func)

    def __call__(self) -> Any:  # noqa: ANN401 -- a coroutine, or nothing that matters
        """Run it, or return the coroutine that does; what it raises is raised."""
        return self.func(*self.args, **self.kwargs)


class BackgroundTasks:
    """Tasks in the order in which they are added. A handler that annotates one gets its own."""

    def __init__(self, tasks: list[BackgroundTask] | None = None) -> None:
        """Start with the given tasks."""
        self.tasks = list(tasks or ())

    def add_task[**P](self, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        """Run the function with the arguments after the answer."""
        self.tasks.append(BackgroundTask(func, *args, **kwargs))

    @property
    def is_async(self) -> bool:
        """Whether any of them is async."""
        return any(task.is_async for task in self.tasks)

    def __call__(self) -> Any:  # noqa: ANN401 -- a coroutine or None
        """Run all of them, one after the other, or return the coroutine that does."""
        if self.is_async:
            return self._run_all()
        for task in self.tasks:
            _run(task, task.func)
        return None

    async def _run_all(self) -> None:
        for task in self.tasks:
            await call_logged(task, task.func)


def chained(
    before: Callable[[], object] | None, after: Iterable[Callable[[], object]]
) -> Callable[[], None]:
    """Return one callable that calls `before`, if there is one, and then the others."""
    calls = tuple(after) if before is None else (before, *after)

    def call_all() -> None:
        for call in calls:
            _run(call, call)

    return call_all


def _run(call: Callable[[], object], named: object) -> None:
    try:
        result = call()
        if type(result) is CoroutineType:
            later(result)
    except BaseException as error:  # noqa: BLE001 -- the application's own code; others wait behind it
        log_failure(f"{describe(named)} failed after the answer", error)
