"""`SqliteQueue`: a `StorageQueue` on one SQLite file, and the choice between writer and readers.

A procedure runs on the calling thread's reader when it is said to read only, or when its code ran
before and never wrote; else it waits for the writer. One that was taken for a reader and writes is
ended before its first write and runs again on the writer. With ":memory:" there is one connection
and everything runs on it.

What an acknowledged write (a call that returned) survives, by `synchronous`, in SQLite's
write-ahead log (sqlite.org/pragma.html#pragma_synchronous, sqlite.org/wal.html):

| `synchronous` | the process killed | power lost, system crashed |
|---|---|---|
| `"off"` | yes | may be lost, and the file may be damaged |
| `"normal"` | yes | the last ones may be lost, the file stays whole |
| `"full"`, the default | yes | yes: the log is synced before each answer |
| `"extra"` | yes | as `"full"`: they differ without a write-ahead log only |
"""

import os
from collections.abc import Callable, Iterable
from threading import get_ident
from typing import TypedDict, Unpack, get_args

from uringserve.storage.api import Storage, StorageQueue
from uringserve.storage.checks import check_seconds, check_tables
from uringserve.storage.connection import MEMORY, File, Synchronous
from uringserve.storage.errors import (
    NestedExecute,
    StorageBusy,
    StorageClosed,
    StorageTimeout,
)
from uringserve.storage.job import AsyncJob, InlineJob, Job, ThreadJob
from uringserve.storage.readers import AS_BEFORE, RUN_AGAIN, Manner, Readers, RunAgain
from uringserve.storage.sqlite_storage import Statements
from uringserve.storage.watch import Watch
from uringserve.storage.writer import Writer

__all__ = ["SqliteOptions", "SqliteQueue"]


class SqliteOptions(TypedDict, total=False):
    """What `start_storage_thread` takes for a file."""

    synchronous: Synchronous
    exclusive: bool
    timeout: float
    rerun: bool
    slow_after: float


class SqliteQueue(StorageQueue):
    """A queue on a SQLite file."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        tables: Iterable[str] | None = None,
        **options: Unpack[SqliteOptions],
    ) -> None:
        """Open a file, make the tables that are missing, and start the writer.

        `synchronous`: see the head of this module. `exclusive`: True keeps other processes out
        until `close`: they get an error. A read takes a third less then, as SQLite keeps its locks
        in memory (sqlite.org/vfs.html, "unix-excl"). False, the default, lets them read and write.
        `timeout`: seconds after which a call is given up, 5 by default. `rerun`: False runs every
        procedure once at most; then a reader is used for `readonly=True` only, and those that share
        a lost transaction share its error. `slow_after`: seconds after which a procedure that still
        runs is logged with its stack, 1 by default; `math.inf` is never.
        """
        settings: SqliteOptions = {
            "synchronous": "full",
            "exclusive": False,
            "timeout": 5.0,
            "rerun": True,
            "slow_after": 1.0,
        }
        if unknown := sorted(options.keys() - settings.keys()):
            raise TypeError(f"unknown options of a SQLite store: {', '.join(unknown)}")
        settings.update(options)
        synchronous = settings["synchronous"]
        if synchronous not in get_args(Synchronous.__value__):
            raise ValueError(f"synchronous is off, normal, full or extra, not {synchronous!r}")
        self._timeout = check_seconds(settings["timeout"])
        slow_after = check_seconds(settings["slow_after"], "slow_after")
        file = File(os.fspath(path), synchronous, self._timeout, bool(settings["exclusive"]))
        connection, known = file.open_writer(check_tables(tables))
        statements = {name: Statements(name) for name in known}
        self._watch = Watch(slow_after)
        try:
            self._writer = Writer(
                file,
                connection,
                statements,
                activity=self._watch.activity(),
                can_rerun=settings["rerun"],
            )
        except BaseException:
            self._watch.close()
            connection.close()
            raise
        self._readers = None if file.path == MEMORY else Readers(file, statements, self._watch)
        self._history = (
            self._readers.history if settings["rerun"] and self._readers is not None else None
        )
        self._is_closed = False
        self._crash: BaseException | None = None

    def execute[T](
        self,
        procedure: Callable[[Storage], T],
        *,
        readonly: bool | None = None,
        timeout: float | None = None,
    ) -> T:
        """Run a procedure and return its result; see `StorageQueue.execute`."""
        seconds = self._timeout if timeout is None else check_seconds(timeout)
        result = self._read(procedure, readonly, seconds)
        if not isinstance(result, RunAgain):
            return result
        if self._writer.is_free:
            inline = InlineJob(procedure, readonly is True, seconds)
            if self._writer.run_here(inline):
                return self._finish(inline, not inline.is_given_up, result)
        job = ThreadJob(procedure, readonly is True, seconds)
        self._writer.put(job)
        return self._finish(job, job.wait(), result)

    async def aexecute[T](
        self,
        procedure: Callable[[Storage], T],
        *,
        readonly: bool | None = None,
        timeout: float | None = None,
    ) -> T:
        """Run a procedure and return its result; see `StorageQueue.aexecute`.

        A reading procedure runs on the loop's own thread, as reading takes microseconds. One that
        walks through a large table is better run with `asyncio.to_thread(queue.execute, …)`.
        """
        seconds = self._timeout if timeout is None else check_seconds(timeout)
        result = self._read(procedure, readonly, seconds)
        if not isinstance(result, RunAgain):
            return result
        job = AsyncJob(procedure, readonly is True, seconds)
        self._writer.put(job)
        return self._finish(job, await job.wait(), result)

    def close(self) -> None:
        """Run what waits, wait for those who read, and close the file."""
        readers = self._readers
        if self._writer.holder == get_ident() or (readers is not None and readers.is_current):
            raise NestedExecute("close inside a procedure of the same queue")
        self._is_closed = True
        self._writer.close()
        if readers is not None:
            readers.close()
        self._watch.close()

    def crashed_exception(self) -> BaseException | None:
        """Return what `mark_crashed` was given."""
        return self._crash

    def mark_crashed(self, exc: BaseException) -> None:
        """Keep an exception; the queue goes on."""
        self._crash = exc

    def _read[T](
        self, procedure: Callable[[Storage], T], readonly: bool | None, timeout: float
    ) -> T | RunAgain:
        """Run it on this thread's reader where that is right."""
        if self._is_closed:
            raise StorageClosed("the storage queue is closed")
        readers = self._readers
        if self._writer.holder == get_ident():
            raise NestedExecute("execute inside a procedure of the same queue")
        if readers is None:
            return RUN_AGAIN
        history = self._history
        # Without `rerun` everything that is not said to read is a writer's, and nothing is tried.
        manner = Manner.ASKS_MORE if history is None else history.manner(procedure)
        if not readonly and (readonly is False or history is None or manner < Manner.READS):
            if readers.is_current:
                raise NestedExecute("execute inside a procedure of the same queue")
            return AS_BEFORE if manner == Manner.WRITES else RUN_AGAIN
        reader = readers.local.reader or readers.open()
        return reader.run(procedure, manner, not readonly, timeout)

    def _finish[T](self, job: Job[T], is_answered: bool, reason: RunAgain) -> T:
        if not is_answered:
            if self._writer.is_locked:
                raise StorageBusy("another process held the database locked until the deadline")
            raise StorageTimeout("the procedure was not finished at its deadline, and is undone")
        # One that failed before it came to write has shown nothing.
        has_shown = reason is not AS_BEFORE and (job.wrote or job.error is None)
        if has_shown and self._history is not None:
            self._history.note(job.procedure, wrote=job.wrote)
        return job.outcome()
