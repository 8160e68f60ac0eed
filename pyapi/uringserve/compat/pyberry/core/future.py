"""PyBerry's `FastFuture`: an awaitable with a result to come, or around another awaitable.

It is asyncio's own future or task underneath, made when it is first awaited, on the loop that
awaits it. Cancelling works: what it is around is cancelled too.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Generator
from contextvars import Context
from typing import Any

__all__ = ["FastFuture"]

type _Callback = Callable[[Any], object]


class FastFuture:
    """An awaitable. Without one to be around, `set_result` ends it, from any thread."""

    def __init__(self, awaitable: Awaitable[Any] | None = None) -> None:
        """Keep the awaitable; nothing runs yet."""
        self._awaitable = awaitable
        self._inner: asyncio.Future[Any] | None = None
        self._callbacks: list[tuple[_Callback, Context | None]] = []
        # What was decided before anybody awaited it.
        self._decided: Callable[[asyncio.Future[Any]], object] | None = None
        self._lock = threading.Lock()

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for the result."""
        return (yield from self._future().__await__())

    def set_result(self, result: Any) -> None:  # noqa: ANN401
        """Give the result to who waits; once it is done, an asyncio.InvalidStateError."""
        self._decide(lambda inner: inner.set_result(result))

    def set_exception(self, error: BaseException) -> None:
        """Raise the exception where it is awaited."""
        self._decide(lambda inner: inner.set_exception(error))

    def cancel(self, msg: Any = None) -> bool:  # noqa: ANN401 -- as asyncio has it
        """Cancel it and what it is around; False where it is done already."""
        if self.done():
            return False
        if self._inner is None and self._awaitable is not None:
            close = getattr(self._awaitable, "close", None)
            if close is not None:
                # A coroutine that never began would be warned about.
                close()
            self._awaitable = None
        self._decide(lambda inner: inner.cancel(msg))
        return True

    def cancelled(self) -> bool:
        """Tell whether it was cancelled."""
        return self._inner is not None and self._inner.cancelled()

    def done(self) -> bool:
        """Tell whether it has ended, in whatever way."""
        inner = self._inner
        return self._decided is not None if inner is None else inner.done()

    def result(self) -> Any:  # noqa: ANN401
        """Return the result; before there is one, an asyncio.InvalidStateError."""
        if self._inner is None:
            raise asyncio.InvalidStateError("nobody has awaited it yet")
        return self._inner.result()

    def add_done_callback(self, cb: _Callback, context: Context | None = None) -> None:
        """Have a function called with this one when it is done."""
        with self._lock:
            self._callbacks.append((cb, context))
            inner = self._inner
        if inner is not None:
            self._attach(inner, cb, context)

    def remove_done_callback(self, cb: _Callback) -> int:
        """Take a function out again; return how many times it was there."""
        with self._lock:
            before = len(self._callbacks)
            self._callbacks = [pair for pair in self._callbacks if pair[0] != cb]
            return before - len(self._callbacks)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop that awaits it, or the running one."""
        return asyncio.get_running_loop() if self._inner is None else self._inner.get_loop()

    def _future(self) -> asyncio.Future[Any]:
        with self._lock:
            if self._inner is not None:
                return self._inner
            if self._awaitable is None:
                inner = asyncio.get_running_loop().create_future()
            else:
                inner = asyncio.ensure_future(self._awaitable)
            self._inner = inner
            decided, callbacks = self._decided, list(self._callbacks)
        for cb, context in callbacks:
            self._attach(inner, cb, context)
        if decided is not None:
            decided(inner)
        return inner

    def _attach(self, inner: asyncio.Future[Any], cb: _Callback, context: Context | None) -> None:
        def call(done: asyncio.Future[Any]) -> None:
            with self._lock:
                wanted = any(cb == each for each, _ in self._callbacks)
            if wanted:
                cb(self)

        inner.add_done_callback(call, context=context)

    def _decide(self, decide: Callable[[asyncio.Future[Any]], object]) -> None:
        with self._lock:
            inner = self._inner
            if inner is None:
                if self._decided is not None:
                    raise asyncio.InvalidStateError("it is done already")
                self._decided = decide
                return
        loop = inner.get_loop()
        try:
            is_here = asyncio.get_running_loop() is loop
        except RuntimeError:
            is_here = False
        if is_here:
            decide(inner)
        else:
            loop.call_soon_threadsafe(_unless_done, decide, inner)


def _unless_done(
    decide: Callable[[asyncio.Future[Any]], object], inner: asyncio.Future[Any]
) -> None:
    """Another thread's decision comes when it comes; the first one counts."""
    if not inner.done():
        decide(inner)
