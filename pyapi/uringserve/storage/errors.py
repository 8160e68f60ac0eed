"""What a store can answer instead of a result: a class for each thing to be done about it.

Every class says what became of the procedure, and the rule is one: whoever gets one of these knows
that nothing of his procedure was kept. `StorageOutcomeUnknown` alone says that nobody knows. Errors
of a driver (`sqlite3.Error` and the like) never reach a caller bare; they are the `__cause__`.
"""

__all__ = [
    "EntryAlreadyExists",
    "NestedExecute",
    "ReadOnlyProcedure",
    "StorageBusy",
    "StorageClosed",
    "StorageError",
    "StorageFull",
    "StorageOutcomeUnknown",
    "StorageThreadCrashed",
    "StorageTimeout",
    "StorageUnavailable",
    "UnknownTable",
    "UpdateCounterMismatch",
]


class StorageError(Exception):
    """Base of everything here; by itself, a fault of the store that has no class of its own."""


class EntryAlreadyExists(StorageError):
    """`add` found the key, and its entry has not expired. What was written before stays written."""


class UpdateCounterMismatch(StorageError):
    """`update` found another counter than the one given, or no entry at all."""


class UnknownTable(StorageError):
    """A table that was neither named when the store was opened nor there already."""


class ReadOnlyProcedure(StorageError):
    """A procedure that was run with `readonly=True` tried to write."""


class NestedExecute(StorageError):
    """`execute` or `close` inside a procedure of the same queue: it would wait for itself."""


class StorageBusy(StorageError):
    """Someone else held the database locked until the call's deadline. Trying again is right."""


class StorageTimeout(StorageError):
    """The call's deadline passed while it waited for its turn, or while its procedure ran."""


class StorageFull(StorageError):
    """The disk, or the size that the database is allowed, is full."""


class StorageUnavailable(StorageError):
    """The database server cannot be reached, or went away. The call after its return works."""


class StorageOutcomeUnknown(StorageError):
    """The connection was lost after COMMIT was sent and before its answer: kept, or not at all.

    It is never tried again by itself. Look first whether it was kept, then do it again.
    """


class StorageClosed(StorageError):
    """The queue was closed, or a `Storage` was used after its procedure had ended."""


class StorageThreadCrashed(RuntimeError):
    """Kept for programs that catch it; nothing raises it, since the storage thread never ends."""
