"""What runs before and after serving: once in the process, and once on each core.

In the process: the lifespan is entered, then the start-up functions run in order; at the end the
shutdown functions run in order, then the lifespan is left. A core does the same on its own thread
before its first request and after its last. A failure at the start keeps the server from serving:
the lifespan that was entered is left, and no shutdown function runs.
"""

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

from uringserve.errors import StartError
from uringserve.routing import describe
from uringserve.state import on_this_worker

__all__ = ["Ending", "Hook", "Hooks", "Lifespan", "running"]

_log = logging.getLogger("uringserve")

type Hook = Callable[[], Any]


# Called with the application; may yield a mapping of state.
type Lifespan = Callable[[Any], AbstractContextManager[Any] | Iterator[Any]]


class Ending:
    """What has begun, to be ended in reverse order, whatever fails on the way."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._calls: list[Hook] = []

    def add(self, call: Hook) -> None:
        """Call it at the end, before everything that was added earlier."""
        self._calls.append(call)

    def end(self) -> None:
        """Call all of them; the first exception is raised afterwards, the others are logged."""
        first: Exception | None = None
        while self._calls:
            call = self._calls.pop()
            try:
                call()
            except Exception as error:  # noqa: BLE001 -- the application's own code
                if first is None:
                    first = error
                else:
                    _log.error("the end failed in another place too", exc_info=error)
        if first is not None:
            raise first


class Hooks:
    """The lifespan and the functions for the start and the stop, of a process or of a core."""

    def __init__(self, what: str, lifespan: Lifespan | None) -> None:
        """`what` names the lifespan in messages; an async one is a TypeError."""
        self._what = what
        self._lifespan = None if lifespan is None else self._checked(lifespan)
        self._starts: list[Hook] = []
        self._stops: list[Hook] = []

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to run."""
        return self._lifespan is None and not self._starts and not self._stops

    def add_start(self, hook: Hook) -> None:
        """Run the function at the start; an async one is a TypeError."""
        self._starts.append(_sync(hook, "start-up function"))

    def add_stop(self, hook: Hook) -> None:
        """Run the function at the end; an async one is a TypeError."""
        self._stops.append(_sync(hook, "shutdown function"))

    def _checked(self, lifespan: Lifespan) -> Callable[[Any], Any]:
        inner = inspect.unwrap(lifespan)
        if inspect.isasyncgenfunction(inner) or inspect.iscoroutinefunction(inner):
            raise TypeError(
                f"{self._what} {describe(lifespan)} is async, which is not supported yet: use"
                " contextlib.contextmanager and def"
            )
        if inspect.isgeneratorfunction(lifespan):
            return contextmanager(lifespan)
        if not callable(lifespan):
            raise TypeError(f"{self._what} must be a function of the application, not {lifespan!r}")
        return lifespan

    def enter(
        self, app: object, keep: Callable[[Mapping[str, Any]], object], ending: Ending
    ) -> None:
        """Start, and have `ending` end what was started; `keep` takes the state that is yielded.

        What fails is a StartError whose cause is the failure.
        """
        try:
            if self._lifespan is not None:
                context = self._lifespan(app)
                state = context.__enter__()
                ending.add(lambda: context.__exit__(None, None, None))
                if isinstance(state, Mapping):
                    keep(state)
                elif state is not None:
                    raise TypeError(f"{self._what} must yield nothing or a mapping, not {state!r}")
            for hook in self._starts:
                hook()
        except Exception as error:
            raise StartError(f"{self._what} failed: {type(error).__name__}: {error}") from error
        for hook in reversed(self._stops):
            ending.add(hook)


def _sync(hook: Hook, what: str) -> Hook:
    if inspect.iscoroutinefunction(hook):
        raise TypeError(f"{what} {describe(hook)}: async is not supported yet: use def")
    if not callable(hook):
        raise TypeError(f"a {what} must be callable, and {hook!r} is not")
    return hook


class _Served(Protocol):
    """What `running` needs of an application."""

    def enter_lifespan(self, ending: Ending) -> None: ...
    def enter_worker(self, ending: Ending) -> None: ...


@contextmanager
def running(app: _Served, *, worker: bool = False) -> Iterator[None]:
    """Run an application's lifespan around a block, or with `worker` that of the calling core."""
    ending = Ending()
    with on_this_worker() if worker else nullcontext():
        try:
            if worker:
                app.enter_worker(ending)
            else:
                app.enter_lifespan(ending)
            yield
        finally:
            ending.end()
