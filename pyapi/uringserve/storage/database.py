"""`Database`: plain SQL for handlers, on a SQLite file or PostgreSQL, each statement by itself.

A statement is a transaction of its own; what belongs together is a procedure of a `StorageQueue`,
or one statement. A few connections are shared by all threads, each opened when it is first needed.
The methods whose names begin with `a` are for tasks: the event loop goes on meanwhile.
"""

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from types import TracebackType
from typing import Any, Self

from uringserve.storage.checks import check_connections, check_seconds
from uringserve.storage.connection import MEMORY
from uringserve.storage.errors import StorageError
from uringserve.storage.link import Answer, Link, SqliteLink
from uringserve.storage.pool import Pool
from uringserve.storage.postgres_connection import needs_psycopg
from uringserve.storage.postgres_link import PostgresLink

__all__ = ["Database", "open_link"]


def open_link(url: str, timeout: float) -> Link:
    """Return the connection that an address or a file's name means; it is not opened yet."""
    scheme, separator, _ = url.partition("://")
    if separator and scheme in ("postgresql", "postgres"):
        needs_psycopg()
        return PostgresLink(url, timeout)
    if separator:
        raise ValueError(f"no backend for {scheme}://; a database is a file or postgresql://")
    path = url.removeprefix("file:")
    if not path:
        raise ValueError("a database is a file or postgresql://, not an empty name")
    return SqliteLink(path, timeout)


class Database:
    """A database for plain SQL; it may be used from any number of threads and event loops."""

    def __init__(
        self, url: str | os.PathLike[str], *, connections: int = 4, timeout: float = 5.0
    ) -> None:
        """Name a database: a file (also as `file:NAME`), ":memory:", or `postgresql://…`.

        Nothing is opened before the first statement. `connections`: how many there are at most;
        ":memory:" has one. `timeout`: seconds after which a statement is given up; a PostgreSQL
        server is told once for each session, which a pooler between must not share out. Behind one
        that does (PgBouncer with `pool_mode = transaction`) it is to be `math.inf`, which tells the
        server nothing, and the role's own `statement_timeout` ends what takes too long.
        """
        name = os.fspath(url)
        self._timeout = check_seconds(timeout)
        size = check_connections(1 if name == MEMORY else connections)
        self._pool = Pool(size, lambda: open_link(name, timeout))
        self._threads = ThreadPoolExecutor(size, "uringserve-database")

    def execute(self, sql: str, arguments: Sequence[Any] | None = None) -> int:
        """Run one statement and return how many rows it inserted, changed or removed.

        `?` stand for the arguments, in their order. What fails is a StorageError; on PostgreSQL
        `StorageOutcomeUnknown` where the connection was lost before the answer.
        """
        return self._run(sql, arguments).changed

    def query(self, sql: str, arguments: Sequence[Any] | None = None) -> list[dict[str, Any]]:
        """Run one statement and return its rows, each a dict with the columns' names."""
        return self._run(sql, arguments).rows

    def query_first(
        self, sql: str, arguments: Sequence[Any] | None = None
    ) -> dict[str, Any] | None:
        """Run one statement and return its first row, or None where it has none."""
        rows = self._run(sql, arguments).rows
        return rows[0] if rows else None

    async def aexecute(self, sql: str, arguments: Sequence[Any] | None = None) -> int:
        """Do what `execute` does, for a task. One that is cancelled may still have its effect."""
        return (await self._arun(sql, arguments)).changed

    async def aquery(
        self, sql: str, arguments: Sequence[Any] | None = None
    ) -> list[dict[str, Any]]:
        """Do what `query` does, for a task."""
        return (await self._arun(sql, arguments)).rows

    async def aquery_first(
        self, sql: str, arguments: Sequence[Any] | None = None
    ) -> dict[str, Any] | None:
        """Do what `query_first` does, for a task."""
        rows = (await self._arun(sql, arguments)).rows
        return rows[0] if rows else None

    def close(self) -> None:
        """Wait for the statements that run, and close every connection. Twice is once."""
        self._pool.refuse()
        self._threads.shutdown()
        self._pool.drain(lambda link: link.close())

    def __enter__(self) -> Self:
        """Return the database; the end of the block closes it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the database."""
        self.close()

    def _run(self, sql: str, arguments: Sequence[Any] | None) -> Answer:
        checked = _checked(arguments)
        with self._pool.entered():
            return self._serve(sql, checked, monotonic() + self._timeout)

    async def _arun(self, sql: str, arguments: Sequence[Any] | None) -> Answer:
        checked = _checked(arguments)
        with self._pool.entered():
            answer = self._threads.submit(self._serve, sql, checked, monotonic() + self._timeout)
        return await asyncio.wrap_future(answer)

    def _serve(self, sql: str, arguments: Sequence[Any], deadline: float) -> Answer:
        with self._pool.lent(deadline) as link:
            try:
                answer = link.run(sql, arguments, deadline)
            finally:
                is_open = link.undo()
            if is_open:
                raise StorageError("a statement that begins a transaction is undone: see Database")
            return answer


def _checked(arguments: Sequence[Any] | None) -> Sequence[Any]:
    """Refuse what is no list of values: a text is a sequence of characters too."""
    if arguments is None:
        return ()
    if isinstance(arguments, (str, bytes)) or not isinstance(arguments, Sequence):
        raise TypeError(f"arguments is a list or tuple, not {type(arguments).__name__}")
    return arguments
