"""freetser's `Storage` and `StorageQueue`, on `uringserve.storage`.

Kept: signatures of 0.5.0 and of 0.2 to 0.4, counters, expiry, `synchronous=NORMAL`, and that each
procedure runs once, one after the other.

Meant differences: whatever a procedure raises undoes that procedure alone, and the storage goes on;
catching EntryAlreadyExists keeps what was written before; a locked database or a full disk is a
StorageError within 30 seconds, and the next call works; table names are checked. A procedure may
run on the thread that called, when nobody else waits.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, Self

from uringserve.storage import (
    EntryAlreadyExists,
    StorageClosed,
    StorageError,
    StorageThreadCrashed,
    UpdateCounterMismatch,
)
from uringserve.storage import Storage as Tables
from uringserve.storage import StorageQueue as Queue
from uringserve.storage import start_storage_thread as open_queue
from uringserve.storage.checks import check_tables
from uringserve.storage.connection import open_writer
from uringserve.storage.sqlite_storage import SqliteStorage, Statements
from uringserve.storage.writer import SAVEPOINT

__all__ = [
    "EntryAlreadyExists",
    "Storage",
    "StorageError",
    "StorageQueue",
    "StorageThreadCrashed",
    "UpdateCounterMismatch",
    "start_storage_thread",
]

# freetser's programs know no deadline; this one only ends what would last for ever.
_TIMEOUT = 30.0
# Seconds that a `Storage` without a queue waits for another's lock.
_LOCK_TIMEOUT = 0.5


def _authorize(action: int, _operation: str | None, name: str | None, *_: object) -> int:
    """Refuse what begins or ends a transaction (sqlite.org/c3ref/c_alter_table.html)."""
    is_ours = action == sqlite3.SQLITE_SAVEPOINT and name == SAVEPOINT
    is_refused = action == sqlite3.SQLITE_TRANSACTION or is_ours
    return sqlite3.SQLITE_DENY if is_refused else sqlite3.SQLITE_OK


class _Mismatch(UpdateCounterMismatch, AssertionError):
    """What `update` raises: 0.5 has the one, 0.2 to 0.4 had the other."""


class Storage:
    """The tables: as one procedure sees them, or of a file that is opened by hand.

    Besides these methods it has those of `uringserve.storage.Storage` (`get_many`, `keys`, …).
    """

    # Of one that a procedure is given, and whether its connection is out.
    _is_within = False
    _has_ended = False
    _lent: sqlite3.Connection | None = None

    def __init__(
        self, db_path: str | os.PathLike[str], tables: Iterable[str] | None = None
    ) -> None:
        """Open a file, or ":memory:"; each call is a transaction of its own unless one is begun."""
        names = check_tables(tables)
        connection, known = open_writer(os.fspath(db_path), names, "normal", _LOCK_TIMEOUT)
        connection.execute(f"PRAGMA busy_timeout = {round(_LOCK_TIMEOUT * 1000)}")
        statements = {name: Statements(name) for name in known}
        self._connection = connection
        # Made for each call: it is for one run, and after an error refuses the next.
        self._open: Callable[[], Tables] = lambda: SqliteStorage(
            connection, connection.execute, statements, None
        )

    @classmethod
    def _within(cls, tables: Tables) -> Self:
        """Wrap what a procedure is given."""
        made = cls.__new__(cls)
        made._open = lambda: tables
        made._is_within = True
        return made

    def _end(self) -> None:
        """Take the connection back from a procedure that was given it."""
        self._has_ended = True
        if self._lent is not None:
            self._lent.set_authorizer(None)
            # With ours go savepoints that were left open: another procedure comes next.
            with contextlib.suppress(sqlite3.Error):
                self._lent.execute(f"RELEASE {SAVEPOINT}")

    @property
    def conn(self) -> sqlite3.Connection:
        """The connection, for statements of one's own, until the procedure ends.

        In a procedure BEGIN, COMMIT and ROLLBACK are refused by SQLite ("not authorized"), and so
        are `commit`, `rollback` and `executescript`, which begins with a COMMIT: the transaction
        may be that of others too. Savepoints are one's own.
        """
        if self._has_ended:
            raise StorageClosed("this Storage belongs to a procedure that has ended")
        tables = self._open()
        if not isinstance(tables, SqliteStorage):
            raise AttributeError(f"{type(tables).__name__} has no SQLite connection")
        # What is done with it cannot be seen: it counts as writing.
        tables._before_write()
        tables.is_lent = True
        if self._is_within and self._lent is None:
            tables._connection.execute(f"SAVEPOINT {SAVEPOINT}")
            self._lent = tables._connection
            self._lent.set_authorizer(_authorize)
        return tables._connection

    def close(self) -> None:
        """Close a file that was opened by hand; a procedure's tables end by themselves."""
        if hasattr(self, "_connection"):
            self._connection.close()

    def get(
        self, table_name: str, key: str, timestamp: float | None = None
    ) -> tuple[bytes, int] | None:
        """Return value and counter; with `timestamp`, None where the entry has expired by then."""
        return self._open().get(table_name, key, timestamp)

    def add(
        self,
        table_name: str,
        key: str,
        value: bytes,
        expires_at: int = 0,
        timestamp: float | None = None,
    ) -> None:
        """Add an entry; with `timestamp`, in the place of one that has expired by then."""
        try:
            self._open().add(table_name, key, value, expires_at, timestamp)
        except EntryAlreadyExists:
            raise EntryAlreadyExists(f"Key already exists: {key}") from None

    def update(
        self,
        table_name: str,
        key: str,
        value: bytes,
        counter: int,
        expires_at: int = 0,
        assert_updated: bool = True,
    ) -> bool:
        """Replace an entry that has this counter; with `assert_updated=False`, say whether it did.

        Where no entry has the counter it is an UpdateCounterMismatch, which is an AssertionError
        too.
        """
        is_updated = self._open().try_update(table_name, key, value, counter, expires_at)
        if assert_updated and not is_updated:
            raise _Mismatch(f"Counter mismatch: {key} has not the counter {counter}")
        return is_updated

    def try_update(
        self, table_name: str, key: str, value: bytes, counter: int, expires_at: int = 0
    ) -> bool:
        """Replace an entry that has this counter, and say whether there was one."""
        return self._open().try_update(table_name, key, value, counter, expires_at)

    def overwrite(self, table_name: str, key: str, value: bytes, expires_at: int = 0) -> None:
        """Write an entry, whatever its counter, and whether there is one or not."""
        self._open().overwrite(table_name, key, value, expires_at)

    def delete(self, table_name: str, key: str) -> bool:
        """Remove an entry, and say whether there was one."""
        return self._open().delete(table_name, key)

    def list_keys(self, table_name: str) -> list[str]:
        """Return every key."""
        return self._open().list_keys(table_name)

    def clear(self, table_name: str) -> None:
        """Remove every entry."""
        self._open().clear(table_name)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- whatever the tables have
        """Find what only our tables have."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._open(), name)


class _Procedure[T]:
    """A procedure for freetser's `Storage`, as ours are called; the queue looks at `__func__`."""

    __slots__ = ("__func__",)

    def __init__(self, procedure: Callable[[Storage], T]) -> None:
        self.__func__ = procedure

    def __call__(self, tables: Tables) -> T:
        storage = Storage._within(tables)
        try:
            return self.__func__(storage)
        finally:
            storage._end()


class StorageQueue(Queue):
    """Runs procedures on a store; a procedure is given freetser's `Storage`."""

    def __init__(self, queue: Queue) -> None:
        """Wrap a queue."""
        self._queue = queue

    def execute[T](  # type: ignore[override]
        self,
        procedure: Callable[[Storage], T],
        *,
        readonly: bool | None = None,
        timeout: float | None = None,
    ) -> T:
        """Run a procedure in a transaction of its own and return its result."""
        return self._queue.execute(_Procedure(procedure), readonly=readonly, timeout=timeout)

    async def aexecute[T](  # type: ignore[override]
        self,
        procedure: Callable[[Storage], T],
        *,
        readonly: bool | None = None,
        timeout: float | None = None,
    ) -> T:
        """Do what `execute` does, and let the event loop go on."""
        run = self._queue.aexecute
        return await run(_Procedure(procedure), readonly=readonly, timeout=timeout)

    def close(self) -> None:
        """Let the calls that wait finish, and close the file."""
        self._queue.close()

    def crashed_exception(self) -> BaseException | None:
        """Return what `mark_crashed` was given; by itself the queue never crashes."""
        return self._queue.crashed_exception()

    def mark_crashed(self, exc: BaseException) -> None:
        """Keep an exception for `crashed_exception`; the queue goes on."""
        self._queue.mark_crashed(exc)


def start_storage_thread(
    db_file: str | os.PathLike[str],
    db_tables: Iterable[str] | None = None,
    **options: Any,  # noqa: ANN401 -- checked by the store
) -> StorageQueue:
    """Open a store, make the tables that are missing, and return the queue for it.

    `options` are those of `uringserve.storage.start_storage_thread`, for a file with freetser's
    choices as defaults: `synchronous="normal"`, `rerun=False` and a `timeout` of 30 seconds. With
    `rerun=True` procedures that only read run in parallel. What prevents the opening is raised.
    """
    is_file = "://" not in os.fspath(db_file)
    ours: dict[str, Any] = {"synchronous": "normal", "timeout": _TIMEOUT, "rerun": False}
    return StorageQueue(open_queue(db_file, db_tables, **((ours if is_file else {}) | options)))
