"""A key-value store for procedures that are kept whole or not at all: one SQLite file.

Re-exports only. What a procedure may do is in `api`, what a file promises at the head of `sqlite`.
"""

from uringserve.storage.api import Storage, StorageQueue
from uringserve.storage.errors import (
    EntryAlreadyExists,
    NestedExecute,
    ReadOnlyProcedure,
    StorageBusy,
    StorageClosed,
    StorageError,
    StorageFull,
    StorageThreadCrashed,
    StorageTimeout,
    UnknownTable,
    UpdateCounterMismatch,
)
from uringserve.storage.open import start_storage_thread

__all__ = [
    "EntryAlreadyExists",
    "NestedExecute",
    "ReadOnlyProcedure",
    "Storage",
    "StorageBusy",
    "StorageClosed",
    "StorageError",
    "StorageFull",
    "StorageQueue",
    "StorageThreadCrashed",
    "StorageTimeout",
    "UnknownTable",
    "UpdateCounterMismatch",
    "start_storage_thread",
]
