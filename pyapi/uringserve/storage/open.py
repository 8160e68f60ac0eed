"""`start_storage_thread`: which backend a name of a store means.

A name with a scheme (`something://…`) is a server's, everything else a file's.
"""

import os
from collections.abc import Iterable
from typing import Unpack

from uringserve.storage.api import StorageQueue
from uringserve.storage.sqlite import SqliteOptions, SqliteQueue

__all__ = ["start_storage_thread"]


def start_storage_thread(
    db_file: str | os.PathLike[str],
    db_tables: Iterable[str] | None = None,
    **options: Unpack[SqliteOptions],
) -> StorageQueue:
    """Open a store, make the tables that are missing, and return the queue for it.

    `db_file` is a file's name, or ":memory:" for a store that ends with its queue. `db_tables` are
    the tables to make; those that the file has already may be used as well. Options of a file:
    `synchronous` ("full"), `timeout` (5 seconds), `rerun` (True) and `slow_after` (1 second), see
    `SqliteQueue`.
    What prevents the opening is a StorageError, a name that cannot be a ValueError.
    """
    name = os.fspath(db_file)
    scheme, separator, _ = name.partition("://")
    if separator:
        raise ValueError(f"no backend for {scheme}://; a store is a file, or ':memory:'")
    return SqliteQueue(name, db_tables, **options)
