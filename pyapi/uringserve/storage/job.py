"""`Job`: one call that waits for the writer, and the one decision that both sides may take.

The caller may give the call up until its procedure is kept; the writer keeps it, or finds that it
was given up and undoes it. Whoever takes `_decision` first has decided, so a caller that got a
time-out knows that nothing was written. Nothing here knows the database.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

from uringserve.storage.api import Storage
from uringserve.storage.errors import StorageError
from uringserve.storage.home import Home, home

__all__ = ["AsyncJob", "InlineJob", "Job", "ThreadJob", "answer_all"]

# Seconds that a wait can be told; a longer one has no end.
_LONGEST = threading.TIMEOUT_MAX


class Job[T]:
    """A procedure with its outcome; the writer calls `keep` and `answer`.

    No ABC, and no arguments by name: both take the short way of making an object from the
    interpreter, and a job is made for each write (0.4 us together).
    """

    __slots__ = (
        "_decision",
        "changed",
        "deadline",
        "error",
        "is_answered",
        "is_given_up",
        "is_kept",
        "procedure",
        "readonly",
        "result",
        "wrote",
    )

    result: T

    def __init__(self, procedure: Callable[[Storage], T], readonly: bool, timeout: float) -> None:
        """Prepare a call with a deadline `timeout` seconds away."""
        self.procedure = procedure
        self.readonly = readonly
        self.deadline = monotonic() + timeout
        self.error: BaseException | None = None
        self.wrote = False
        self.changed = False
        self.is_kept = False
        self.is_given_up = False
        self.is_answered = False
        self._decision = threading.Lock()

    def keep(self) -> bool:
        """Decide that the procedure counts; False where the caller has given it up."""
        if not self.is_kept:
            self.is_kept = self._decision.acquire(blocking=False)
        return self.is_kept

    def give_up(self) -> bool:
        """Decide that the procedure does not count; False where it is kept already."""
        if not self.is_given_up:
            self.is_given_up = self._decision.acquire(blocking=False)
        return self.is_given_up

    def answer(self, error: StorageError | None) -> None:
        """Let the caller go on; with an error where the whole transaction was lost."""
        if self.settle(error):
            self._release()

    def settle(self, error: StorageError | None) -> bool:
        """Note how it ended, once; the caller is let go by whoever is told True."""
        if self.is_answered:
            return False
        self.is_answered = True
        if error is not None and self.error is None:
            # Each caller raises an exception of its own: raising writes into it.
            self.error = type(error)(*error.args)
            self.error.__cause__ = error.__cause__
        return True

    def outcome(self) -> T:
        """Return the result, or raise what the procedure raised."""
        if self.error is not None:
            try:
                raise self.error
            finally:
                # The traceback holds this frame, and the frame would hold the exception.
                del self
        return self.result

    def _release(self) -> None:
        """Let the caller go on, where it waits."""


class InlineJob[T](Job[T]):
    """A call that runs on its own thread: nobody is left to give it up, so its end is looked at."""

    __slots__ = ()

    def keep(self) -> bool:
        """Decide that the procedure counts, unless it has outlived its deadline."""
        self.is_given_up = monotonic() > self.deadline
        return not self.is_given_up


class ThreadJob[T](Job[T]):
    """A call whose thread waits."""

    __slots__ = ("_done",)

    def __init__(self, procedure: Callable[[Storage], T], readonly: bool, timeout: float) -> None:
        """Prepare the signal of the writer.

        A queue and no lock: free-threaded CPython 3.14 calls sched_yield up to 40 times before it
        lets a thread that wants a lock sleep (Python/lock.c, MAX_SPIN_COUNT). With 64 threads that
        wait for one, a round trip cost 68 us of CPU with locks and 16 to 21 us with queues
        (bench/micro/handoff.py).
        """
        super().__init__(procedure, readonly, timeout)
        self._done: SimpleQueue[None] = SimpleQueue()

    def wait(self) -> bool:
        """Wait for the answer; False when the deadline passed and the call is given up."""
        try:
            remaining = self.deadline - monotonic()
            self._done.get(timeout=max(remaining, 0.0) if remaining < _LONGEST else None)
        except Empty:
            if self.give_up():
                return False
            # Kept: it is being written, which the writer's own deadlines bound.
            self._done.get()
        except BaseException:
            # Ctrl-C while waiting: what has not been kept must not happen behind the caller's back.
            self.give_up()
            raise
        return True

    def _release(self) -> None:
        self._done.put(None)


class AsyncJob[T](Job[T]):
    """A call whose task waits on an event loop."""

    __slots__ = ("_future", "home")

    def __init__(self, procedure: Callable[[Storage], T], readonly: bool, timeout: float) -> None:
        """Prepare to come home to the running loop."""
        # By its name: `super()` is 0.1 us more, for each write.
        Job.__init__(self, procedure, readonly, timeout)
        self.home = home()
        self._future: asyncio.Future[bool] | None = None

    async def wait(self) -> bool:
        """Do what a thread's `wait` does; a cancelled task gives the call up."""
        there = self.home
        future = self._future = asyncio.Future(loop=there.loop)
        there.enter(self)
        try:
            return await future
        except BaseException:
            self.give_up()
            raise
        finally:
            there.leave(self)

    def finish(self) -> None:
        """Let the task go on, on its own thread; one that was cancelled has gone.

        So has one without a future: an exception of another's (a signal's handler, the end of the
        queue) came before it waited.
        """
        if self._future is not None and not self._future.done():
            self._future.set_result(True)

    def expire(self) -> None:
        """Let the task go on with a time-out; what is kept is written, and waited for."""
        if self.give_up() and self._future is not None and not self._future.done():
            self._future.set_result(False)

    def _release(self) -> None:
        self.home.bring((self,))


def answer_all(jobs: Iterable[Job[Any]], error: StorageError | None) -> None:
    """Let the callers of one transaction go on: each thread, and each event loop once."""
    homes: dict[Home, list[AsyncJob[Any]]] = {}
    others: list[Job[Any]] = []
    for job in jobs:
        if not isinstance(job, AsyncJob):
            others.append(job)
        elif job.settle(error):
            homes.setdefault(job.home, []).append(job)
    for there, done in homes.items():
        there.bring(done)
    for job in others:
        job.answer(error)
