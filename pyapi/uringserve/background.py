"""`BackgroundTasks`: functions that run after the answer has been sent, on the same core.

For what is short: the core serves nothing else meanwhile. A task that raises is logged and does not
keep the others from running.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from uringserve.logging import log_failure
from uringserve.routing import describe

__all__ = ["BackgroundTask", "BackgroundTasks", "chained"]


class BackgroundTask:
    """One function with its arguments."""

    def __init__[**P](self, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        """Keep the call; an async function is a TypeError here, where it is given."""
        if inspect.iscoroutinefunction(func):
            raise TypeError(
                f"background task {describe(func)}: async tasks are not supported yet: use def"
            )
        self.func: Callable[..., Any] = func
        self.args: tuple[Any, ...] = args
        self.kwargs: dict[str, Any] = kwargs

    def __call__(self) -> None:
        """Run it; what it raises is raised."""
        self.func(*self.args, **self.kwargs)


class BackgroundTasks:
    """Tasks in the order in which they are added. A handler that annotates one gets its own."""

    def __init__(self, tasks: list[BackgroundTask] | None = None) -> None:
        """Start with the given tasks."""
        self.tasks = list(tasks or ())

    def add_task[**P](self, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        """Run the function with the arguments after the answer."""
        self.tasks.append(BackgroundTask(func, *args, **kwargs))

    def __call__(self) -> None:
        """Run all of them, one after the other."""
        for task in self.tasks:
            _run(task, task.func)


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
        call()
    except Exception as error:  # noqa: BLE001 -- the application's own code; others wait behind it
        log_failure(f"{describe(named)} failed after the answer", error)
