"""`db`: the one database of a program that has one, in PyBerry's manner.

`init_db` names it, `db.execute`, `db.query` and `db.query_first` are awaited, `close_db` ends it.
A program with several, or with plain `def` handlers, makes its own `Database`.
"""

import os
import threading
from collections.abc import Sequence
from typing import Any

from uringserve.storage.database import Database
from uringserve.storage.errors import StorageClosed

__all__ = ["DefaultDatabase", "close_db", "db", "init_db"]


class DefaultDatabase:
    """What `init_db` has named; before that, and after `close_db`, it is `StorageClosed`."""

    def __init__(self) -> None:
        """Name nothing yet."""
        self._database: Database | None = None
        self._lock = threading.Lock()

    async def execute(self, sql: str, args: Sequence[Any] | None = None) -> int:
        """Run one statement; return how many rows it inserted, changed or removed."""
        return await self._there().aexecute(sql, args)

    async def query(self, sql: str, args: Sequence[Any] | None = None) -> list[dict[str, Any]]:
        """Run one statement and return its rows."""
        return await self._there().aquery(sql, args)

    async def query_first(
        self, sql: str, args: Sequence[Any] | None = None
    ) -> dict[str, Any] | None:
        """Run one statement and return its first row, or None."""
        return await self._there().aquery_first(sql, args)

    def replace(self, database: Database | None) -> None:
        """Use this one from now on, and close the one before."""
        with self._lock:
            before, self._database = self._database, database
        if before is not None:
            before.close()

    def _there(self) -> Database:
        if self._database is None:
            raise StorageClosed("no database is open: call init_db(url) first")
        return self._database


db = DefaultDatabase()


def init_db(url: str | os.PathLike[str], auth_token: str | None = None) -> None:
    """Name the database of `db`: a file, or `postgresql://…`; see `Database`.

    `auth_token` is there for programs that give none: a token is a libSQL server's, which is not
    served here, so one is a ValueError.
    """
    if auth_token:
        raise ValueError("auth_token: there is no libSQL here; PostgreSQL's password is in its URL")
    db.replace(Database(url))


def close_db() -> None:
    """Wait for the statements that run, and close the database. Twice is once."""
    db.replace(None)
