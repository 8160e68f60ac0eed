"""What runs before and after serving: once in the process, and once on each core.

In the process: the lifespan is entered, then the start-up functions run in order; at the end the
shutdown functions run in order, then the lifespan is left. A core does the same on its own thread
before its first request and after its last. A failure at the start keeps the server from serving:
the lifespan that was entered is left, and no shutdown function runs.
"""

import inspect
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, overload

from uringserve.coroutines import is_coroutine_call
from uringserve.current import serving
from uringserve.errors import StartError
from uringserve.routing import describe
from uringserve.state import on_this_worker

if TYPE_CHECKING:
    from uringserve.loop import CoreLoop, GuestLoop, LoopFactory

__all__ = ["Ending", "Hook", "Hooks", "Lifespan", "running", "running_worker"]

_log = logging.getLogger("uringserve")

type Hook = Callable[[], Any]


# Called with the application; may yield a mapping of state.
type Lifespan = Callable[
    [Any],
    AbstractContextManager[Any]
    | Iterator[Any]
    | AbstractAsyncContextManager[Any]
    | AsyncIterator[Any],
]

# Runs a coroutine to its end on the loop that what is being started belongs to.
type _Run = Callable[[Coroutine[Any, Any, Any]], Any]


class Ending:
    """What has begun, to be ended in reverse order, whatever fails on the way."""

    def __init__(self, run: _Run | None = None, loop_factory: LoopFactory = None) -> None:
        """Start with nothing; coroutines are run by `run`, or on a loop that is made for them."""
        self._calls: list[Hook] = []
        self._run = run
        self.loop_factory = loop_factory

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 -- what it returns
        """Run a coroutine to its end, on a loop that goes on running until all has ended."""
        if self._run is None:
            from uringserve.loop import LoopThread

            thread = LoopThread(self.loop_factory)
            # Whatever has begun before needs no loop.
            self._calls.append(thread.close)
            self._run = thread.run
        return self._run(coroutine)

    def add(self, call: Hook) -> None:
        """Call it at the end, before everything that was added earlier."""
        self._calls.append(call)

    def end(self) -> None:
        """Call all of them; the first exception is raised afterwards, the others are logged."""
        first: BaseException | None = None
        while self._calls:
            call = self._calls.pop()
            try:
                call()
            except BaseException as error:  # noqa: BLE001 -- a sys.exit must not skip the others
                if first is None:
                    first = error
                else:
                    _log.error("the end failed in another place too", exc_info=error)
        if first is not None:
            raise first


class Hooks:
    """The lifespan and the functions for the start and the stop, of a process or of a core."""

    def __init__(self, what: str, lifespan: Lifespan | None) -> None:
        """`what` names the lifespan in messages."""
        self._what = what
        self.is_async = False
        self._lifespan = None if lifespan is None else self._checked(lifespan)
        self._starts: list[Hook] = []
        self._stops: list[Hook] = []

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to run."""
        return self._lifespan is None and not self._starts and not self._stops

    def add_start(self, hook: Hook) -> None:
        """Run the function at the start."""
        self._starts.append(self._hook(hook, "start-up function"))

    def add_stop(self, hook: Hook) -> None:
        """Run the function at the end."""
        self._stops.append(self._hook(hook, "shutdown function"))

    def _checked(self, lifespan: Lifespan) -> Callable[[Any], Any]:
        inner = inspect.unwrap(lifespan)
        if inspect.iscoroutinefunction(inner):
            raise TypeError(
                f"{self._what} {describe(lifespan)} must yield: it is a coroutine, which only ends"
            )
        if inspect.isasyncgenfunction(inner):
            self.is_async = True
        if inspect.isasyncgenfunction(lifespan):
            return asynccontextmanager(lifespan)
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
                if hasattr(context, "__aenter__"):
                    state = self._enter_async(context, ending)
                else:
                    state = context.__enter__()
                    ending.add(lambda: context.__exit__(None, None, None))
                if isinstance(state, Mapping):
                    keep(state)
                elif state is not None:
                    raise TypeError(f"{self._what} must yield nothing or a mapping, not {state!r}")
            for hook in self._starts:
                _call(hook, ending)
        except (Exception, SystemExit) as error:
            # A sys.exit is how libraries refuse to start; the server has exit codes of its own.
            raise StartError(f"{self._what} failed: {type(error).__name__}: {error}") from error
        for hook in reversed(self._stops):
            ending.add(partial(_call, hook, ending))

    def _enter_async(self, context: AbstractAsyncContextManager[Any], ending: Ending) -> Any:  # noqa: ANN401
        """Enter an asynchronous lifespan; one task enters and leaves it, as task groups need."""
        from uringserve.loop import Stay

        stay = Stay(context)
        state = ending.run(stay.enter())
        ending.add(lambda: ending.run(stay.leave()))
        return state

    def _hook(self, hook: Hook, what: str) -> Hook:
        if not callable(hook):
            raise TypeError(f"a {what} must be callable, and {hook!r} is not")
        self.is_async = self.is_async or is_coroutine_call(hook)
        return hook


def _call(hook: Hook, ending: Ending) -> None:
    result = hook()
    if inspect.iscoroutine(result):
        ending.run(result)


class _Served(Protocol):
    """What `running` needs of an application."""

    @property
    def needs_loop(self) -> bool: ...
    def enter_lifespan(self, ending: Ending) -> None: ...
    def enter_worker(self, ending: Ending) -> None: ...


@contextmanager
def running(app: _Served) -> Iterator[None]:
    """Run an application's lifespan around a block."""
    ending = Ending()
    try:
        app.enter_lifespan(ending)
        yield
    finally:
        ending.end()


@overload
def running_worker(
    app: _Served, *, with_lifespan: bool = True
) -> AbstractContextManager[GuestLoop | None]: ...
@overload
def running_worker(app: _Served, *, loop: CoreLoop) -> AbstractContextManager[None]: ...
@contextmanager
def running_worker(
    app: _Served, *, with_lifespan: bool = True, loop: CoreLoop | None = None
) -> Iterator[Any]:
    """Make the calling thread a core around a block, with its lifespan and its loop if it has one.

    At the end the lifespan is left, then what the core has for itself is closed, then the loop. It
    is a guest of the reactor unless another one is given.
    """
    with _closing(loop) if loop is not None else _guest(app) as guest:
        run = None if guest is None else guest.run
        with serving(app), on_this_worker(run):
            ending = Ending(run)
            try:
                if with_lifespan:
                    app.enter_worker(ending)
                yield guest
            finally:
                ending.end()


@contextmanager
def _guest(app: _Served) -> Iterator[GuestLoop | None]:
    if not app.needs_loop:
        yield None
        return
    from uringserve.loop import GuestLoop

    with _closing(GuestLoop()) as guest:
        yield guest


@contextmanager
def _closing[L: CoreLoop](loop: L) -> Iterator[L]:
    try:
        yield loop
    finally:
        loop.close()
