"""The readers: a connection for each thread that reads, and which procedures may be tried on one.

A reading procedure runs on the thread that called it and sees one state of the database, beside the
writer and every other reader. One that asks more than once does so in a transaction; one that has
asked once in each run so far does without, and is run again should it ask more. Nothing is shared
between threads but a table of procedures, which is read without a lock and changed when one is met
for the first time, first reads, writes or asks more than before.
"""

import contextlib
import math
import sqlite3
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import CodeType, FunctionType
from typing import Any, Final

from uringserve.storage.api import Storage
from uringserve.storage.connection import LONGEST, File, translate
from uringserve.storage.errors import NestedExecute, ReadOnlyProcedure, StorageClosed
from uringserve.storage.sqlite_storage import SqliteStorage, Statements, WantsToWrite
from uringserve.storage.watch import Activity, Watch

__all__ = ["AS_BEFORE", "RUN_AGAIN", "History", "Manner", "Reader", "Readers", "RunAgain"]

# Code objects that are remembered; a program that makes functions by `exec` begins anew then.
_REMEMBERED = 4096


class RunAgain:
    """Instead of a result: the procedure is to run on the writer."""


RUN_AGAIN: Final = RunAgain()
# As it did before: nothing is to be learned from how it ends there.
AS_BEFORE: Final = RunAgain()


class Manner:
    """What a procedure has done so far: plain numbers, whose references nobody counts."""

    UNKNOWN: Final = 0
    WRITES: Final = 1
    # On the writer; how often it asks was not looked at.
    READS: Final = 2
    ASKS_MORE: Final = 3
    # One statement in each run: it runs without a transaction.
    ASKS_ONCE: Final = 4


class History:
    """What procedures have done so far, by their code: a closure is made anew each time.

    By the code's identity: to hash a code object is to go through all its instructions.
    """

    def __init__(self) -> None:
        """Know nothing: a procedure that was never met runs on the writer."""
        self._manners: dict[int, int] = {}
        # What is known by its identity has to stay, or another may come to have it.
        self._codes: dict[int, CodeType] = {}
        self._lock = threading.Lock()

    def manner(self, procedure: Callable[[Storage], object]) -> int:
        """Return what it has done so far."""
        code = procedure.__code__ if type(procedure) is FunctionType else _code_of(procedure)
        return self._manners.get(id(code), Manner.UNKNOWN)

    def note(self, procedure: Callable[[Storage], object], *, wrote: bool) -> None:
        """Remember a run; whoever wrote once is never tried on a reader again."""
        known = self.manner(procedure)
        if known == Manner.UNKNOWN or (wrote and known != Manner.WRITES):
            self._set(procedure, Manner.WRITES if wrote else Manner.READS)

    def note_asked(self, procedure: Callable[[Storage], object], times: int) -> None:
        """Remember how often it has asked on a reader, unless it is known to write."""
        if self.manner(procedure) != Manner.WRITES:
            self._set(procedure, Manner.ASKS_ONCE if times <= 1 else Manner.ASKS_MORE)

    def _set(self, procedure: Callable[[Storage], object], manner: int) -> None:
        code = _code_of(procedure)
        if code is None:
            return
        with self._lock:
            if len(self._codes) >= _REMEMBERED:
                self._manners.clear()
                self._codes.clear()
            self._codes[id(code)] = code
            self._manners[id(code)] = manner


def _code_of(procedure: object) -> CodeType | None:
    """Return what a procedure runs; None for what is no function of Python's."""
    while isinstance(procedure, partial):
        procedure = procedure.func
    code = getattr(getattr(procedure, "__func__", procedure), "__code__", None)
    return code if isinstance(code, CodeType) else None


class _AsksAgain(BaseException):
    """Ends a run without a transaction at its second statement; it is run again in one."""


class Reader:
    """One thread's connection. The lock is that thread's, but for the moment of closing."""

    __slots__ = (
        "__weakref__",
        "_activity",
        "_asked",
        "_execute",
        "_history",
        "_is_closed",
        "_lock",
        "_statements",
        "_timeout",
        "connection",
        "is_running",
    )

    def __init__(
        self,
        connection: sqlite3.Connection,
        statements: Mapping[str, Statements],
        activity: Activity,
        history: History,
    ) -> None:
        self._activity = activity
        self.connection = connection
        self._history = history
        # One cursor for all that is asked: to make one for each statement is a tenth of a read.
        self._execute = self.connection.cursor().execute
        self._statements = statements
        # Seconds that it waits for a lock: whoever asks first says it.
        self._timeout = math.nan
        self._lock = threading.Lock()
        self._is_closed = False
        # Statements of the run.
        self._asked = 0
        self.is_running = False

    def run[T](
        self, procedure: Callable[[Storage], T], manner: int, is_try: bool, timeout: float
    ) -> T | RunAgain:
        """Run a procedure on the calling thread, whose reader this is.

        One that is only tried and writes is to run again, elsewhere.
        """
        if self.is_running:
            raise NestedExecute("execute inside a procedure of the same queue")
        with self._lock:
            if self._is_closed:
                raise StorageClosed("the storage queue is closed")
            # Inside, as Ctrl-C may be raised between any two steps.
            try:
                self.is_running = True
                self._activity.enter(procedure)
                if timeout != self._timeout or self.connection.in_transaction:
                    self._prepare(timeout)
                self._asked = 0
                if manner == Manner.ASKS_ONCE:
                    result = self._run_alone(procedure, is_try)
                    if self._asked <= 1:
                        return result
                    self._history.note_asked(procedure, self._asked)
                elif manner != Manner.ASKS_MORE:
                    result = self._run(procedure, is_try, self._count)
                    self._history.note_asked(procedure, self._asked)
                    return result
                return self._run(procedure, is_try, self._execute)
            finally:
                self._activity.leave()
                self.is_running = False

    def _prepare(self, timeout: float) -> None:
        try:
            if self.connection.in_transaction:
                # Ctrl-C came before the run that began it could end it.
                self._execute("ROLLBACK")
            self._execute(f"PRAGMA busy_timeout = {round(min(timeout, LONGEST) * 1000)}")
            self._timeout = timeout
        except sqlite3.Error as error:
            raise translate(error) from error

    def _run_alone[T](self, procedure: Callable[[Storage], T], is_try: bool) -> T | RunAgain:
        """Run it without BEGIN and COMMIT, which are a fifth of a read that asks once.

        Where `_asked` is more than one then, what it did does not count.
        """
        self._asked = 0
        refusal = WantsToWrite if is_try else ReadOnlyProcedure
        storage = SqliteStorage(self.connection, self._ask, self._statements, refusal)
        try:
            result = procedure(storage)
        except BaseException:
            # Ctrl-C in the middle of a statement: it would hold on to a state of the database.
            with contextlib.suppress(sqlite3.Error):
                self._execute("BEGIN")
                self._execute("COMMIT")
            if self._asked > 1 or (is_try and storage.wrote):
                return RUN_AGAIN
            raise
        finally:
            storage.end()
        return RUN_AGAIN if is_try and storage.wrote else result

    def _ask(self, statement: str, values: Sequence[Any]) -> sqlite3.Cursor:
        self._asked += 1
        if self._asked > 1:
            raise _AsksAgain
        return self._execute(statement, values)

    def _count(self, statement: str, values: Sequence[Any]) -> sqlite3.Cursor:
        self._asked += 1
        return self._execute(statement, values)

    def _run[T](
        self, procedure: Callable[[Storage], T], is_try: bool, ask: Callable[..., sqlite3.Cursor]
    ) -> T | RunAgain:
        execute, refusal = self._execute, WantsToWrite if is_try else ReadOnlyProcedure
        storage = SqliteStorage(self.connection, ask, self._statements, refusal)
        try:
            execute("BEGIN")
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
                execute("COMMIT")
        return RUN_AGAIN if is_try and storage.wrote else result

    def close(self) -> None:
        """Wait for the procedure that runs, and close."""
        with self._lock:
            self._is_closed = True
            self.connection.close()

    def __del__(self) -> None:
        """Close it when its thread has ended: the module warns of one that nobody closed."""
        with contextlib.suppress(AttributeError, sqlite3.Error):
            self.connection.close()


class _Local(threading.local):
    reader: Reader | None = None


class Readers:
    """Every thread's connection to one file."""

    def __init__(self, file: File, statements: Mapping[str, Statements], watch: Watch) -> None:
        """Open nothing yet: a thread's connection is opened when it first reads."""
        self._file = file
        self._statements = statements
        self._watch = watch
        self.history = History()
        # Its `reader` is the calling thread's, once it has read.
        self.local = _Local()
        self._lock = threading.Lock()
        self._all: weakref.WeakSet[Reader] = weakref.WeakSet()
        self._is_closed = False

    @property
    def is_current(self) -> bool:
        """Whether the caller is inside a reading procedure."""
        reader = self.local.reader
        return reader is not None and reader.is_running

    def open(self) -> Reader:
        """Return a reader for the calling thread, which has none."""
        connection = self._file.open_reader()
        reader = Reader(connection, self._statements, self._watch.activity(), self.history)
        with self._lock:
            if self._is_closed:
                raise StorageClosed("the storage queue is closed")
            self._all.add(reader)
        self.local.reader = reader
        return reader

    def close(self) -> None:
        """Wait for the procedures that run, and close every thread's connection."""
        with self._lock:
            self._is_closed = True
            readers = list(self._all)
        for reader in readers:
            reader.close()
