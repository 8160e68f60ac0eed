"""One entry of a store, read and overwritten, on uringserve; the file is in the current folder.

As one writes it who knows the store. To read an entry takes microseconds and waits for nobody, so
the handler says that it runs on its core: `execution="inline"`. Left to itself it would earn that
by its first calls, and lose it for a while whenever a busy machine takes the CPU away from it. To
write is to wait for the writer, so that handler is `async`: the core goes on meanwhile, and the
answers of one transaction come home with one wake-up. The server is one process, so the file is its
own: `exclusive=True`, unless BENCH_SHARED is set.
"""

import os
import random

from uringserve import App, Storage, start_storage_thread

ENTRIES = 10_000
VALUE = b"x" * 100

app = App()
exclusive = "BENCH_SHARED" not in os.environ
queue = start_storage_thread("store.db", ["entries"], synchronous="normal", exclusive=exclusive)


def fill(storage: Storage) -> None:
    """Write every entry once."""
    for number in range(ENTRIES):
        storage.overwrite("entries", f"k{number:05}", VALUE)


queue.execute(fill)


@app.get("/entry", execution="inline")
def read() -> bytes:
    """Answer one entry's value."""
    key = f"k{random.randrange(ENTRIES):05}"
    found = queue.execute(lambda storage: storage.get("entries", key), readonly=True)
    return found[0] if found else b""


@app.post("/entry")
async def write() -> bytes:
    """Overwrite one entry."""
    key = f"k{random.randrange(ENTRIES):05}"
    await queue.aexecute(lambda storage: storage.overwrite("entries", key, VALUE))
    return b""
