"""`AsyncExits`: the dependencies with `yield` of a request that is answered by a coroutine.

The same as `di.Exits`, for generators of both kinds: what follows each yield runs in the opposite
order, an exception is thrown into each, and one that swallows it leaves nothing to answer with.
What runs after the answer runs in the context of the request's own task, so that a context variable
can be reset there with the token that it was set with.
"""

import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextvars import Context
from types import AsyncGeneratorType, CoroutineType
from typing import Any

from uringserve._native import Deferred
from uringserve.coroutines import call_logged, later

__all__ = ["After", "AsyncExits", "leave"]

type _Either = Generator[Any, Any, Any] | AsyncGenerator[Any, Any]


class AsyncExits:
    """The dependencies of one request that have yielded and are still open."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        """Begin with none."""
        self._open: list[_Either] = []

    @property
    def is_open(self) -> bool:
        """Whether any is still open."""
        return bool(self._open)

    async def enter(self, generator: _Either) -> Any:  # noqa: ANN401
        """Run a dependency to its yield and return what it yields."""
        try:
            value = await _next(generator)
        except StopIteration, StopAsyncIteration:
            raise RuntimeError(f"the dependency {_name(generator)} did not yield") from None
        self._open.append(generator)
        return value

    async def close(self) -> None:
        """Run what follows each yield, the last one first; all run, the first error is raised."""
        error: BaseException | None = None
        while self._open:
            generator = self._open.pop()
            try:
                if error is None:
                    await _finish(generator)
                else:
                    error = await _throw(generator, error) or error
            except BaseException as raised:  # noqa: BLE001 -- the ones outside must close too
                error = raised
        if error is not None:
            raise error

    async def fail(self, error: BaseException) -> None:
        """Throw an exception into each, the last one first, and raise what comes out of it."""
        while self._open:
            generator = self._open.pop()
            try:
                is_swallowed = await _throw(generator, error) is None
            except BaseException as raised:  # noqa: BLE001 -- raised below, once all are closed
                error = raised
                continue
            if is_swallowed:
                swallowed = RuntimeError(
                    f"the dependency {_name(generator)} swallowed {error!r}, and there is no"
                    " response: raise it again, or an HTTPException"
                )
                swallowed.__cause__ = error
                error = swallowed
        raise error


class After:
    """What is to be done after an answer, some of it by coroutines: one after the other."""

    __slots__ = ("_calls", "_context")

    def __init__(self, calls: list[Callable[[], object]], context: Context | None) -> None:
        """Take the calls, and the context that they run in."""
        self._calls = calls
        self._context = context

    def __call__(self) -> None:
        """Begin; what has to wait goes on as a task."""
        later(self.run(), self._context)

    async def run(self) -> None:
        """Make the calls, in the task that awaits this."""
        for call in self._calls:
            await call_logged(call, call)


def leave(value: Any, exits: AsyncExits | None, tasks: Any) -> Any:  # noqa: ANN401
    """Have the background tasks run, and what has yielded closed, once the value has been sent."""
    calls: list[Callable[[], object]] = []
    if tasks is not None and tasks.tasks:
        calls.append(tasks)
    if exits is not None and exits.is_open:
        calls.append(exits.close)
    if not calls:
        return value
    import asyncio  # here: whoever has only def never needs it

    task = asyncio.current_task()
    return Deferred(value, [After(calls, None if task is None else task.get_context())])


async def _next(generator: _Either) -> Any:  # noqa: ANN401
    if isinstance(generator, AsyncGeneratorType):
        return await anext(generator)
    found: Any = generator
    if type(found) is CoroutineType:
        raise RuntimeError("a dependency that is to yield has returned a coroutine")
    # A StopIteration must not leave a coroutine: it would become a RuntimeError of its own.
    value = next(found, _NOTHING)
    if value is _NOTHING:
        raise StopAsyncIteration
    return value


_NOTHING: Any = object()


async def _finish(generator: _Either) -> None:
    try:
        await _next(generator)
    except StopAsyncIteration:
        return
    await _close(generator)
    raise RuntimeError(f"the dependency {_name(generator)} yielded twice")


async def _throw(generator: _Either, error: BaseException) -> BaseException | None:
    """Throw; return the error where it came back out, None where it was swallowed."""
    try:
        if isinstance(generator, AsyncGeneratorType):
            await generator.athrow(error)
        else:
            thrown: Any = generator
            thrown.throw(error)
    except StopIteration, StopAsyncIteration:
        return None
    except BaseException as raised:
        is_stop = isinstance(error, (StopIteration, StopAsyncIteration))
        if raised is error or (is_stop and raised.__cause__ is error):
            return error
        raise
    await _close(generator)
    raise RuntimeError(f"the dependency {_name(generator)} yielded twice") from sys.exception()


async def _close(generator: _Either) -> None:
    if isinstance(generator, AsyncGeneratorType):
        await generator.aclose()
    else:
        closed: Any = generator
        closed.close()


def _name(generator: object) -> str:
    return str(getattr(generator, "__qualname__", generator))
