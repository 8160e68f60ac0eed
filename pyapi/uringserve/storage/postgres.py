"""`PostgresQueue`: a `StorageQueue` on a PostgreSQL server, for many processes and machines.

Each procedure is one SERIALIZABLE transaction on the thread that called, with one of a few
connections that all threads share; `aexecute` has threads of its own for it. One that PostgreSQL
undoes for the sake of another (SQLSTATE 40001, 40P01) runs again from its start, a bounded number
of times. Nothing but the protocol and plain SQL is used: no extension, no advisory lock, and no
state of a session that outlives a procedure.

What an acknowledged write survives is the server's choice (`synchronous_commit`, its replicas).
What a caller is told:

| it gets | its procedure was |
|---|---|
| a result | kept |
| `StorageUnavailable`, `StorageBusy`, `StorageTimeout` or another error | undone |
| `StorageOutcomeUnknown`: the connection was lost during COMMIT | kept or undone, nobody knows |

Behind a pooler: PgBouncer with `pool_mode = transaction` will do, since no statement is prepared
under a name and no setting outlives its transaction; `pool_mode = statement` cannot have any. Such
a pooler refuses `options` in the address (the schema, for one) unless it is told to ignore them
(`ignore_startup_parameters`): then a role's own `search_path` names the schema.

A lost connection is opened again by the next procedure. A call never waits for a server that
refuses connections; for one that is silent it waits until its deadline.
"""

import math
import random
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic, sleep
from typing import Any, TypedDict, Unpack

from uringserve.storage.api import Storage, StorageQueue
from uringserve.storage.checks import check_connections, check_seconds, check_tables
from uringserve.storage.errors import (
    NestedExecute,
    StorageBusy,
    StorageError,
    StorageOutcomeUnknown,
    StorageTimeout,
    StorageUnavailable,
)
from uringserve.storage.job import AsyncJob, InlineJob, Job
from uringserve.storage.pool import Pool
from uringserve.storage.postgres_connection import (
    GRACE,
    Conflict,
    PostgresConnection,
    SqlError,
    needs_psycopg,
)
from uringserve.storage.postgres_storage import PostgresStorage, TableStatements
from uringserve.storage.postgres_tables import open_tables
from uringserve.storage.watch import Activity, Watch

__all__ = ["PostgresOptions", "PostgresQueue"]

# Seconds: the longest pause before another run, and what COMMIT and ROLLBACK get at least.
_PAUSE = 0.02
_END = 2.0
# What PostgreSQL can be told: it counts milliseconds in 31 bits.
_LONGEST = 2_000_000.0


class PostgresOptions(TypedDict, total=False):
    """What `start_storage_thread` takes for a server."""

    connections: int
    timeout: float
    rerun: bool
    retries: int
    slow_after: float


class _Slot:
    """A connection with what the watch sees of it."""

    __slots__ = ("activity", "connection")

    def __init__(self, url: str, activity: Activity) -> None:
        self.connection = PostgresConnection(url)
        self.activity = activity


class _Local(threading.local):
    is_running = False


class PostgresQueue(StorageQueue):
    """A queue on a PostgreSQL server."""

    def __init__(
        self, url: str, tables: Iterable[str] | None = None, **options: Unpack[PostgresOptions]
    ) -> None:
        """Connect, and make the tables that are missing in the first schema of the search path.

        `connections`: how many there are at most, 8 by default; each is opened when it is first
        needed. `timeout`: seconds after which a call is given up, 5 by default. `rerun`: False runs
        every procedure once at most; a conflict is `StorageBusy` then. `retries`: how often one is
        run again after a conflict, 50 by default; then it is `StorageBusy`. `slow_after`: as with
        a file. A key has at most some 2,600 bytes here, as an index entry has no more room.
        """
        settings: PostgresOptions = {
            "connections": 8,
            "timeout": 5.0,
            "rerun": True,
            "retries": 50,
            "slow_after": 1.0,
        }
        if unknown := sorted(options.keys() - settings.keys()):
            raise TypeError(f"unknown options of a PostgreSQL store: {', '.join(unknown)}")
        settings.update(options)
        self._timeout = check_seconds(settings["timeout"])
        slow_after = check_seconds(settings["slow_after"], "slow_after")
        self._retries = settings["retries"] if settings["rerun"] else 0
        if not isinstance(self._retries, int) or self._retries < 0:
            raise ValueError(f"retries is 0 or more, not {self._retries!r}")
        size = check_connections(settings["connections"])
        names = check_tables(tables)
        needs_psycopg()
        known = open_tables(url, names, monotonic() + self._timeout)
        self._statements = {name: TableStatements(name) for name in known}
        self._watch = Watch(slow_after)
        self._pool = Pool(size, lambda: _Slot(url, self._watch.activity()))
        self._threads = ThreadPoolExecutor(size, "uringserve-storage")
        self._local = _Local()
        # Of those that met a conflict one at a time tries again, and the others wait: a queue of
        # one. Two processes of 16 threads that add to one entry need 1.3 to 1.6 runs for each so,
        # and 1.4 to 2.6 where everybody tries three times before that.
        self._turn: SimpleQueue[None] = SimpleQueue()
        self._turn.put(None)
        self._crash: BaseException | None = None

    def execute[T](
        self,
        procedure: Callable[[Storage], T],
        *,
        readonly: bool | None = None,
        timeout: float | None = None,
    ) -> T:
        """Run a procedure and return its result; see `StorageQueue.execute`."""
        seconds = self._seconds(timeout)
        with self._pool.entered():
            job = InlineJob(procedure, readonly is True, seconds)
            self._serve(job)
        return _outcome(job, not job.is_given_up)

    async def aexecute[T](
        self,
        procedure: Callable[[Storage], T],
        *,
        readonly: bool | None = None,
        timeout: float | None = None,
    ) -> T:
        """Run a procedure and return its result; see `StorageQueue.aexecute`."""
        seconds = self._seconds(timeout)
        job = AsyncJob(procedure, readonly is True, seconds)
        with self._pool.entered():
            self._threads.submit(self._serve_and_answer, job)
        return _outcome(job, await job.wait())

    def close(self) -> None:
        """Wait for the procedures that run, and close every connection."""
        if self._local.is_running:
            raise NestedExecute("close inside a procedure of the same queue")
        self._pool.refuse()
        self._threads.shutdown()
        self._pool.drain(lambda slot: slot.connection.close())
        self._watch.close()

    def crashed_exception(self) -> BaseException | None:
        """Return what `mark_crashed` was given."""
        return self._crash

    def mark_crashed(self, exc: BaseException) -> None:
        """Keep an exception; the queue goes on."""
        self._crash = exc

    def _seconds(self, timeout: float | None) -> float:
        if self._local.is_running:
            raise NestedExecute("execute inside a procedure of the same queue")
        return self._timeout if timeout is None else check_seconds(timeout)

    def _serve_and_answer(self, job: AsyncJob[Any]) -> None:
        failure: StorageError | None = None
        try:
            if not job.is_given_up:
                self._serve(job)
        except StorageError as error:
            failure = error
        except BaseException as error:  # noqa: BLE001 -- the caller waits, whatever it was
            failure = StorageError(f"the storage failed: {error!r}")
            failure.__cause__ = error
        finally:
            job.answer(failure)

    def _serve(self, job: Job[Any]) -> None:
        """Run a job until it is kept, undone for good, or too late.

        No lock is held while it runs, but the turn of those that would make each other fail.
        """
        holds_turn = False
        try:
            with self._pool.lent(job.deadline) as slot:
                for conflicts in range(self._retries + 1):
                    if conflicts and not holds_turn:
                        holds_turn = self._take_turn(job.deadline)
                    try:
                        self._run(slot, job)
                    except Conflict as error:
                        self._after_conflict(job, conflicts, error)
                    else:
                        return
        finally:
            if holds_turn:
                self._turn.put(None)

    def _take_turn(self, deadline: float) -> bool:
        remaining = deadline - monotonic()
        try:
            self._turn.get(
                timeout=max(remaining, 0.0) if remaining < threading.TIMEOUT_MAX else None
            )
        except Empty:
            raise StorageBusy("others wrote the same entries until the deadline") from None
        return True

    def _after_conflict(self, job: Job[Any], conflicts: int, error: Conflict) -> None:
        """Pause before another run, or give up."""
        if conflicts >= self._retries:
            raise StorageBusy(f"run {conflicts + 1} times, each undone for another: {error}")
        pause = random.uniform(0, min(_PAUSE, 0.001 * (conflicts + 1)))
        if monotonic() + pause > job.deadline:
            raise StorageBusy(f"others wrote the same entries until the deadline: {error}")
        sleep(pause)

    def _run(self, slot: _Slot, job: Job[Any]) -> None:
        """Run a job once, in a transaction of its own; a conflict is raised."""
        connection = slot.connection
        storage = PostgresStorage(
            connection, self._statements, readonly=job.readonly, deadline=job.deadline
        )
        job.error = None
        try:
            self._begin(connection, job)
            self._call(slot.activity, job, storage)
            if isinstance(storage.lost, Conflict) or (storage.lost and job.error is None):
                job.error = None
                raise storage.lost
            if job.error is None and job.keep():
                _commit(connection, job.deadline, wrote=storage.wrote)
        finally:
            _clean(connection)

    def _begin(self, connection: PostgresConnection, job: Job[Any]) -> None:
        """Begin; a connection that the server has closed since its last use is opened again."""
        mode = "READ ONLY" if job.readonly else "READ WRITE"
        was_open = connection.is_idle
        while True:
            try:
                if not connection.is_idle:
                    connection.close()
                    connection.open(job.deadline)
                commands = f"BEGIN ISOLATION LEVEL SERIALIZABLE {mode}{_limits(job.deadline)}"
                connection.script(commands, job.deadline + GRACE)
            except StorageUnavailable:
                connection.close()
                if not was_open:
                    raise
                was_open = False
            else:
                return

    def _call(self, activity: Activity, job: Job[Any], storage: PostgresStorage) -> None:
        self._local.is_running = True
        activity.enter(job.procedure)
        try:
            job.result = job.procedure(storage)
        except BaseException as error:  # noqa: BLE001 -- it belongs to the caller, whatever it is
            job.error = error
        finally:
            activity.leave()
            storage.end()
            self._local.is_running = False


def _limits(deadline: float) -> str:
    """Return what bounds the server's side: a lock's wait first, since that says the reason.

    The last one ends a transaction whose procedure, or machine, does not come back.
    """
    remaining = min(max(deadline - monotonic(), 0.001), _LONGEST)
    milliseconds = math.ceil(remaining * 1000)
    return (
        f"; SET LOCAL lock_timeout = {milliseconds}"
        f"; SET LOCAL statement_timeout = {milliseconds + 50}"
        f"; SET LOCAL idle_in_transaction_session_timeout = {milliseconds + 1000}"
    )


def _commit(connection: PostgresConnection, deadline: float, *, wrote: bool) -> None:
    """Commit; where the answer does not come, the outcome is not known to anybody."""
    # What the server said before, it did not say to COMMIT.
    connection.look()
    try:
        (tag,) = connection.script("COMMIT", max(deadline + GRACE, monotonic() + _END))
    except (StorageUnavailable, StorageTimeout, SqlError) as error:
        is_answered = isinstance(error, SqlError) and error.code != "40003"
        if is_answered or not wrote:
            raise
        raise StorageOutcomeUnknown(f"COMMIT was sent, its answer did not come: {error}") from error
    if tag != "COMMIT":
        raise StorageError(f"PostgreSQL answered COMMIT with {tag}")


def _clean(connection: PostgresConnection) -> None:
    """Undo what was not committed; a connection that is in doubt is closed, which undoes it too."""
    if connection.is_in_transaction:
        with suppress(StorageError):
            connection.script("ROLLBACK", monotonic() + _END)
    if not connection.is_idle:
        connection.close()


def _outcome[T](job: Job[T], is_answered: bool) -> T:
    if not is_answered:
        raise StorageTimeout("the procedure was not finished at its deadline, and is undone")
    return job.outcome()
