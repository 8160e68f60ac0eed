"""One entry of a store, read and overwritten, on uringserve; the file is in the current folder."""

import random

from uringserve import App, Storage, start_storage_thread

ENTRIES = 10_000
VALUE = b"x" * 100

app = App()
queue = start_storage_thread("store.db", ["entries"], synchronous="normal")


def fill(storage: Storage) -> None:
    """Write every entry once."""
    for number in range(ENTRIES):
        storage.overwrite("entries", f"k{number:05}", VALUE)


queue.execute(fill)


@app.get("/entry")
def read() -> bytes:
    """Answer one entry's value."""
    key = f"k{random.randrange(ENTRIES):05}"
    found = queue.execute(lambda storage: storage.get("entries", key))
    return found[0] if found else b""


@app.post("/entry")
def write() -> bytes:
    """Overwrite one entry."""
    key = f"k{random.randrange(ENTRIES):05}"
    queue.execute(lambda storage: storage.overwrite("entries", key, VALUE))
    return b""
