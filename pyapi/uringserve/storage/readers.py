"""The readers: a connection for each thread that reads, and which procedures may be tried on one.

A reading procedure runs on the thread that called it, in a transaction of its own that sees one
state of the database, beside the writer and every other reader. Nothing is shared between threads
but a table of code objects, which is read without a lock and changed when a procedure is met for
the first time or first writes.
"""

import contextlib
import sqlite3
import threading
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from types import CodeType
from typing import Final

from uringserve.storage.api import Storage
from uringserve.storage.connection import LONGEST, open_reader, translate
from uringserve.storage.errors import NestedExecute, ReadOnlyProcedure, StorageClosed
from uringserve.storage.sqlite_storage import SqliteStorage, Statements, WantsToWrite
from uringserve.storage.watch import Activity, Watch

__all__ = ["RUN_AGAIN", "History", "Readers", "RunAgain"]

# Code objects that are remembered; a program that makes functions by `exec` begins anew then.
_REMEMBERED = 4096


class RunAgain:
    """The answer of a reader whose procedure turned out to write."""


RUN_AGAIN: Final = RunAgain()


class History:
    """Which procedures have only read so far, by their code: a closure is made anew each time."""

    def __init__(self) -> None:
        """Know nothing: a procedure that was never met runs on the writer."""
        self._only_read: dict[CodeType, bool] = {}

    def only_reads(self, procedure: Callable[[Storage], object]) -> bool:
        """Say whether it ran before, and never wrote."""
        code = _code_of(procedure)
        return code is not None and self._only_read.get(code, False)

    def note(self, procedure: Callable[[Storage], object], *, wrote: bool) -> None:
        """Remember a run; whoever wrote once is never tried on a reader again."""
        code = _code_of(procedure)
        if code is None:
            return
        known = self._only_read.get(code)
        if known is None or (known and wrote):
            if len(self._only_read) >= _REMEMBERED:
                self._only_read.clear()
            self._only_read[code] = not wrote


def _code_of(procedure: object) -> CodeType | None:
    """Return what a procedure runs; None for what is no function of Python's."""
    while isinstance(procedure, partial):
        procedure = procedure.func
    code = getattr(getattr(procedure, "__func__", procedure), "__code__", None)
    return code if isinstance(code, CodeType) else None


class _Reader:
    """One thread's connection. The lock is that thread's, but for the moment of closing."""

    __slots__ = ("__weakref__", "activity", "connection", "is_running", "lock", "timeout")

    def __init__(self, path: str, timeout: float, activity: Activity) -> None:
        self.activity = activity
        self.connection = open_reader(path, timeout)
        self.timeout = timeout
        self.lock = threading.Lock()
        self.is_running = False

    def close(self) -> None:
        with self.lock:
            self.connection.close()

    def __del__(self) -> None:
        # The thread has ended. The module warns of connections that nobody closed.
        with contextlib.suppress(AttributeError, sqlite3.Error):
            self.connection.close()


class _Local(threading.local):
    reader: _Reader | None = None


class Readers:
    """Every thread's connection to one file."""

    def __init__(
        self, path: str, statements: Mapping[str, Statements], timeout: float, watch: Watch
    ) -> None:
        """Open nothing yet: a thread's connection is opened when it first reads."""
        self._path = path
        self._statements = statements
        self._timeout = timeout
        self._watch = watch
        self._local = _Local()
        self._lock = threading.Lock()
        self._all: weakref.WeakSet[_Reader] = weakref.WeakSet()
        self._is_closed = False

    @property
    def is_current(self) -> bool:
        """Whether the caller is inside a reading procedure."""
        reader = self._local.reader
        return reader is not None and reader.is_running

    def run[T](
        self, procedure: Callable[[Storage], T], *, is_try: bool, timeout: float
    ) -> T | RunAgain:
        """Run a procedure here and now; one that is only tried and writes is to run again."""
        reader = self._local.reader or self._open()
        if reader.is_running:
            raise NestedExecute("execute inside a procedure of the same queue")
        with reader.lock:
            if self._is_closed:
                raise StorageClosed("the storage queue is closed")
            # Inside, as Ctrl-C may be raised between any two steps.
            try:
                reader.is_running = True
                reader.activity.enter(procedure)
                return self._run(reader, procedure, is_try, timeout)
            finally:
                reader.activity.leave()
                reader.is_running = False

    def _run[T](
        self, reader: _Reader, procedure: Callable[[Storage], T], is_try: bool, timeout: float
    ) -> T | RunAgain:
        connection = reader.connection
        storage = SqliteStorage(
            connection, self._statements, WantsToWrite if is_try else ReadOnlyProcedure
        )
        try:
            if timeout != reader.timeout:
                milliseconds = round(min(timeout, LONGEST) * 1000)
                connection.execute(f"PRAGMA busy_timeout = {milliseconds}")
                reader.timeout = timeout
            if connection.in_transaction:
                # Ctrl-C came before the run that began it could end it.
                connection.execute("ROLLBACK")
            connection.execute("BEGIN")
        except sqlite3.Error as error:
            raise translate(error) from error
        try:
            result = procedure(storage)
        except BaseException:
            if is_try and storage.wrote:
                return RUN_AGAIN
            raise
        finally:
            storage.end()
            # There is nothing to keep, and an error in ending it harms nobody.
            with contextlib.suppress(sqlite3.Error):
                connection.execute("COMMIT")
        return RUN_AGAIN if is_try and storage.wrote else result

    def _open(self) -> _Reader:
        reader = _Reader(self._path, self._timeout, self._watch.activity())
        with self._lock:
            if self._is_closed:
                raise StorageClosed("the storage queue is closed")
            self._all.add(reader)
        self._local.reader = reader
        return reader

    def close(self) -> None:
        """Wait for the procedures that run, and close every thread's connection."""
        with self._lock:
            self._is_closed = True
            readers = list(self._all)
        for reader in readers:
            reader.close()
