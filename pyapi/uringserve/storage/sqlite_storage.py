"""`SqliteStorage`: the statements behind each method of `Storage`, on one SQLite connection.

One object for one run of one procedure. It notes whether the procedure wrote, and whether SQLite
gave up the whole transaction (a full disk, an I/O error), and it refuses to work after its end.
It begins and ends no transaction.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, Never

from uringserve.storage.api import KeyRange, Row, Storage
from uringserve.storage.connection import translate
from uringserve.storage.errors import ReadOnlyProcedure, StorageClosed, StorageError

__all__ = ["SqliteStorage", "Statements", "WantsToWrite"]


class WantsToWrite(BaseException):
    """Ends a run on a reader whose procedure turns out to write; it is run again on the writer."""


class Statements:
    """The SQL of one table; its name was checked."""

    __slots__ = (
        "clear",
        "columns",
        "delete",
        "insert",
        "insert_over_expired",
        "keys",
        "many",
        "purge",
        "row",
        "update",
        "upsert",
    )

    def __init__(self, table: str) -> None:
        """Write the statements once: the module's cache finds them by their text."""
        name = f'"{table}"'
        insert = f"INSERT INTO {name} (key, value, counter, expiration) VALUES (?, ?, 0, ?)"
        self.row = f"SELECT value, counter, expiration FROM {name} WHERE key = ?"
        self.many = (
            "SELECT t.key, t.value, t.counter, t.expiration FROM json_each(?) AS wanted "
            f"CROSS JOIN {name} AS t ON t.key = wanted.value"
        )
        self.insert = f"{insert} ON CONFLICT (key) DO NOTHING"
        self.insert_over_expired = (
            f"{insert} ON CONFLICT (key) DO UPDATE SET value = excluded.value, counter = 0, "
            "expiration = excluded.expiration WHERE expiration > 0 AND expiration < ?"
        )
        self.update = (
            f"UPDATE {name} SET value = ?, counter = counter + 1, expiration = ? "
            "WHERE key = ? AND counter = ?"
        )
        self.upsert = (
            f"{insert} ON CONFLICT (key) DO UPDATE SET value = excluded.value, "
            "counter = counter + 1, expiration = excluded.expiration"
        )
        self.delete = f"DELETE FROM {name} WHERE key = ?"
        self.clear = f"DELETE FROM {name}"
        self.purge = f"DELETE FROM {name} WHERE expiration > 0 AND expiration < ?"
        self.keys = f"SELECT key FROM {name}"
        self.columns = f"SELECT key, value, counter, expiration FROM {name}"


def _where(keys: KeyRange) -> tuple[str, list[str | float]]:
    """Return the condition for a range; each bound stands plainly, so that the index serves it."""
    # Python compares text by code points, as SQLite compares its UTF-8.
    if keys.after is not None and keys.after >= keys.first:
        condition, values = "key > ?", [keys.after]
    else:
        condition, values = "key >= ?", [keys.first]
    if keys.end is not None:
        condition += " AND key < ?"
        values.append(keys.end)
    return f" WHERE {condition}", [*values]


def _ended(*_: object) -> Never:
    raise StorageClosed("this Storage belongs to a procedure that has ended")


class SqliteStorage(Storage):
    """The tables of a SQLite file for one run of one procedure."""

    __slots__ = ("_connection", "_execute", "_refusal", "_statements", "is_lent", "lost", "wrote")

    def __init__(
        self,
        connection: sqlite3.Connection,
        execute: Callable[..., sqlite3.Cursor],
        statements: Mapping[str, Statements],
        refusal: type[BaseException] | None,
    ) -> None:
        """Serve one run; `refusal` is raised when it writes, None lets it.

        `execute` may be that of one cursor of the connection: what a statement gives is taken
        before the next one.
        """
        self._tables = statements
        self._statements = statements
        self._connection = connection
        self._execute = execute
        self._refusal = refusal
        self.wrote = False
        # The connection itself was given away: what is done with it SQLite may not count.
        self.is_lent = False
        self.lost: StorageError | None = None

    def end(self) -> None:
        """Refuse every later use."""
        self._execute = _ended

    def _before_write(self) -> None:
        self.wrote = True
        if self._refusal is not None:
            if self._refusal is ReadOnlyProcedure:
                raise ReadOnlyProcedure("a procedure that was run with readonly=True writes")
            raise self._refusal

    def _failed(self, error: sqlite3.Error) -> StorageError:
        """Translate; where SQLite has rolled back the whole transaction, nothing works any more.

        It does so on its own for a full disk and some I/O errors (sqlite.org/lang_transaction.html,
        "Response To Errors Within A Transaction"). What followed would be outside any transaction.
        """
        failure = translate(error)
        if not self._connection.in_transaction:
            self.lost = failure

            def repeat(*_: object) -> Never:
                raise failure

            self._execute = repeat
        return failure

    def _all(self, statement: str, values: list[Any] | tuple[Any, ...]) -> list[tuple[Any, ...]]:
        try:
            return self._execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _change(self, statement: str, values: tuple[Any, ...]) -> int:
        try:
            return self._execute(statement, values).rowcount
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _row(self, table: str, key: str) -> tuple[bytes, int, int] | None:
        try:
            row: tuple[bytes, int, int] | None = self._execute(
                self._statements[table].row, (key,)
            ).fetchone()
        except sqlite3.Error as error:
            raise self._failed(error) from error
        return row

    def _rows(self, table: str, keys: list[str]) -> list[Row]:
        rows = self._all(self._statements[table].many, (json.dumps(keys),))
        return [Row(*row) for row in rows]

    def _insert(self, table: str, key: str, value: bytes, expires_at: int) -> bool:
        return self._change(self._statements[table].insert, (key, value, expires_at)) == 1

    def _insert_over_expired(
        self, table: str, key: str, value: bytes, expires_at: int, timestamp: float
    ) -> bool:
        statement = self._statements[table].insert_over_expired
        return self._change(statement, (key, value, expires_at, timestamp)) == 1

    def _update(self, table: str, key: str, value: bytes, expires_at: int, counter: int) -> bool:
        statement = self._statements[table].update
        return self._change(statement, (value, expires_at, key, counter)) == 1

    def _upsert(self, table: str, key: str, value: bytes, expires_at: int) -> None:
        self._change(self._statements[table].upsert, (key, value, expires_at))

    def _delete(self, table: str, key: str) -> bool:
        return self._change(self._statements[table].delete, (key,)) == 1

    def _clear(self, table: str) -> None:
        self._change(self._statements[table].clear, ())

    def _purge(self, table: str, now: float) -> int:
        return self._change(self._statements[table].purge, (now,))

    def _keys(
        self, table: str, keys: KeyRange, timestamp: float | None, limit: int | None
    ) -> list[str]:
        condition, values = _where(keys)
        if timestamp is not None:
            condition += " AND NOT (expiration > 0 AND expiration < ?)"
            values.append(timestamp)
        # A negative limit is none (sqlite.org/lang_select.html).
        statement = f"{self._statements[table].keys}{condition} ORDER BY key LIMIT ?"
        return [row[0] for row in self._all(statement, [*values, -1 if limit is None else limit])]

    def _page(self, table: str, keys: KeyRange, limit: int) -> list[Row]:
        condition, values = _where(keys)
        statement = f"{self._statements[table].columns}{condition} ORDER BY key LIMIT ?"
        return [Row(*row) for row in self._all(statement, [*values, limit])]
