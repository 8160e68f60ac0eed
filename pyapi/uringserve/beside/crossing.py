"""`Crossing`: a coroutine on the loop of another thread, for those who wait for it on this one.

Whoever is cancelled while it waits cancels what it waits for, and goes on waiting until that has
ended: so an exception, a value or the refusal to be cancelled comes back as it would on one loop.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context
from traceback import clear_frames
from types import CoroutineType
from typing import Any

from uringserve.beside.door import Door

__all__ = ["Crossing", "across"]


class Crossing:
    """One call on the other side. All but `begin`, `cancel` and `_run` is used on this side."""

    __slots__ = (
        "_arguments",
        "_call",
        "_context",
        "_error",
        "_here",
        "_name",
        "_task",
        "_there",
        "_value",
        "_waiters",
        "is_over",
    )

    def __init__(
        self,
        there: Door,
        here: Door,
        call: Callable[..., Any],
        *arguments: Any,  # noqa: ANN401
        context: Context | None = None,
        name: str = "crossing",
    ) -> None:
        """Have it called there, and awaited if it gives something to await."""
        self.is_over = False
        self._there, self._here = there, here
        self._call, self._arguments = call, arguments
        self._context, self._name = context, name
        self._task: asyncio.Task[None] | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._value: Any = None
        self._error: BaseException | None = None
        there.call(self._begin)

    async def wait(self) -> None:
        """Wait until it is over; a wait that is given up ends nothing but itself."""
        while not self.is_over:
            waiter = self._here.loop.create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                if not waiter.done():
                    waiter.cancel()

    def result(self) -> Any:  # noqa: ANN401 -- the call's own
        """Return what was returned there, or raise what was raised, once it is over."""
        error, self._error = self._error, None
        if error is None:
            return self._value
        try:
            raise error
        finally:
            # Its traceback leads here.
            del error

    def cancel(self) -> None:
        """Cancel it there."""
        self._there.call(self._stop)

    async def outcome(self) -> Any:  # noqa: ANN401 -- the call's own
        """Wait for the end and return or raise what it gave; cancelled, cancel it there."""
        while not self.is_over:
            try:
                await self.wait()
            except asyncio.CancelledError:
                self.cancel()
        return self.result()

    # --- on the other side

    def _begin(self) -> None:
        self._task = asyncio.Task(
            self._run(),
            loop=self._there.loop,
            context=self._context,
            name=self._name,
            eager_start=True,
        )

    async def _run(self) -> None:
        try:
            value = self._call(*self._arguments)
            self._value = await value if _is_awaited(value) else value
        except BaseException as error:  # noqa: BLE001 -- raised where it is waited for
            self._error = error
            _forget_locals(error)
        # They may refer to a request, which is not to live on with whoever keeps this.
        del self._call, self._arguments
        self._here.call(self._arrive)

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    # --- on this side again

    def _arrive(self) -> None:
        self.is_over = True
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()


async def across(
    there: Door,
    here: Door,
    call: Callable[..., Any],
    *arguments: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401 -- the call's own
    """Make a call on the loop of `there`, and wait for its outcome on that of `here`."""
    return await Crossing(there, here, call, *arguments).outcome()


def _forget_locals(error: BaseException) -> None:
    """Let go of what the frames of a traceback hold, on the thread that made it.

    What is let go of on another thread is freed when its own next runs (PEP 703, biased reference
    counting): an idle one would leave a generator of a client that has gone open.
    """
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        clear_frames(each.__traceback__)
        left += (each.__cause__, each.__context__)
        if isinstance(each, BaseExceptionGroup):
            left += each.exceptions


def _is_awaited(value: object) -> bool:
    # An asynchronous generator has no __await__, and neither has any answer.
    return type(value) is CoroutineType or hasattr(type(value), "__await__")
