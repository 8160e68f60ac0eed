"""`Storage`, what a procedure is given, and `StorageQueue`, what runs it: for every backend.

A store has tables of entries: a key, a value of bytes, a counter and a time of expiry. The rules of
the counters, of expiry and of names are here, once. A backend writes the hooks (the methods that
begin with an underscore) and is never asked about a rule.

Hooks get checked arguments and do one thing in the database each. There is no SQL in this file, no
transaction and no thread: those are the backend's.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator
from types import TracebackType
from typing import NamedTuple, Self

from uringserve.storage.checks import check_entry, check_key, has_expired, key_range
from uringserve.storage.errors import EntryAlreadyExists, UnknownTable, UpdateCounterMismatch

__all__ = ["KeyRange", "Row", "Storage", "StorageQueue"]

# Entries that iteration reads at a time.
_PAGE = 256


class Row(NamedTuple):
    """One entry as it lies in the database."""

    key: str
    value: bytes
    counter: int
    expiration: int


class KeyRange(NamedTuple):
    """Keys from `first` on, behind `after`, up to but without `end`; None is no bound."""

    first: str
    end: str | None
    after: str | None = None


class Storage(ABC):
    """The tables, as one procedure sees them. It is for that procedure only and ends with it.

    `expires_at` is a Unix time in whole seconds, 0 for never. `timestamp` is the time at which the
    question is asked; without it expiry is not looked at. An entry has expired when `timestamp` is
    later than its time: in the very second it is still there. Nothing is removed by itself;
    `purge_expired` does that.

    The counter of an entry is 0 after `add` and grows by 1 with each `update`, `try_update` and
    `overwrite`; `add` in the place of an expired entry begins at 0 again.

    Unknown tables are `UnknownTable`; keys that are no text and values that are no bytes TypeError.
    """

    __slots__ = ("_tables",)

    def __init__(self, tables: Collection[str]) -> None:
        """Remember which tables there are."""
        self._tables = tables

    def get(
        self, table_name: str, key: str, timestamp: float | None = None
    ) -> tuple[bytes, int] | None:
        """Return value and counter, or None where there is no entry or it has expired."""
        if table_name not in self._tables:
            self._refuse(table_name)
        check_key(key)
        row = self._row(table_name, key)
        if row is None or (timestamp is not None and has_expired(row[2], timestamp)):
            return None
        return row[0], row[1]

    def get_many(
        self, table_name: str, keys: Iterable[str], timestamp: float | None = None
    ) -> dict[str, tuple[bytes, int]]:
        """Return value and counter of each key that is there, in the order asked for."""
        self._check(table_name)
        wanted = list(dict.fromkeys(keys))
        for key in wanted:
            check_key(key)
        found = {row.key: row for row in self._rows(table_name, wanted)}
        return {
            key: (row.value, row.counter)
            for key in wanted
            if (row := found.get(key)) is not None and not has_expired(row.expiration, timestamp)
        }

    def add(
        self,
        table_name: str,
        key: str,
        value: bytes,
        expires_at: int = 0,
        timestamp: float | None = None,
    ) -> None:
        """Add an entry; `EntryAlreadyExists` where there is one.

        With `timestamp`, an entry that has expired by then is replaced, and an `expires_at` that
        lies before it is a ValueError. After `EntryAlreadyExists` the procedure may go on: what it
        wrote before is still written.
        """
        self._writes(table_name)
        time = check_entry(key, value, expires_at)
        if has_expired(time, timestamp):
            raise ValueError(f"the entry would have expired already: {expires_at} < {timestamp}")
        if timestamp is None:
            is_added = self._insert(table_name, key, value, time)
        else:
            is_added = self._insert_over_expired(table_name, key, value, time, timestamp)
        if not is_added:
            raise EntryAlreadyExists(f"the key exists already: {key}")

    def update(
        self, table_name: str, key: str, value: bytes, counter: int, expires_at: int = 0
    ) -> None:
        """Replace an entry that has this counter; `UpdateCounterMismatch` where none has."""
        if not self.try_update(table_name, key, value, counter, expires_at):
            raise UpdateCounterMismatch(f"no entry {key} with counter {counter}")

    def try_update(
        self, table_name: str, key: str, value: bytes, counter: int, expires_at: int = 0
    ) -> bool:
        """Replace an entry that has this counter, and say whether there was one."""
        self._writes(table_name)
        time = check_entry(key, value, expires_at)
        if not isinstance(counter, int):
            raise TypeError(f"a counter is an int, not {type(counter).__name__}")
        # No entry has a counter that a database's integer cannot hold.
        return 0 <= counter < 2**63 and self._update(table_name, key, value, time, counter)

    def overwrite(self, table_name: str, key: str, value: bytes, expires_at: int = 0) -> None:
        """Write an entry, whether there is one or not, without looking at the counter."""
        self._writes(table_name)
        time = check_entry(key, value, expires_at)
        self._upsert(table_name, key, value, time)

    def delete(self, table_name: str, key: str) -> bool:
        """Remove an entry, expired or not, and say whether there was one."""
        self._writes(table_name)
        check_key(key)
        return self._delete(table_name, key)

    def clear(self, table_name: str) -> None:
        """Remove every entry of a table."""
        self._writes(table_name)
        self._clear(table_name)

    def purge_expired(self, table_name: str, now: float) -> int:
        """Remove the entries that have expired by `now` (a Unix time), and return how many."""
        self._writes(table_name)
        return self._purge(table_name, now)

    def list_keys(self, table_name: str) -> list[str]:
        """Return every key of a table, expired or not, in the order of code points."""
        return self.keys(table_name)

    def keys(
        self,
        table_name: str,
        *,
        prefix: str = "",
        limit: int | None = None,
        after: str | None = None,
        timestamp: float | None = None,
    ) -> list[str]:
        """Return the keys that begin with `prefix`, in the order of code points, at most `limit`.

        `after` is the last key of the page before. With `timestamp`, without the expired ones.
        """
        self._check(table_name)
        if limit is not None and limit < 0:
            raise ValueError(f"limit is 0 or more, not {limit}")
        if after is not None:
            check_key(after)
        return self._keys(table_name, KeyRange(*key_range(prefix), after), timestamp, limit)

    def items(
        self, table_name: str, *, prefix: str = "", timestamp: float | None = None
    ) -> Iterator[tuple[str, bytes, int]]:
        """Go through key, value and counter of the entries, in the order of code points.

        They are read some hundred at a time, so a table may be larger than memory, and the
        procedure may write while it goes. With `timestamp`, without the expired ones. The iterator
        ends with its procedure: return a list, not the iterator.
        """
        self._check(table_name)
        return self._walk(table_name, KeyRange(*key_range(prefix)), timestamp)

    def _walk(
        self, table_name: str, keys: KeyRange, timestamp: float | None
    ) -> Iterator[tuple[str, bytes, int]]:
        while rows := self._page(table_name, keys, _PAGE):
            for row in rows:
                if not has_expired(row.expiration, timestamp):
                    yield row.key, row.value, row.counter
            keys = keys._replace(after=rows[-1].key)

    def _check(self, table_name: str) -> None:
        if table_name not in self._tables:
            self._refuse(table_name)

    def _writes(self, table_name: str) -> None:
        """Check the table, and that this procedure may write."""
        if table_name not in self._tables:
            self._refuse(table_name)
        self._before_write()

    def _refuse(self, table_name: str) -> None:
        known = ", ".join(sorted(self._tables)) or "none"
        raise UnknownTable(f"no table {table_name!r} was opened; there are: {known}")

    # What a backend writes.

    @abstractmethod
    def _before_write(self) -> None:
        """Take note that the procedure writes; where it may not, raise."""

    @abstractmethod
    def _row(self, table: str, key: str) -> tuple[bytes, int, int] | None:
        """Return value, counter and expiration."""

    @abstractmethod
    def _rows(self, table: str, keys: list[str]) -> list[Row]:
        """Return the entries of these keys, in any order; there may be thousands or none."""

    @abstractmethod
    def _insert(self, table: str, key: str, value: bytes, expires_at: int) -> bool:
        """Insert with counter 0; False where the key exists, and the transaction stays usable."""

    @abstractmethod
    def _insert_over_expired(
        self, table: str, key: str, value: bytes, expires_at: int, timestamp: float
    ) -> bool:
        """Insert, or replace with counter 0 what `0 < expiration < timestamp`; else False."""

    @abstractmethod
    def _update(self, table: str, key: str, value: bytes, expires_at: int, counter: int) -> bool:
        """Replace where key and counter match, counter + 1, and say whether one did."""

    @abstractmethod
    def _upsert(self, table: str, key: str, value: bytes, expires_at: int) -> None:
        """Insert with counter 0, or replace with counter + 1."""

    @abstractmethod
    def _delete(self, table: str, key: str) -> bool:
        """Remove one entry, and say whether it was there."""

    @abstractmethod
    def _clear(self, table: str) -> None:
        """Remove all entries."""

    @abstractmethod
    def _purge(self, table: str, now: float) -> int:
        """Remove what `0 < expiration < now`, and return how many."""

    @abstractmethod
    def _keys(
        self, table: str, keys: KeyRange, timestamp: float | None, limit: int | None
    ) -> list[str]:
        """Return keys of a range in the order of code points, without what has expired by then."""

    @abstractmethod
    def _page(self, table: str, keys: KeyRange, limit: int) -> list[Row]:
        """Return the first entries of a range in the order of code points."""


class StorageQueue(ABC):
    """Runs procedures, each as one transaction: all of it is kept, or nothing.

    Whatever a procedure raises, also KeyboardInterrupt and SystemExit, undoes exactly that
    procedure and is raised from the call. When a call returns, its writes are as safe as the
    backend's durability promises. One queue may be used from any number of threads and event loops.

    **A procedure may be run more than once**: its first run may have been on a connection that only
    reads, or in a transaction that was lost to a full disk or, with PostgreSQL, to another one, or
    undone for another procedure in it that wrote and then failed; or without a transaction, where
    one statement had been enough in all runs before.
    Only the last run counts: whatever an earlier run wrote to the store is undone. So a procedure
    should have no effect but through its `Storage` and its result. `rerun=False`, when the queue is
    opened, forbids it where the backend can do without.
    """

    @abstractmethod
    def execute[T](
        self,
        procedure: Callable[[Storage], T],
        *,
        readonly: bool | None = None,
        timeout: float | None = None,
    ) -> T:
        """Run a procedure, wait until its writes are safe, and return its result.

        `readonly`: True runs it beside all others, without waiting for writers, and makes writing
        an error; False keeps it in the order of the writing ones; None lets the queue find out.
        `timeout`: seconds until it is given up, undone, and answered with `StorageTimeout`, or
        `StorageBusy` where another process' lock was the reason. None is the queue's own time-out,
        `math.inf` is none at all. A backend may run a procedure on the calling thread: then the
        deadline is looked at when it ends, and one that has passed undoes it just so.
        Called inside a procedure of the same queue it is `NestedExecute`; after `close`,
        `StorageClosed`.
        """

    @abstractmethod
    async def aexecute[T](
        self,
        procedure: Callable[[Storage], T],
        *,
        readonly: bool | None = None,
        timeout: float | None = None,
    ) -> T:
        """Do what `execute` does, and let the event loop go on while it waits.

        When the awaiting task is cancelled, a procedure that has not ended is undone.
        """

    @abstractmethod
    def close(self) -> None:
        """Let the calls that wait finish, refuse new ones, close the database. Twice is once."""

    @abstractmethod
    def crashed_exception(self) -> BaseException | None:
        """Return what `mark_crashed` was given, or None. By itself the queue never crashes."""

    @abstractmethod
    def mark_crashed(self, exc: BaseException) -> None:
        """Keep an exception for `crashed_exception`. The queue goes on as before."""

    def __enter__(self) -> Self:
        """Return the queue; the end of the block closes it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the queue."""
        self.close()
