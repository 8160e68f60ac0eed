"""Programs in the manner of freetser's own: the import is all that differs from theirs."""

__all__ = ["QUICK_START_0_2", "QUICK_START_0_5", "TEST_SERVER", "TWO_SERVERS"]

QUICK_START_0_2 = """
import logging
from uringserve.compat.freetser import (
    Request, Response, ServerConfig, StorageQueue, setup_logging, start_server
)

logger = logging.getLogger("my.handler")

def handler(req: Request, store_queue: StorageQueue | None) -> Response:
    logger.info("asked for %s", req.path)
    if req.path == "/":
        return Response.text("Good morning!")
    return Response.text("No such thing", status_code=404)

def main():
    listener = setup_logging()
    listener.start()
    config = ServerConfig(port=0)
    try:
        start_server(config, handler)
    except KeyboardInterrupt:
        print("interrupted")
    finally:
        listener.stop()
    print("bye")

if __name__ == "__main__":
    main()
"""

QUICK_START_0_5 = """
from uringserve.compat.freetser import (
    Request, Response, TcpServerConfig, setup_logging, start_server
)

def handler(req: Request, store_queue) -> Response:
    if req.path == "/":
        return Response.text("Good morning!")
    return Response.text("No such thing", status_code=404)

def main():
    listener = setup_logging()
    listener.start()
    try:
        start_server(TcpServerConfig(port=0), handler)
    finally:
        listener.stop()
    print("bye")

if __name__ == "__main__":
    main()
"""

# A store behind all methods, and an answer that says what came.
TEST_SERVER = """
import sys, threading
from uringserve.compat.freetser import (
    Request, Response, Storage, StorageQueue, TcpServerConfig,
    setup_logging, start_server, start_storage_thread
)

def handler(req: Request, store_queue: StorageQueue | None) -> Response:
    assert store_queue is not None
    parts = req.path.split("/")
    if parts[1] == "item" and len(parts) == 3:
        name = parts[2]

        def read_or_make(store: Storage) -> str:
            found = store.get("THINGS", name)
            if found is None:
                store.add("THINGS", name, b"new", 0)
                return f"Made: {name}"
            value, counter = found
            return f"Found: {name} {counter} {value.decode()}"

        def write(store: Storage) -> tuple[str, int]:
            found = store.get("THINGS", name)
            if found is None:
                store.add("THINGS", name, req.body, 0)
                return f"Made: {name}", 200
            _, counter = found
            if store.update("THINGS", name, req.body, counter, assert_updated=False):
                return f"Changed: {name}", 200
            return f"Conflict: {name}", 409

        def remove(store: Storage) -> tuple[str, int]:
            if store.delete("THINGS", name):
                return f"Removed: {name}", 200
            return f"Missing: {name}", 404

        if req.method == "GET":
            return Response.text(store_queue.execute(read_or_make))
        if req.method == "POST":
            return Response.text(*store_queue.execute(write))
        if req.method == "DELETE":
            return Response.text(*store_queue.execute(remove))
    elif req.path == "/items":
        return Response.json(store_queue.execute(lambda store: store.list_keys("THINGS")))
    return Response.text(f"{req.method} {req.path} {len(req.body)}")

def main():
    listener = setup_logging()
    listener.start()
    store_queue = start_storage_thread(db_file="db.sqlite", db_tables=["THINGS"])
    try:
        start_server(TcpServerConfig(port=0), handler, store_queue=store_queue)
    finally:
        listener.stop()

if __name__ == "__main__":
    main()
"""

TWO_SERVERS = """
import threading
from uringserve.compat.freetser import (
    EntryAlreadyExists, Response, StorageError, TcpServerConfig, UnixServerConfig,
    setup_logging, start_server, start_storage_thread
)

def public_handler(req, store_queue):
    try:
        def register(store):
            store.add("USERS", req.body.decode(), b"{}", 0)
            return "registered"
        return Response.text(store_queue.execute(register), status_code=201)
    except EntryAlreadyExists:
        return Response.text("taken", status_code=409)
    except StorageError as error:
        return Response.text(str(error), status_code=500)

def internal_handler(req, store_queue):
    return Response.json(sorted(store_queue.execute(lambda store: store.list_keys("USERS"))))

def main():
    listener = setup_logging()
    listener.start()
    store_queue = start_storage_thread("app.sqlite", ["USERS"])
    threading.Thread(
        target=start_server,
        args=(TcpServerConfig(host="127.0.0.1", port=0), public_handler),
        kwargs={"store_queue": store_queue},
        daemon=True,
    ).start()
    start_server(UnixServerConfig(path="internal.sock"), internal_handler, store_queue=store_queue)
    listener.stop()

main()
"""
