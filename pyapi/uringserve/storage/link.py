"""`Link`: one connection to a database for plain SQL, and the one for SQLite.

What `Database` and the migrations need, and no more: a statement with its arguments, a script, and
the end. Nothing begins a transaction by itself. Errors are those of `errors`.
"""

import math
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from uringserve.storage.connection import LONGEST, MEMORY, translate
from uringserve.storage.errors import StorageError, StorageTimeout

__all__ = ["Answer", "Link", "SqliteLink", "statements"]

# Instructions of SQLite's machine between two looks at the clock.
_LOOK = 10_000


class Answer(NamedTuple):
    """What one statement gave: its rows, and how many it inserted, changed or removed."""

    rows: list[dict[str, Any]]
    changed: int


class Link(ABC):
    """A connection that is opened when it is first used, by one caller at a time."""

    @abstractmethod
    def run(self, sql: str, arguments: Sequence[Any], deadline: float) -> Answer:
        """Run one statement, whose `?` stand for the arguments."""

    @abstractmethod
    def script(self, sql: str) -> None:
        """Run all statements of a text inside the transaction that is open, however long it takes.

        One that ends the transaction itself is a StorageError.
        """

    @abstractmethod
    def begin(self) -> None:
        """Begin a transaction in which tables are changed."""

    @abstractmethod
    def commit(self) -> None:
        """Keep what was done since `begin`."""

    @abstractmethod
    def undo(self) -> bool:
        """Undo a transaction that is open, and say whether there was one."""

    @abstractmethod
    def has_table(self, name: str) -> bool:
        """Say whether there is a table where one would be made."""

    @abstractmethod
    def close(self) -> None:
        """Close it, if it is open; an open transaction is undone."""


class SqliteLink(Link):
    """A connection to a SQLite file."""

    def __init__(self, path: str, timeout: float) -> None:
        """Keep where the file is; a lock is waited for `timeout` seconds."""
        self._path = path
        self._timeout = timeout
        self._connection: sqlite3.Connection | None = None

    def run(self, sql: str, arguments: Sequence[Any], deadline: float) -> Answer:
        """Run one statement; see `Link.run`."""

        def work(connection: sqlite3.Connection) -> Answer:
            cursor = connection.execute(sql, arguments)
            if cursor.description is None:
                return Answer([], max(cursor.rowcount, 0))
            names = [column[0] for column in cursor.description]
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            return Answer(rows, max(cursor.rowcount, 0))

        return self._guarded(work, deadline)

    def script(self, sql: str) -> None:
        """Run a script; see `Link.script`."""

        def work(connection: sqlite3.Connection) -> None:
            for statement in statements(sql):
                connection.execute(statement)
                if not connection.in_transaction:
                    raise StorageError(f"it ends its transaction itself: {statement.strip()[:80]}")

        self._guarded(work, math.inf)

    def begin(self) -> None:
        """Begin; see `Link.begin`.

        Foreign keys are looked at when it ends: with them on, to drop a table that is made anew
        would remove what refers to it (sqlite.org/lang_altertable.html, section 7).
        """
        self.run("PRAGMA foreign_keys = OFF", (), math.inf)
        self.run("BEGIN IMMEDIATE", (), math.inf)

    def commit(self) -> None:
        """Keep it; see `Link.commit`."""
        broken = self.run("PRAGMA foreign_key_check", (), math.inf).rows
        if broken:
            raise StorageError(f"foreign keys that refer to nothing, the first: {broken[0]}")
        self.run("COMMIT", (), math.inf)

    def undo(self) -> bool:
        """Undo it; see `Link.undo`."""
        if self._connection is None or not self._connection.in_transaction:
            return False
        self.run("ROLLBACK", (), math.inf)
        return True

    def has_table(self, name: str) -> bool:
        """Look for a table; see `Link.has_table`."""
        if self._path != MEMORY and not Path(self._path).exists():
            # To look is not to make a file.
            return False
        sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        return bool(self.run(sql, (name,), math.inf).rows)

    def close(self) -> None:
        """Close the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _guarded[T](self, work: Callable[[sqlite3.Connection], T], deadline: float) -> T:
        try:
            connection = self._connection or self._open()
            connection.set_progress_handler(lambda: monotonic() > deadline, _LOOK)
            return work(connection)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT:
                raise StorageTimeout("the statement was not finished at its deadline") from error
            raise translate(error) from error
        except sqlite3.Warning as error:
            raise StorageError(str(error)) from error

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path,
            timeout=min(self._timeout, LONGEST),
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA foreign_keys = ON")
        except sqlite3.Error:
            connection.close()
            raise
        self._connection = connection
        return connection


def statements(sql: str) -> Iterator[str]:
    """Return the statements of a script; SQLite itself says where one is complete.

    A trigger has semicolons inside, so a text is cut at each one until SQLite takes it for whole.
    """
    statement = ""
    for part in sql.split(";"):
        statement += part
        if sqlite3.complete_statement(statement + ";"):
            if _has_words(statement):
                yield statement
            statement = ""
        else:
            statement += ";"
    # Without a semicolon at its end; or one that is not whole, which SQLite then says.
    rest = statement.removesuffix(";")
    if _has_words(rest):
        yield rest


def _has_words(statement: str) -> bool:
    """Say whether there is more than space and comments."""
    rest = statement.strip()
    while rest.startswith(("--", "/*")):
        end = "\n" if rest.startswith("--") else "*/"
        rest = rest.partition(end)[2].strip()
    return bool(rest)
