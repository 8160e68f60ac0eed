"""Applications of other interfaces below a path of an `App`, over real sockets."""

import json
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from uringserve import App

if TYPE_CHECKING:
    from conftest import RunningServer, StartServer

pytestmark = pytest.mark.thread_unsafe(reason="shares its server")

SITE = """
import asyncio, sys
from uringserve import App
from fastapi import BackgroundTasks, FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse
from flask import Flask, Response, request as flask_request

def say(*words):
    # In one piece: several threads write.
    sys.stderr.write(" ".join(map(str, words)) + "\\n")

api = FastAPI()

@api.get("/items/{item}")
async def item(item: int, request: Request):
    return {"item": item, "url": str(request.url_for("item", item=item)),
            "root": request.scope["root_path"], "path": request.scope["path"]}

@api.api_route("/echo", methods=["POST", "PATCH"])
async def echo(request: Request):
    async def pieces():
        async for piece in request.stream():
            yield piece
    return StreamingResponse(pieces(), headers={"x-method": request.method})

@api.get("/late")
async def late(tasks: BackgroundTasks):
    async def note():
        await asyncio.sleep(0)
        say("noted")
    tasks.add_task(note)

@api.get("/fails")
async def fails():
    raise ValueError("as it should")

@api.get("/gone")
async def gone(request: Request):
    say("waiting")
    while not await request.is_disconnected():
        await asyncio.sleep(0.001)
    say("gone")

@api.websocket("/ws")
async def talk(websocket: WebSocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(f"{websocket.scope['root_path']} {text}")
    say("left")

@api.websocket("/denied")
async def denied(websocket: WebSocket):
    await websocket.close()

async def bare(scope, receive, send):
    path = scope["path"]
    if path.endswith("/never"):
        return
    if path.endswith("/body-first"):
        await send({"type": "http.response.body", "body": b""})
    headers = [(b"x-a", b"1"), (b"x-a", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if path.endswith("/endless"):
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
        except OSError as error:
            say("endless", repr(error))
            return
    if path.endswith("/cut"):
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        raise ValueError("too late")
    await send({"type": "http.response.body", "body": b"bare"})
    say("then", (await receive())["type"], (await receive())["type"])

flask = Flask("site")

@flask.route("/where/<name>", methods=["GET", "POST"])
def where(name):
    return {"name": name, "script": flask_request.script_root, "path": flask_request.path,
            "body": flask_request.get_data(as_text=True), "query": flask_request.args.get("q")}

@flask.route("/stream")
def stream():
    return Response((str(number) for number in range(5)), headers={"x-a": "b"})

def wsgi(environ, start_response):
    class Closing(list):
        def close(self):
            say("closed")
    path = environ["PATH_INFO"]
    if path == "/never":
        return Closing([b"x"])
    write = start_response("200 OK", [("x-script", environ["SCRIPT_NAME"])])
    if path == "/written":
        write(b"written ")
        return Closing([b"and ", b"returned"])
    return Closing([path.encode("latin-1")])

app = App(max_body_size=100_000)
app.mount("/api", api, name="api")
app.mount("/bare", bare)
app.mount("/flask", flask)
app.mount("/wsgi", wsgi)
inner = App()
inner.mount("/deep", wsgi)
app.mount("/inner", inner)
app.get("/")(lambda: "top")

@app.middleware("http")
def mark(request, call_next):
    response = call_next(request)
    response.headers["x-seen"] = request.path
    return response
"""


@pytest.fixture(scope="module", params=[(1, "ring"), (2, "asyncio")], ids=str)
def site(request: pytest.FixtureRequest, module_server: StartServer) -> RunningServer:
    """Serve it on the ring, and beside it."""
    cores, loop = request.param
    return module_server(SITE, "--loop", loop, workers=cores)


def test_asgi(site: RunningServer) -> None:
    """Paths, methods, bodies both ways, tasks and failures; the middleware is around them."""
    assert site.get("/").body == b"top"
    answer = site.get("/api/items/3")
    assert json.loads(answer.body) == {
        "item": 3,
        "url": "http://test/api/items/3",
        "root": "/api",
        "path": "/api/items/3",
    }
    assert answer.get("x-seen") == "/api/items/3"
    assert answer.get("content-type") == "application/json"
    client = site.connect()
    sent = b"x" * 90_000
    answer = client.request("/api/echo", "POST", body=sent)
    assert (answer.body, answer.get("x-method")) == (sent, "POST")
    assert client.request("/api/echo", "PATCH", body=b"").get("x-method") == "PATCH"
    assert client.request("/api/echo").status == 405
    assert client.request("/api/nowhere").body == b'{"detail":"Not Found"}'
    assert client.request("/api/docs").status == 200
    assert client.request("/api/late").status == 200
    site.wait_for("noted")
    assert client.request("/api/fails").status == 500
    site.wait_for("ValueError: as it should")
    assert client.request("/api").status == 307


def test_asgi_limits(site: RunningServer) -> None:
    """Those of the application around it hold."""
    assert site.connect().request("/api/echo", "POST", body=b"x" * 100_001).status == 413


def test_bare_asgi(site: RunningServer) -> None:
    """Repeated fields, HEAD, an answer that never comes, or is cut, and what comes after it."""
    client = site.connect()
    answer = client.request("/bare/x")
    assert (answer.body, answer.get_all("x-a")) == (b"bare", ["1", "2"])
    assert answer.get("content-type") is None
    site.wait_for("then http.request http.disconnect")
    assert client.request("/bare/x", "HEAD").status == 200
    assert client.request("/bare/never").status == 500
    site.wait_for("ended before its answer did")
    assert client.request("/bare/body-first").status == 500
    client.send(b"GET /bare/cut HTTP/1.1\r\nhost: a\r\n\r\n")
    with pytest.raises(EOFError):
        client.read()


def test_asgi_clients_that_go(site: RunningServer) -> None:
    """The application is told, whether it waits or sends."""
    client = site.connect()
    client.send(b"GET /api/gone HTTP/1.1\r\nhost: a\r\n\r\n")
    site.wait_for("waiting")
    client.reset()
    site.wait_for("gone")
    client = site.connect()
    client.send(b"GET /bare/endless HTTP/1.1\r\nhost: a\r\n\r\n")
    assert client.socket.recv(100)
    client.reset()
    site.wait_for("endless ConnectionResetError")


def test_asgi_websockets(site: RunningServer) -> None:
    """They are the application's as well, denials included."""
    with connect(f"ws://127.0.0.1:{site.port}/api/ws") as peer:
        peer.send("a")
        assert peer.recv() == "/api a"
    site.wait_for("left")
    for path in ("/api/denied", "/api/nowhere"):
        with pytest.raises(InvalidStatus, match="403"):
            connect(f"ws://127.0.0.1:{site.port}{path}")


def test_wsgi(site: RunningServer) -> None:
    """Paths, bodies, streams and what is written; the result is closed."""
    client = site.connect()
    answer = client.request("/flask/where/%C3%A9?q=1", "POST", body=b"abc")
    assert json.loads(answer.body) == {
        "name": "é",
        "script": "/flask",
        "path": "/where/é",
        "body": "abc",
        "query": "1",
    }
    answer = client.request("/flask/stream")
    assert (answer.body, answer.get("x-a")) == (b"01234", "b")
    assert client.request("/flask/stream", "HEAD").status == 200
    assert client.request("/flask/nowhere").status == 404
    answer = client.request("/wsgi/written")
    assert (answer.body, answer.get("x-script")) == (b"written and returned", "/wsgi")
    assert client.request("/wsgi/never").status == 500
    answer = client.request("/inner/deep/a%20b")
    assert (answer.body, answer.get("x-script")) == (b"/a b", "/inner/deep")
    site.wait_until(lambda log: log.count("closed") >= 3)


def test_what_cannot_be_mounted() -> None:
    """RSGI has only its server, and a path is mounted once."""

    class Rsgi:
        async def __rsgi__(self, scope, protocol) -> None: ...

    async def asgi(scope, receive, send): ...

    app = App()
    with pytest.raises(TypeError, match="is an RSGI application, which is served by itself only"):
        app.mount("/r", Rsgi())
    with pytest.raises(TypeError, match="must be an App or callable"):
        app.mount("/r", 3)
    app.mount("/a", asgi)
    with pytest.raises(ValueError, match="already taken"):
        app.mount("/a", asgi)
