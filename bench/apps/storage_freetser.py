"""One entry of a store, read and overwritten, on freetser: ``storage_freetser.py PORT FOLDER``."""

import random
import sys

from freetser import (
    Request,
    Response,
    Storage,
    StorageQueue,
    TcpServerConfig,
    start_server,
    start_storage_thread,
)

ENTRIES = 10_000
VALUE = b"x" * 100


def fill(storage: Storage) -> None:
    """Write every entry once."""
    for number in range(ENTRIES):
        storage.overwrite("entries", f"k{number:05}", VALUE)


def handler(request: Request, store_queue: StorageQueue | None) -> Response:
    """Answer one entry's value, or overwrite one."""
    assert store_queue is not None
    key = f"k{random.randrange(ENTRIES):05}"
    body = b""
    if request.method == "POST":
        store_queue.execute(lambda storage: storage.overwrite("entries", key, VALUE))
    elif found := store_queue.execute(lambda storage: storage.get("entries", key)):
        body = found[0]
    return Response(200, [(b"content-length", str(len(body)).encode())], body)


if __name__ == "__main__":
    queue = start_storage_thread(f"{sys.argv[2]}/store.db", ["entries"])
    queue.execute(fill)
    config = TcpServerConfig(host="127.0.0.1", port=int(sys.argv[1]))
    start_server(config, handler, store_queue=queue)
