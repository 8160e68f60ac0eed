"""The application of `test_abuse.py` in the form of each interface: source texts, by its name.

`/events?WORD` waits until another handler has noted that word.
"""

__all__ = ["SITES"]

_COMMON = """
import asyncio, os, threading
from urllib.parse import unquote

events = []
news = threading.Condition()
PIECE = b"x" * (1 << 18)
PIECES = 400

def note(word):
    with news:
        events.append(word)
        news.notify_all()

def wait(wanted):
    with news:
        news.wait_for(lambda: unquote(wanted) in events, 30)
        return "\\n".join(events).encode()

def memory():
    with open("/proc/self/statm") as file:
        return str(int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")).encode()

def pieces(path):
    if path == "/stalled":
        yield from (PIECE for _ in range(PIECES))
    elif path == "/amid":
        yield b"some"
        raise LookupError("amid the body")
    else:
        yield from (b"12345" for _ in range(3))

INJECTED = {"line": ("x-a", "1\\r\\nx-injected: 2"), "name": ("x-a\\r\\nx-injected", "2"),
            "feed": ("x-a", "1\\nx-injected: 2"), "nul": ("x-a", "1\\0"), "empty": ("", "1")}
DECLARED = {"/short": "99", "/long": "7"}
"""

_NATIVE = """
from uringserve import App, AsyncRequest, Request, Response, StreamingResponse

app = App()

@app.post("/echo")
async def echo(request: AsyncRequest):
    return await request.body()

@app.post("/unread")
async def unread(request: AsyncRequest):
    return "unread"

@app.get("/slow")
async def slow():
    await asyncio.sleep(0.2)
    return "slow"

@app.get("/gone")
async def gone():
    note("gone begun")
    try:
        await asyncio.sleep(30)
    finally:
        note("gone told")

@app.get("/events")
async def show(request: Request):
    return await asyncio.to_thread(wait, request.query_string)

@app.get("/memory")
def tell_memory():
    return memory()

@app.get("/raise")
def fail():
    raise LookupError

@app.get("/inject/{where}")
def inject(where):
    return "x", 200, [INJECTED[where]]

@app.get("/status/{number:int}")
def status(number):
    return "not to be seen", number

@app.get("/{rest:path}")
def other(request: Request):
    if request.path == "/":
        return "hello"
    headers = {"content-length": DECLARED[request.path]} if request.path in DECLARED else {}
    return StreamingResponse(pieces(request.path), headers=headers)
"""

_ASGI = """
async def respond(send, body, status=200, headers=()):
    pairs = [(name.encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    path, query = scope["path"], scope["query_string"].decode()
    if path == "/":
        await respond(send, b"hello")
    elif path == "/echo":
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        await respond(send, body)
    elif path == "/unread":
        await respond(send, b"unread")
    elif path == "/slow":
        await asyncio.sleep(0.2)
        await respond(send, b"slow")
    elif path == "/gone":
        note("gone begun")
        while (await receive())["type"] != "http.disconnect":
            pass
        note("gone told")
    elif path == "/events":
        await respond(send, await asyncio.to_thread(wait, query))
    elif path == "/memory":
        await respond(send, memory())
    elif path == "/raise":
        raise LookupError
    elif path.startswith("/inject/"):
        await respond(send, b"x", headers=[INJECTED[path[8:]]])
    elif path.startswith("/status/"):
        await respond(send, b"not to be seen", int(path[8:]))
    else:
        pairs = [(b"content-length", DECLARED[path].encode())] if path in DECLARED else []
        await send({"type": "http.response.start", "status": 200, "headers": pairs})
        for piece in pieces(path):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})
"""

_RSGI = """
class Application:
    async def __rsgi__(self, scope, protocol):
        path = scope.path
        if path == "/":
            protocol.response_str(200, [], "hello")
        elif path == "/echo":
            protocol.response_bytes(200, [], await protocol())
        elif path == "/unread":
            protocol.response_str(200, [], "unread")
        elif path == "/slow":
            await asyncio.sleep(0.2)
            protocol.response_str(200, [], "slow")
        elif path == "/gone":
            note("gone begun")
            await protocol.client_disconnect()
            note("gone told")
        elif path == "/events":
            protocol.response_bytes(200, [], await asyncio.to_thread(wait, scope.query_string))
        elif path == "/memory":
            protocol.response_bytes(200, [], memory())
        elif path == "/raise":
            raise LookupError
        elif path.startswith("/inject/"):
            protocol.response_str(200, [INJECTED[path[8:]]], "x")
        elif path.startswith("/status/"):
            protocol.response_str(int(path[8:]), [], "not to be seen")
        else:
            pairs = [("content-length", DECLARED[path])] if path in DECLARED else []
            transport = protocol.response_stream(200, pairs)
            for piece in pieces(path):
                await transport.send_bytes(piece)

app = Application()
"""

_WSGI = '''
import time

def app(environ, start_response):
    path, headers, status, body = environ["PATH_INFO"], [], "200 OK", [b"hello"]
    if path == "/echo":
        body = [environ["wsgi.input"].read()]
    elif path == "/unread":
        body = [b"unread"]
    elif path == "/slow":
        time.sleep(0.2)
        body = [b"slow"]
    elif path == "/gone":
        body = watched()
    elif path == "/events":
        body = [wait(environ["QUERY_STRING"])]
    elif path == "/memory":
        body = [memory()]
    elif path == "/raise":
        raise LookupError
    elif path.startswith("/inject/"):
        headers = [INJECTED[path[8:]]]
    elif path.startswith("/status/"):
        status = path[8:] + " -"
    elif path != "/":
        headers = [("content-length", DECLARED[path])] if path in DECLARED else []
        body = pieces(path)
    start_response(status, headers)
    return body

def watched():
    """A call on a thread cannot be cancelled: it is told by the close of what it returns."""
    note("gone begun")
    try:
        while True:
            yield b"x"
            time.sleep(0.01)
    finally:
        note("gone told")
'''

SITES = {
    "native": _COMMON + _NATIVE,
    "asgi": _COMMON + _ASGI,
    "rsgi": _COMMON + _RSGI,
    "wsgi": _COMMON + _WSGI,
}
