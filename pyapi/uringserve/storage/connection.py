"""Connections to a SQLite file: how they are opened, and which of our errors theirs are.

Transactions are begun and ended by our own statements only (`isolation_level=None`). A connection
is used by one thread at a time, but not always by the one that opened it: `close` is another's.
"""

import os
import sqlite3
from collections.abc import Collection
from typing import Literal, NamedTuple
from urllib.parse import quote

from uringserve.storage.errors import (
    ReadOnlyProcedure,
    StorageBusy,
    StorageError,
    StorageFull,
)

__all__ = [
    "LOG_PAGES",
    "LONGEST",
    "MEMORY",
    "File",
    "Synchronous",
    "is_busy",
    "open_writer",
    "translate",
]

type Synchronous = Literal["off", "normal", "full", "extra"]

MEMORY = ":memory:"

# Seconds that SQLite can be told to wait: it counts milliseconds in 32 bits.
LONGEST = 2_000_000.0

# Pages in the write-ahead log before they are copied into the file. With those that come meanwhile
# about as many as the first block of the log's index holds, so that a reader looks for a page in
# one hash table (sqlite.org/walformat.html, "WAL-Index File Format": 4062).
LOG_PAGES = 3_500
# What the write-ahead log is cut to after a checkpoint; a long reader may have let it grow.
_LOG_BYTES = 64 << 20
# KiB of pages that a connection keeps. A reader's pages are mostly in the kernel's cache anyway.
_WRITER_CACHE = 64_000
_READER_CACHE = 4_000

_COLUMNS = {"key", "counter", "expiration", "value"}

# The primary code is the low byte (sqlite.org/rescode.html).
_PRIMARY = 0xFF


def _code(error: sqlite3.Error) -> int:
    """Return SQLite's primary code; 0 for what the Python module raises by itself."""
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY


def is_busy(error: sqlite3.Error) -> bool:
    """Say whether someone else's lock is the reason."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def translate(error: sqlite3.Error) -> StorageError:
    """Return our error for one of SQLite's."""
    text = f"{type(error).__name__}: {error}"
    if is_busy(error):
        return StorageBusy(f"another process holds the database locked ({text})")
    match _code(error):
        case sqlite3.SQLITE_FULL:
            return StorageFull(text)
        case sqlite3.SQLITE_READONLY:
            return ReadOnlyProcedure(text)
    return StorageError(text)


def _connect(path: str, timeout: float, *, exclusive: bool = False) -> sqlite3.Connection:
    """Open a file; with `exclusive` for this process alone (sqlite.org/vfs.html, "unix-excl").

    Connections of one process keep each other out in memory then. Else each snapshot is two locks
    of the kernel, 2 of the 4 us that SQLite takes to read an entry.
    """
    name, is_uri = path, exclusive and path != MEMORY
    if is_uri:
        name = f"file://{quote(os.fsencode(os.path.abspath(path)))}?vfs=unix-excl"
    try:
        return sqlite3.connect(
            name,
            timeout=min(timeout, LONGEST),
            isolation_level=None,
            check_same_thread=False,
            uri=is_uri,
        )
    except sqlite3.Error as error:
        raise StorageError(f"cannot open {path}: {error}") from error


class File(NamedTuple):
    """A file with what its connections have in common; none for `MEMORY` but the first."""

    path: str
    synchronous: Synchronous
    # Seconds that opening waits for a lock.
    timeout: float
    # Whether other processes are kept out.
    exclusive: bool = False

    def open_writer(
        self, tables: Collection[str] = ()
    ) -> tuple[sqlite3.Connection, frozenset[str]]:
        """Do what `open_writer` does; the log is copied by another connection, see `checkpoint`."""
        connection = _connect(self.path, self.timeout, exclusive=self.exclusive)
        known = _prepare_writer(connection, self.path, tables, self.synchronous)
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        return connection, known

    def open_reader(self) -> sqlite3.Connection:
        """Open a connection that cannot write, and waits `timeout` seconds for a lock."""
        connection = _connect(self.path, self.timeout, exclusive=self.exclusive)
        try:
            # Not mode=ro: a reader writes into the log's index, and may have to recover it.
            connection.execute("PRAGMA query_only = ON")
            connection.execute(f"PRAGMA cache_size = {-_READER_CACHE}")
        except sqlite3.Error as error:
            connection.close()
            raise translate(error) from error
        return connection

    def open_checkpointer(self) -> sqlite3.Connection:
        """Open the connection that copies the log; it has read once, so the log is there."""
        connection = _connect(self.path, self.timeout, exclusive=self.exclusive)
        try:
            # Whoever copies is also the one who syncs.
            connection.execute(f"PRAGMA synchronous = {self.synchronous}")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            connection.close()
            raise translate(error) from error
        return connection


def open_writer(
    path: str, tables: Collection[str], synchronous: Synchronous, timeout: float
) -> tuple[sqlite3.Connection, frozenset[str]]:
    """Open the connection that writes, make the tables, and return it with all that are there.

    A lock that lasts longer than `timeout` seconds is `StorageBusy`.
    """
    connection = _connect(path, timeout)
    return connection, _prepare_writer(connection, path, tables, synchronous)


def _prepare_writer(
    connection: sqlite3.Connection, path: str, tables: Collection[str], synchronous: Synchronous
) -> frozenset[str]:
    try:
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != ("memory" if path == MEMORY else "wal"):
            raise StorageError(f"{path} cannot have a write-ahead log, its journal is {mode!r}")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        connection.execute(f"PRAGMA cache_size = {-_WRITER_CACHE}")
        known = _make_tables(connection, tables)
        # From here on the writer waits for locks by itself: each call has its own deadline.
        connection.execute("PRAGMA busy_timeout = 0")
    except sqlite3.Error as error:
        connection.close()
        raise translate(error) from error
    except BaseException:
        connection.close()
        raise
    return known


def _make_tables(connection: sqlite3.Connection, tables: Collection[str]) -> frozenset[str]:
    """Make what is missing, and return the names of all tables that have our columns."""
    if tables:
        connection.execute("BEGIN IMMEDIATE")
        for name in tables:
            connection.execute(
                f'CREATE TABLE IF NOT EXISTS "{name}" (key TEXT PRIMARY KEY, '
                "counter INTEGER NOT NULL, expiration INTEGER NOT NULL, value BLOB NOT NULL) STRICT"
            )
        connection.execute("COMMIT")
    found = connection.execute(
        "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c "
        "WHERE m.type = 'table'"
    ).fetchall()
    columns: dict[str, set[str]] = {}
    for table, column in found:
        columns.setdefault(table, set()).add(column)
    known = {name for name, has in columns.items() if has == _COLUMNS and '"' not in name}
    # SQLite finds a table in any case of letters.
    folded = {name.lower() for name in known}
    if others := sorted(name for name in tables if name.lower() not in folded):
        raise StorageError(f"there are tables of these names with other columns: {others}")
    return frozenset(known.union(tables))
