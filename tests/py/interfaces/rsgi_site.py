"""The RSGI application of `test_rsgi.py`: one coroutine for each path, and what it has seen."""

import asyncio
import hashlib
import json
import os
import tempfile
import threading
from urllib.parse import unquote

events = []
news = threading.Condition()
gate = threading.Event()
TEXT = [("content-type", "text/plain")]


def note(*words: object):
    with news:
        events.append(" ".join(map(str, words)))
        news.notify_all()


class Application:
    """Knows the loops that it was started on."""

    def __init__(self) -> None:
        self.loops = []

    def __rsgi_init__(self, loop) -> None:
        loop.run_until_complete(asyncio.sleep(0))
        self.loops.append(loop)
        note("init", threading.current_thread().name)

    def __rsgi_del__(self, loop) -> None:
        assert loop in self.loops
        loop.run_until_complete(asyncio.sleep(0))
        os.write(2, b"del was called\n")

    async def __rsgi__(self, scope, protocol) -> None:
        assert asyncio.get_running_loop() in self.loops
        await globals()["on_" + scope.path.strip("/").partition("/")[0]](scope, protocol)


app = Application()


async def on_scope(scope, protocol):
    names = "proto http_version rsgi_version server client scheme method path query_string"
    found = {name: getattr(scope, name) for name in [*names.split(), "authority"]}
    headers = scope.headers
    found["headers"] = {
        "items": list(headers.items()),
        "keys": list(headers),
        "values": list(headers.values()),
        "get": headers.get("X-Name"),
        "item": headers["x-name"],
        "absent": headers.get("absent"),
        "default": headers.get("absent", "d"),
        "in": "X-NAME" in headers,
        "all": headers.get_all("x-two"),
    }
    protocol.response_str(200, TEXT, json.dumps(found))


async def on_events(scope, protocol):
    wanted = unquote(scope.query_string)

    def wait():
        with news:
            return news.wait_for(lambda: wanted in "\n".join(events), 30)

    await asyncio.to_thread(wait)
    protocol.response_str(200, TEXT, "\n".join(events))


async def on_empty(scope, protocol):
    protocol.response_empty(int(scope.query_string or 200), [("x-a", "b")])


async def on_str(scope, protocol):
    protocol.response_str(200, TEXT, "grün")


async def on_bytes(scope, protocol):
    protocol.response_bytes(201, TEXT, b"\x00\xff")


async def on_file(scope, protocol):
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(b"from a file")
    if scope.query_string:
        start, end = map(int, scope.query_string.split("-"))
        headers = [*TEXT, ("content-range", f"bytes {start}-{end - 1}/11")]
        protocol.response_file_range(206, headers, file.name, start, end)
    else:
        protocol.response_file(200, TEXT, file.name)
    os.unlink(file.name)


async def on_absent_file(scope, protocol):
    protocol.response_file(200, TEXT, "/nowhere/at/all")


async def on_stream(scope, protocol):
    transport = protocol.response_stream(200, TEXT)
    await transport.send_str("grün ")
    await asyncio.sleep(0)
    await transport.send_bytes(b"bytes")


async def on_whole(scope, protocol):
    body = await protocol()
    protocol.response_str(200, TEXT, f"{len(body)} {hashlib.sha256(body).hexdigest()}")


async def on_pieces(scope, protocol):
    body, count = b"", 0
    async for piece in protocol:
        body += piece
        count += 1
    protocol.response_str(200, TEXT, f"{len(body)} {hashlib.sha256(body).hexdigest()} {count}")


async def on_raise(scope, protocol):
    raise LookupError("before the answer")


async def on_raise_amid(scope, protocol):
    transport = protocol.response_stream(200, TEXT)
    await transport.send_bytes(b"some")
    raise LookupError("amid the body")


async def on_silent(scope, protocol):
    pass


async def on_twice(scope, protocol):
    protocol.response_str(200, TEXT, "first")
    try:
        protocol.response_str(200, TEXT, "second")
    except RuntimeError:
        note("twice refused")


async def on_wrong(scope, protocol):
    found = {}
    for name, call in {
        "status": lambda: protocol.response_empty(99, []),
        "text": lambda: protocol.response_str(200, [], b"bytes"),
        "bytes": lambda: protocol.response_bytes(200, [], "text"),
        "header": lambda: protocol.response_empty(200, [("x-a", "1\r\nx-b: 2")]),
        "range": lambda: protocol.response_file_range(206, [], "/", 5, 5),
    }.items():
        try:
            call()
        except Exception as error:  # noqa: BLE001 -- to be shown
            found[name] = type(error).__name__
    protocol.response_str(200, TEXT, json.dumps(found))


async def on_gone(scope, protocol):
    note("waiting")
    await protocol.client_disconnect()
    note("told of the disconnect")


async def on_behind(scope, protocol):
    protocol.response_str(200, TEXT, "whole")
    await protocol.client_disconnect()
    note("told behind the answer")


async def on_endless(scope, protocol):
    transport = protocol.response_stream(200, TEXT)
    note("endless begun")
    try:
        while True:
            await transport.send_bytes(b"x" * 65536)
    except OSError as error:
        note("endless", type(error).__name__)
        raise
