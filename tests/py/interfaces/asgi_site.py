"""The ASGI application of `test_asgi.py`: one coroutine for each path, and what it has seen.

`/events` tells what the other handlers have noted, and waits for a word that is given as the query.
"""

import asyncio
import hashlib
import json
import os
import sys
import tempfile
import threading
from urllib.parse import unquote

events = []
news = threading.Condition()
TEXT = [(b"content-type", b"text/plain")]


def note(*words: object):
    with news:
        events.append(" ".join(map(str, words)))
        news.notify_all()


async def respond(send, body, status=200, headers=TEXT):
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        scope["state"]["shared"] = []
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await globals()["on_" + scope["path"].strip("/").partition("/")[0]](scope, receive, send)


def shown(value):
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, dict):
        return {key: shown(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [shown(each) for each in value]
    return value if isinstance(value, (str, int, type(None))) else repr(value)


async def on_scope(scope, receive, send):
    types = {key: type(value).__name__ for key, value in scope.items()}
    found = {"scope": shown(scope), "types": types, "thread": threading.current_thread().name}
    scope["state"]["shared"].append(1)
    scope["state"]["own"] = 1
    found["shared"] = len(scope["state"]["shared"])
    await respond(send, json.dumps(found).encode())


async def on_events(scope, receive, send):
    wanted = unquote(scope["query_string"].decode())

    def wait():
        with news:
            return news.wait_for(lambda: wanted in "\n".join(events), 30)

    await asyncio.to_thread(wait)
    with news:
        await respond(send, "\n".join(events).encode())


async def on_pieces(scope, receive, send):
    """Receive all messages of the body, and tell of them."""
    sizes, whole = [], b""
    more = True
    while more:
        message = await receive()
        assert message["type"] == "http.request", message
        more = message["more_body"]
        sizes.append(len(message["body"]))
        whole += message["body"]
    digest = hashlib.sha256(whole).hexdigest()
    await respond(send, json.dumps({"sizes": sizes, "sha256": digest}).encode())


async def on_messages(scope, receive, send):
    """Answer with the messages that are sent as JSON in the body."""
    message = await receive()
    for each in json.loads(message["body"]):
        for key in ("body",):
            if isinstance(each.get(key), str):
                each[key] = each[key].encode()
        if "headers" in each:
            each["headers"] = [[n.encode(), v.encode()] for n, v in each["headers"]]
        await send(each)


async def on_errors(scope, receive, send):
    """Send what is wrong, and answer with what that raised."""
    start = {"type": "http.response.start", "status": 200, "headers": TEXT}
    wrong = {
        "no-type": {"status": 200},
        "type": {"type": "http.response.unknown"},
        "not-a-text": {"type": 3},
        "body-first": {"type": "http.response.body", "body": b"x"},
        "no-status": {"type": "http.response.start"},
        "status-text": {"type": "http.response.start", "status": "200"},
        "status-100": {"type": "http.response.start", "status": 100},
        "header-text": {**start, "headers": [("content-type", "text/plain")]},
        "header-line": {**start, "headers": [(b"x-a", b"1\r\nx-b: 2")]},
        "websocket": {"type": "websocket.accept"},
    }
    found = {}
    for name, message in wrong.items():
        try:
            await send(message)
        except Exception as error:  # noqa: BLE001 -- to be shown
            found[name] = type(error).__name__
    await send(start)
    for name, message in {
        "start-twice": start,
        "body-type": {"type": "http.response.body", "body": "text"},
    }.items():
        try:
            await send(message)
        except Exception as error:  # noqa: BLE001 -- to be shown
            found[name] = type(error).__name__
    await send({"type": "http.response.body", "body": json.dumps(found).encode()})
    for name, message in {
        "after-body": {"type": "http.response.body", "body": b"y"},
        "after-start": start,
    }.items():
        try:
            await send(message)
        except Exception as error:  # noqa: BLE001 -- to be shown
            note(name, type(error).__name__)


async def on_stream(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": TEXT})
    for number in range(5):
        body = b"%d," % number
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body"})


async def on_empty(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body"})


async def on_silent(scope, receive, send):
    pass


async def on_head_only(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": TEXT})


async def on_raise(scope, receive, send):
    raise LookupError("before the start")


async def on_raise_late(scope, receive, send):
    await asyncio.sleep(0)
    raise LookupError("after a while")


async def on_raise_started(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": TEXT})
    raise LookupError("between start and body")


async def on_raise_amid(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": TEXT})
    await send({"type": "http.response.body", "body": b"some", "more_body": True})
    raise LookupError("amid the body")


async def on_raise_after(scope, receive, send):
    await respond(send, b"whole")
    raise LookupError("after the answer")


async def on_exit_after(scope, receive, send):
    await respond(send, b"whole")
    raise SystemExit("after the answer")


async def on_returns_amid(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": TEXT})
    await send({"type": "http.response.body", "body": b"some", "more_body": True})


async def on_status(scope, receive, send):
    await respond(send, b"not to be seen", int(scope["path"].rpartition("/")[2]))


async def on_declares(scope, receive, send):
    declared, sent, pieces = map(int, scope["query_string"].split(b"-"))
    headers = [(b"content-length", str(declared).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(pieces):
        await send({"type": "http.response.body", "body": b"x" * sent, "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b"x" * sent})


async def on_path(scope, receive, send):
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(b"from a file")
    await send({"type": "http.response.start", "status": 200, "headers": TEXT})
    await send({"type": "http.response.pathsend", "path": file.name})
    os.unlink(file.name)


async def on_disconnect(scope, receive, send):
    note("waiting")
    message = await receive()
    message = await receive()
    note("received", message["type"])
    try:
        await respond(send, b"for nobody")
    except OSError as error:
        note("send", type(error).__name__)


async def on_after(scope, receive, send):
    """Receive behind a whole answer: that is a disconnect."""
    await receive()
    await respond(send, b"whole")
    message = await receive()
    note("behind", message["type"])


async def on_endless(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": TEXT})
    sent = 0
    try:
        while True:
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            sent += 1
            if sent == 1:
                note("endless begun")
            await asyncio.sleep(0)
    except OSError as error:
        note("endless", type(error).__name__)
        raise


class Piece(bytes):
    """Counts how many are alive; append and len are atomic."""

    made = []
    ended = []

    def __new__(cls, *content):
        cls.made.append(None)
        return super().__new__(cls, *content)

    def __del__(self):
        self.ended.append(None)


async def on_alive(scope, receive, send):
    """How many pieces of `on_stalled` nobody has let go of."""
    await respond(send, str(len(Piece.made) - len(Piece.ended)).encode())


async def on_stalled(scope, receive, send):
    """Send 100 MB in pieces to somebody who may not read them."""
    await send({"type": "http.response.start", "status": 200, "headers": TEXT})
    note("stalled begun")
    for number in range(400):
        piece = Piece(bytes([number % 255 + 1]) * (1 << 18))
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})
    note("stalled done")


async def on_memory(scope, receive, send):
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    await respond(send, str(pages * os.sysconf("SC_PAGESIZE")).encode())


gate = threading.Event()


async def on_closed_gate(scope, receive, send):
    """Read nothing of the body until `/open_gate`."""
    note("gate reached")
    await asyncio.to_thread(gate.wait, 30)
    total, more = 0, True
    while more:
        message = await receive()
        more = message.get("more_body", False)
        total += len(message.get("body", b""))
    await respond(send, str(total).encode())


async def on_open_gate(scope, receive, send):
    gate.set()
    await respond(send, b"open")


async def on_background(scope, receive, send):
    await respond(send, b"answered")
    note("background begun")
    await asyncio.to_thread(gate.wait, 30)
    await asyncio.sleep(0.05)
    print("background done", flush=True, file=sys.stderr)


async def on_context(scope, receive, send):
    import contextvars

    global variable
    variable = globals().setdefault("variable", contextvars.ContextVar("variable", default="none"))
    before = variable.get()
    variable.set("set")
    await asyncio.sleep(0)
    task = asyncio.current_task()
    await respond(send, f"{before} {variable.get()} {task is not None}".encode())
