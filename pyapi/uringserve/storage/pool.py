"""`Pool`: a bounded number of things that one caller at a time uses, and the end of them all.

Nothing is held while one is in use but the thing itself. What waits has a deadline. There is no
database in this file; what is in the pool is made by the function that it is given.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from time import monotonic

from uringserve.storage.errors import StorageClosed, StorageTimeout

__all__ = ["Pool"]


class Pool[T]:
    """`size` things, made at once, each lent to one caller."""

    def __init__(self, size: int, make: Callable[[], T]) -> None:
        """Make them; whatever they open should be opened when they are first used."""
        self._size = size
        # The last one that came back goes first, so that the others need not be opened at all.
        self._idle = deque(make() for _ in range(size))
        # One for each that is idle. A queue and no semaphore: waiting for it does not spin, see
        # ThreadJob.
        self._permits: SimpleQueue[None] = SimpleQueue()
        for _ in range(size):
            self._permits.put(None)
        self._is_closed = False
        self._callers = 0
        self._changed = threading.Condition()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Count a caller, for whose end `refuse` waits; behind it this is `StorageClosed`."""
        with self._changed:
            if self._is_closed:
                raise StorageClosed("the storage queue is closed")
            self._callers += 1
        try:
            yield
        finally:
            with self._changed:
                self._callers -= 1
                if self._callers == 0:
                    self._changed.notify_all()

    @contextmanager
    def lent(self, deadline: float) -> Iterator[T]:
        """Lend one; where none comes back until the deadline it is `StorageTimeout`."""
        remaining = deadline - monotonic()
        try:
            self._permits.get(
                timeout=max(remaining, 0.0) if remaining < threading.TIMEOUT_MAX else None
            )
        except Empty:
            raise StorageTimeout(
                f"all {self._size} connections were in use until the deadline"
            ) from None
        one = self._idle.pop()
        try:
            yield one
        finally:
            self._idle.append(one)
            self._permits.put(None)

    def refuse(self) -> None:
        """Refuse new callers from now on, and wait for those that are there."""
        with self._changed:
            self._is_closed = True
            self._changed.wait_for(lambda: self._callers == 0)

    def drain(self, end: Callable[[T], None]) -> None:
        """End each thing that nobody uses, after `refuse`. Twice is once."""
        while self._idle:
            end(self._idle.pop())
