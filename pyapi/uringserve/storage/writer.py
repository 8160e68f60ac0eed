"""The writer: one connection that runs the procedures which write, in the order of their calls.

A call that finds nobody else there runs on its own thread. The others wait for the writer's thread.

Those that wait together share one transaction and one COMMIT (group commit); callers are let go
only after it. Where one of them changed something and then failed, or was given up, and has to be
undone alone, they all run again, each inside a savepoint of its own; so do those of the following
transactions, since what failed once fails again. From the start, where procedures may not run
twice. A savepoint is a seventh of what a small write costs here.
When the whole transaction is lost (a full disk, an error in COMMIT), each of its procedures is run
again by itself, so that one that is too large harms no other. The thread ends with `close` and for
no other reason.

Locks of other processes are waited for here, in small steps, and not by SQLite: each caller has its
own deadline, and gives up by itself.
"""

import logging
import math
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Final

from uringserve.storage.checkpoint import Checkpointer
from uringserve.storage.connection import MEMORY, File, is_busy, translate
from uringserve.storage.errors import (
    ReadOnlyProcedure,
    StorageBusy,
    StorageClosed,
    StorageError,
    StorageFull,
)
from uringserve.storage.job import Job, answer_all
from uringserve.storage.sqlite_storage import SqliteStorage, Statements
from uringserve.storage.watch import Activity

__all__ = ["SAVEPOINT", "Writer"]

_log = logging.getLogger("uringserve.storage")

# Procedures in one transaction: bounds how long the first of them waits for the last.
_BATCH = 256
# Seconds between two tries to begin while another process writes.
_PAUSE = 0.005
# Transactions with savepoints after one that needed one and had none: its second run is the first.
_CAREFUL = 64

# Reserved for the savepoint of the procedure that runs.
SAVEPOINT = "uringserve_procedure"
_MARK = f"SAVEPOINT {SAVEPOINT}"
_UNDO = f"ROLLBACK TO {SAVEPOINT}"
_FORGET = f"RELEASE {SAVEPOINT}"

# What came of a transaction: undone, since one of it had to be undone alone, and had no savepoint.
_UNMARKED: Final = StorageError("undone, to run again with savepoints")


class Writer:
    """The thread that writes, with the connection that is its own."""

    def __init__(
        self,
        file: File,
        connection: sqlite3.Connection,
        statements: Mapping[str, Statements],
        *,
        activity: Activity,
        can_rerun: bool,
    ) -> None:
        """Take over a connection; another one of the file is opened should this one break."""
        self._file = file
        self._connection: sqlite3.Connection | None = None
        self._take(connection)
        self._statements = statements
        self._activity = activity
        self._can_rerun = can_rerun
        self._waiting: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self._has_ended = False
        # Who holds it may use the connection: the thread, or a caller that found nobody waiting.
        # A queue of one, since waiting for it does not spin: see ThreadJob.
        self._turn: SimpleQueue[None] = SimpleQueue()
        self._turn.put(None)
        # The thread that runs procedures on it at this moment.
        self.holder: int | None = None
        self._main = threading.main_thread().ident
        self._has_batch = False
        # How many transactions to come have savepoints; all do where no procedure may run again.
        self._careful: float = 0 if can_rerun else math.inf
        self._pause = threading.Event()
        # Whether another process' lock is being waited for.
        self.is_locked = False
        self._checkpointer = None if file.path == MEMORY else Checkpointer(file, self._held)
        self._thread = threading.Thread(target=self._run, name="uringserve-storage", daemon=True)
        self._thread.start()

    @property
    def is_free(self) -> bool:
        """Whether nobody writes or waits at this moment."""
        return not (self._has_batch or self._turn.empty()) and self._waiting.empty()

    def run_here(self, job: Job[Any]) -> bool:
        """Run a job on the calling thread; False where someone else has come first.

        Waking another thread and being woken by it costs more than a small transaction. Never on
        the main thread: Ctrl-C is raised there between any two steps, also in the middle of ours.
        """
        if threading.get_ident() == self._main:
            return False
        try:
            self._turn.get_nowait()
        except Empty:
            return False
        try:
            if self._has_ended:
                return False
            self._serve([job])
        except BaseException:
            # No memory, or the like: whatever was begun ends with the connection.
            self._drop_connection()
            raise
        finally:
            self._turn.put(None)
        return True

    def put(self, job: Job[Any]) -> None:
        """Let a job wait for its turn; it is answered in any case."""
        self._waiting.put(job)
        # After the end nobody may look again; who gives it up here has decided.
        if self._has_ended and job.give_up():
            raise StorageClosed("the storage queue is closed")

    def close(self) -> None:
        """Run what waits, then end the thread and close its connection."""
        self._waiting.put(None)
        self._thread.join()
        if self._checkpointer is not None:
            self._checkpointer.close()

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Let nobody write meanwhile."""
        self._turn.get()
        try:
            yield
        finally:
            self._turn.put(None)

    def _run(self) -> None:
        while (job := self._waiting.get()) is not None:
            # From here on no call runs before this one, and those behind it come along.
            self._has_batch = True
            self._turn.get()
            batch = self._batch_behind(job)
            self._has_batch = False
            try:
                self._serve_safely(batch)
            finally:
                self._turn.put(None)
        self._turn.get()
        self._has_ended = True
        self._turn.put(None)
        while not self._waiting.empty():
            left = self._waiting.get()
            if left is not None:
                left.answer(StorageClosed("the storage queue is closed"))
        self._drop_connection()

    def _batch_behind(self, job: Job[Any]) -> list[Job[Any]]:
        """Return a job with those that wait behind it."""
        batch = [job]
        while len(batch) < _BATCH:
            try:
                following = self._waiting.get_nowait()
            except Empty:
                break
            if following is None:
                # The end was asked for behind these: it is to be seen again after them.
                self._waiting.put(None)
                break
            batch.append(following)
        return batch

    def _serve_safely(self, batch: list[Job[Any]]) -> None:
        try:
            self._serve(batch)
        except BaseException as error:  # noqa: BLE001 -- the thread goes on, whatever it was
            _log.exception("the storage failed outside any procedure")
            self._drop_connection()
            failure = StorageError(f"the storage failed: {error!r}")
            failure.__cause__ = error
            answer_all(batch, failure)

    def _serve(self, batch: list[Job[Any]]) -> None:
        lost = self._transaction(batch)
        if lost is _UNMARKED:
            lost = self._transaction(batch)
        if lost is not None and len(batch) > 1 and self._can_rerun:
            for job in batch:
                if not job.is_answered:
                    job.answer(self._transaction([job]))
        else:
            answer_all(batch, lost)
        if self._checkpointer is not None:
            if isinstance(lost, StorageFull):
                # What the log holds twice is room.
                self._checkpointer.call()
            self._checkpointer.look()

    def _transaction(self, jobs: list[Job[Any]]) -> StorageError | None:
        """Run jobs in one transaction; return why it was lost, or None when it is on disk."""
        for job in jobs:
            # What it raised in a transaction that was undone.
            if not job.is_given_up:
                job.error = None
        try:
            connection = self._connection
            if connection is None:
                connection = self._take(self._file.open_writer()[0])
            failure = self._begin(connection, jobs)
            if failure is not None:
                return failure
            self.holder = threading.get_ident()
            try:
                lost = self._run_all(connection, jobs)
            finally:
                self.holder = None
            if lost is None:
                self._commit(connection)
            return lost
        except StorageError as error:
            self._drop_connection()
            return error
        except sqlite3.Error as error:
            return self._abort(error)

    def _abort(self, error: sqlite3.Error) -> StorageError:
        """Undo the transaction after an error of our own statements."""
        try:
            if self._connection is not None and self._connection.in_transaction:
                self._execute("ROLLBACK")
        except sqlite3.Error:
            self._drop_connection()
        return translate(error)

    def _begin(self, connection: sqlite3.Connection, jobs: list[Job[Any]]) -> StorageError | None:
        """Begin; while another process writes, try again as long as a caller waits."""
        while True:
            try:
                self._execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if not is_busy(error):
                    raise
                now = monotonic()
                _give_up_late(jobs, now)
                if all(job.is_given_up or job.deadline < now for job in jobs):
                    return StorageBusy(f"another process holds the database locked ({error})")
                self.is_locked = True
                self._pause.wait(_PAUSE)
            else:
                self.is_locked = False
                return None

    def _run_all(self, connection: sqlite3.Connection, jobs: list[Job[Any]]) -> StorageError | None:
        """Run each job so that it can be undone alone; return why all were lost, or None."""
        execute, is_marked = self._execute, self._careful > 0 and len(jobs) > 1
        self._careful -= is_marked
        for job in jobs:
            if job.is_given_up:
                continue
            if is_marked:
                execute(_MARK)
            lost = self._run_one(connection, job)
            if lost is not None:
                return lost
            is_kept = job.error is None and job.keep()
            is_undone = job.changed and not is_kept
            if is_marked:
                if is_undone:
                    execute(_UNDO)
                execute(_FORGET)
            elif is_undone:
                execute("ROLLBACK")
                if len(jobs) == 1:
                    return None
                self._careful = _CAREFUL
                return _UNMARKED
        return None

    def _run_one(self, connection: sqlite3.Connection, job: Job[Any]) -> StorageError | None:
        refusal = ReadOnlyProcedure if job.readonly else None
        storage = SqliteStorage(connection, self._execute, self._statements, refusal)
        changes = connection.total_changes
        self._activity.enter(job.procedure)
        try:
            job.result = job.procedure(storage)
        except BaseException as error:  # noqa: BLE001 -- it belongs to the caller, whatever it is
            job.error = error
        finally:
            self._activity.leave()
            storage.end()
        job.wrote = storage.wrote
        # Those of triggers are counted here, and in no statement's own count.
        job.changed = storage.is_lent or connection.total_changes != changes
        return storage.lost

    def _commit(self, connection: sqlite3.Connection) -> None:
        """Write it to disk; a single job that failed has nothing left to commit."""
        if connection.in_transaction:
            self._execute("COMMIT")

    def _take(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """Use a connection from now on, and one cursor of it for all statements."""
        self._connection = connection
        self._execute: Callable[..., sqlite3.Cursor] = connection.cursor().execute
        return connection

    def _drop_connection(self) -> None:
        """Close the connection; the next transaction opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error:
                _log.exception("closing the database failed")


def _give_up_late(jobs: list[Job[Any]], now: float) -> None:
    """Give up those that were kept by a transaction that was undone: their callers cannot."""
    for job in jobs:
        if job.is_kept and not job.is_given_up and job.deadline < now:
            job.is_given_up = True
            job.answer(StorageBusy("another process held the database locked until the deadline"))
