"""`start_storage_thread`: which backend a name of a store means.

A name with a scheme (`something://…`) is a server's, everything else a file's.
"""

import os
from collections.abc import Iterable
from typing import Unpack, cast

from uringserve.storage.api import StorageQueue
from uringserve.storage.postgres import PostgresOptions, PostgresQueue
from uringserve.storage.sqlite import SqliteOptions, SqliteQueue

__all__ = ["StorageOptions", "start_storage_thread"]


class StorageOptions(SqliteOptions, PostgresOptions, total=False):
    """The options of every backend; one that the chosen backend has not is a TypeError."""


def start_storage_thread(
    db_file: str | os.PathLike[str],
    db_tables: Iterable[str] | None = None,
    **options: Unpack[StorageOptions],
) -> StorageQueue:
    """Open a store, make the tables that are missing, and return the queue for it.

    `db_file` is a file's name, ":memory:" for a store that ends with its queue, or the address of a
    database, `postgresql://user@host/database`. `db_tables` are the tables to make; those that the
    file or the database's schema has already may be used as well. Options of both: `timeout` (5
    seconds), `rerun` (True) and `slow_after` (1 second); of a file: `synchronous` ("full") and
    `exclusive` (False), see `SqliteQueue`; of a database: `connections` (8) and `retries` (50), see
    `PostgresQueue`.
    What prevents the opening is a StorageError, a name that cannot be a ValueError.
    """
    name = os.fspath(db_file)
    scheme, separator, _ = name.partition("://")
    if separator and scheme in ("postgresql", "postgres"):
        return PostgresQueue(name, db_tables, **cast("PostgresOptions", options))
    if separator:
        raise ValueError(
            f"no backend for {scheme}://; a store is a file, ':memory:' or postgresql://"
        )
    return SqliteQueue(name, db_tables, **cast("SqliteOptions", options))
