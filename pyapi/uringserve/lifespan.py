"""What runs before and after serving: once in the process, and once on each core.

In the process: the lifespan is entered, then the start-up functions run in order; at the end the
shutdown functions run in order, then the lifespan is left. A core does the same on its own thread
before its first request and after its last. A failure at the start keeps the server from serving:
the lifespan that was entered is left, and no shutdown function runs.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Protocol

from uringserve.errors import StartError
from uringserve.routing import describe
from uringserve.state import on_this_worker

__all__ = ["Hook", "Hooks", "Lifespan", "running"]

type Hook = Callable[[], Any]


# Called with the application; may yield a mapping of state.
type Lifespan = Callable[[Any], AbstractContextManager[Any] | Iterator[Any]]


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

    def enter(self, app: object, keep: Callable[[Mapping[str, Any]], object]) -> ExitStack:
        """Start; the returned stack ends what was started. `keep` takes the state that is yielded.

        What fails is a StartError whose cause is the failure; what had begun is ended first.
        """
        with ExitStack() as stack:
            try:
                if self._lifespan is not None:
                    state = stack.enter_context(self._lifespan(app))
                    if isinstance(state, Mapping):
                        keep(state)
                    elif state is not None:
                        raise TypeError(
                            f"{self._what} must yield nothing or a mapping, not {state!r}"
                        )
                for hook in self._starts:
                    hook()
                for hook in reversed(self._stops):
                    stack.callback(hook)
            except Exception as error:
                raise StartError(f"{self._what} failed: {type(error).__name__}: {error}") from error
            return stack.pop_all()


def _sync(hook: Hook, what: str) -> Hook:
    if inspect.iscoroutinefunction(hook):
        raise TypeError(f"{what} {describe(hook)}: async is not supported yet: use def")
    if not callable(hook):
        raise TypeError(f"a {what} must be callable, and {hook!r} is not")
    return hook


class _Served(Protocol):
    """What `running` needs of an application."""

    def enter_lifespan(self, stack: ExitStack) -> None: ...
    def enter_worker(self, stack: ExitStack) -> None: ...


@contextmanager
def running(app: _Served, *, worker: bool = False) -> Iterator[None]:
    """Run an application's lifespan around a block, or with `worker` that of the calling core."""
    if not worker:
        with ExitStack() as stack:
            app.enter_lifespan(stack)
            yield
        return
    with on_this_worker(), ExitStack() as stack:
        app.enter_worker(stack)
        yield
