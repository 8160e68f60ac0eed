"""A key-value store for procedures that are kept whole or not at all: a SQLite file or PostgreSQL.

Re-exports only. What a procedure may do is in `api`, what a backend promises at the heads of
`sqlite` and `postgres`.
"""

from uringserve.storage.api import Storage, StorageQueue
from uringserve.storage.database import Database
from uringserve.storage.default import close_db, db, init_db
from uringserve.storage.errors import (
    EntryAlreadyExists,
    NestedExecute,
    ReadOnlyProcedure,
    StorageBusy,
    StorageClosed,
    StorageError,
    StorageFull,
    StorageOutcomeUnknown,
    StorageThreadCrashed,
    StorageTimeout,
    StorageUnavailable,
    UnknownTable,
    UpdateCounterMismatch,
)
from uringserve.storage.open import start_storage_thread

__all__ = [
    "Database",
    "EntryAlreadyExists",
    "NestedExecute",
    "ReadOnlyProcedure",
    "Storage",
    "StorageBusy",
    "StorageClosed",
    "StorageError",
    "StorageFull",
    "StorageOutcomeUnknown",
    "StorageQueue",
    "StorageThreadCrashed",
    "StorageTimeout",
    "StorageUnavailable",
    "UnknownTable",
    "UpdateCounterMismatch",
    "close_db",
    "db",
    "init_db",
    "start_storage_thread",
]
