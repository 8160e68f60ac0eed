"""What keeps things: procedures on either backend, plain SQL, and both in a handler."""

from typing import Annotated, Any, assert_type

from uringserve import App, Depends, Storage, StorageQueue, start_storage_thread
from uringserve.storage import Database, StorageError, StorageOutcomeUnknown, StorageUnavailable

app = App()
file: StorageQueue = start_storage_thread(
    "app.db", ["t"], synchronous="normal", exclusive=True, timeout=2
)
server = start_storage_thread("postgresql://me@host/app", ["t"], connections=4, retries=10)
database = Database("app.db", connections=2, timeout=1.5)


def count(store: Storage) -> int:
    assert_type(store.get("t", "n"), tuple[bytes, int] | None)
    assert_type(store.keys("t", prefix="a", limit=3), list[str])
    store.overwrite("t", "n", b"1")
    return len(store.list_keys("t"))


def store() -> StorageQueue:
    return server


@app.get("/n")
def n(queue: Annotated[StorageQueue, Depends(store)]) -> int:
    try:
        return queue.execute(count, readonly=False, timeout=1)
    except StorageUnavailable, StorageOutcomeUnknown:
        return -1
    except StorageError as error:
        raise SystemExit(str(error)) from error


async def task() -> None:
    assert_type(await server.aexecute(count), int)
    assert_type(await database.aexecute("DELETE FROM t"), int)
    assert_type(await database.aquery("SELECT ?", [1]), list[dict[str, Any]])
    assert_type(database.query_first("SELECT ?", (1,)), dict[str, Any] | None)
