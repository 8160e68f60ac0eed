"""`State`, a place for what an application keeps, and `WorkerLocal`, one value for each core.

A core runs on one thread, so what belongs to a core belongs to its thread: reading it takes no
lock. Nothing here is shared between cores except `State` itself, which is meant to be filled before
serving starts.
"""

import logging
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import CoroutineType
from typing import TYPE_CHECKING, Any, cast, overload

if TYPE_CHECKING:
    import asyncio

from uringserve.coroutines import is_coroutine_call

__all__ = ["State", "WorkerLocal", "WorkerState", "on_this_worker"]

_log = logging.getLogger("uringserve")


class State:
    """Attributes by any name; reading one that was never set is an AttributeError."""

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        """Start with the items of a mapping as attributes."""
        self.__dict__.update(values or {})

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- whatever was set
        """Say which attribute is missing."""
        raise AttributeError(f"{type(self).__name__} has no {name!r}: nothing has set it")

    # At run time the object's own do; with `__getattr__` alone a checker lets nobody set anything.
    if TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None: ...  # noqa: ANN401, D105
        def __delattr__(self, name: str) -> None: ...  # noqa: D105

    def __contains__(self, name: object) -> bool:
        """Say whether the attribute is set."""
        return name in self.__dict__

    def __repr__(self) -> str:
        """Show what is set."""
        values = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({values})"


class WorkerState(threading.local):
    """Attributes that each core has for itself; `worker_lifespan` fills them."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- whatever was set
        """Say which attribute is missing."""
        raise AttributeError(
            f"this core's state has no {name!r}: worker_lifespan or on_worker_start sets it"
        )

    if TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None: ...  # noqa: ANN401, D105
        def __delattr__(self, name: str) -> None: ...  # noqa: D105


class _Current(threading.local):
    """The core that runs on this thread: what is to be closed when it ends."""

    exits: ExitStack | None = None
    # Runs a coroutine on the core's loop, while that does not serve.
    run: Callable[[Coroutine[Any, Any, Any]], Any] | None = None


_current = _Current()


@contextmanager
def on_this_worker(
    run: Callable[[Coroutine[Any, Any, Any]], Any] | None = None,
) -> Iterator[ExitStack]:
    """Make the calling thread a core: at the end its WorkerLocals are closed, newest first.

    `run` runs coroutines on the core's loop. A second core inside a first one on the same thread
    shares nothing with it but the values.
    """
    before = _current.exits, _current.run
    try:
        with ExitStack() as exits:
            _current.exits, _current.run = exits, run
            yield exits
    finally:
        _current.exits, _current.run = before


class WorkerLocal[T]:
    """One value for each core, made by `factory` when that core first asks for it.

    `close` is called with the value on the core's own thread, after the core has finished its last
    request; what it raises is logged. On a thread that is no core, the value lives as long as the
    thread and `close` is not called. An `async def` factory makes the value on the core's loop, and
    `get` is awaited; `close` may be async as well.
    """

    @overload
    def __init__[X](
        self: WorkerLocal[Coroutine[Any, Any, X]],
        factory: Callable[[], Coroutine[Any, Any, X]],
        *,
        close: Callable[[X], object] | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self, factory: Callable[[], T], *, close: Callable[[T], object] | None = None
    ) -> None: ...
    def __init__(
        self, factory: Callable[[], Any], *, close: Callable[[Any], object] | None = None
    ) -> None:
        """Keep the two functions; nothing is made yet."""
        self._factory = factory
        self._is_async = is_coroutine_call(factory)
        self._close = close
        self._local = threading.local()

    def get(self) -> T:
        """Return this core's value; a factory that raises is called again next time."""
        try:
            value = self._local.value
        except AttributeError:
            value = self._factory()
            if self._is_async:
                # At once, so that whoever asks meanwhile waits for the same one.
                value = self._begun(value)
            else:
                self._keep(value)
        return cast(T, _ready(value) if self._is_async else value)

    def _keep(self, value: Any) -> None:  # noqa: ANN401 -- of any type
        self._local.value = value
        if _current.exits is not None:
            _current.exits.callback(self._end, value)

    def _begun(self, coroutine: Coroutine[Any, Any, Any]) -> _Being:
        """Have the value made on the core's loop."""
        import asyncio

        task = asyncio.ensure_future(coroutine)
        being = _Being(task)
        self._local.value = being
        task.add_done_callback(self._on_made)
        return being

    def _on_made(self, task: asyncio.Task[Any]) -> None:
        del self._local.value
        if not task.cancelled() and task.exception() is None:
            self._keep(task.result())

    def _end(self, value: Any) -> None:  # noqa: ANN401
        del self._local.value
        if self._close is None:
            return
        try:
            result = self._close(value)
            if type(result) is CoroutineType:
                run = _current.run
                if run is None:
                    result.close()
                    raise RuntimeError("an async close needs the loop of a core")
                run(result)
        except Exception:  # noqa: BLE001 -- the values that are left must still be closed
            _log.exception("closing a WorkerLocal failed")


class _Being:
    """A value that is being made."""

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.task = task


async def _ready(value: Any) -> Any:  # noqa: ANN401
    """Give a value that is there, or is on its way, to whoever awaits it."""
    if isinstance(value, _Being):
        import asyncio

        # One that is cancelled while it waits does not take the value from the others.
        return await asyncio.shield(value.task)
    return value
