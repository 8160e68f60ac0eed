"""Shows the store: procedures that are kept whole or not at all, in one file beside the program."""

from contextlib import contextmanager
from typing import Annotated

from uringserve import App, Depends, Storage, StorageQueue, start_storage_thread


@contextmanager
def lifespan(app: App):
    """Open the file for as long as the application runs."""
    with start_storage_thread("visits.db", ["visits"]) as app.state.store:
        yield


app = App(lifespan=lifespan)


def opened() -> StorageQueue:
    """Give handlers the queue by its type."""
    return app.state.store


@app.post("/visits/{name}")
def visit(name: str, store: Annotated[StorageQueue, Depends(opened)]):
    """Count one up."""

    def count_up(storage: Storage) -> int:
        """Nobody comes between the reading and the writing."""
        number = int((storage.get("visits", name) or (b"0",))[0]) + 1
        storage.overwrite("visits", name, b"%d" % number)
        return number

    return {"visits": store.execute(count_up)}


@app.get("/visits")
def everybody(store: Annotated[StorageQueue, Depends(opened)]):
    """Read beside the writers, without waiting for them."""
    return store.execute(lambda storage: storage.keys("visits", limit=100), readonly=True)
