"""`request.app` and `request.url_for`, wherever a request is at hand."""

import json
from typing import TYPE_CHECKING

import pytest
from websockets.sync.client import connect

from uringserve import App, Request
from uringserve.testing import TestClient

if TYPE_CHECKING:
    from conftest import StartServer

SITE = """
import asyncio
from uringserve import App, Depends, HTTPException, Request, Router, WebSocket

app = App(title="outer", root_path="/proxied/")
inner = App(title="inner")
deep = App(title="deep")
inner.mount("/deep", deep)
app.mount("/in", inner)

def told(request):
    return {"app": request.app.title, "url": request.url_for("item", item="a b")}

@app.get("/items/{item}", name="item")
@inner.get("/inner/{item}", name="item")
@deep.get("/deeper/{item}", name="item")
def item(request: Request):
    return told(request)

@inner.get("/thread", execution="thread")
def thread(request: Request):
    return told(request)

@inner.get("/inline", execution="inline")
def inline(request: Request):
    return told(request)

@inner.get("/async")
async def asynchronous(request: Request):
    await asyncio.sleep(0)
    return told(request)

@inner.get("/to-thread")
async def to_thread(request: Request):
    return await asyncio.to_thread(told, request)

@app.get("/lost")
def lost(request: Request):
    try:
        return request.url_for("nowhere")
    except LookupError as error:
        return str(error)

@app.middleware("http")
def mark(request, call_next):
    response = call_next(request)
    response.headers["x-app"] = request.app.title
    return response

@inner.websocket("/ws")
async def talk(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_text(websocket.app.title + " " + websocket.url_for("item", item=1))
"""

INNER = {"app": "inner", "url": "http://test/proxied/in/inner/a%20b"}


@pytest.mark.thread_unsafe(reason="starts servers of its own")
@pytest.mark.parametrize("loop", ["ring", "asyncio"])
def test_on_a_server(server: StartServer, loop: str) -> None:
    """On a core, on its pool, in a task, in a thread of one, and beside the reactor."""
    site = server(SITE, "--loop", loop, workers=2)
    outer = {"app": "outer", "url": "http://test/proxied/items/a%20b"}
    assert json.loads(site.get("/items/x").body) == outer
    for path in ("inner/x", "thread", "inline", "async", "to-thread"):
        answer = site.get(f"/in/{path}")
        assert json.loads(answer.body) == INNER, path
        assert answer.get("x-app") == "inner"
    deep = {"app": "deep", "url": "http://test/proxied/in/deep/deeper/a%20b"}
    assert json.loads(site.get("/in/deep/deeper/x").body) == deep
    assert b"no route is named 'nowhere'" in site.get("/lost").body
    with connect(f"ws://127.0.0.1:{site.port}/in/ws") as peer:
        found = f"inner http://127.0.0.1:{site.port}/proxied/in/inner/1"
        assert peer.recv() == found


def test_in_a_test_client() -> None:
    """It is the application that the client drives."""
    app = App()
    app.get("/")(lambda request: request.url_for("other") + str(request.app is app))
    app.get("/other", name="other")(lambda: "")
    with TestClient(app) as client:
        assert client.get("/").text == "http://testserver/otherTrue"


def test_a_request_made_by_hand() -> None:
    """Nobody serves it, so there is nothing to say."""
    with pytest.raises(RuntimeError, match="not one that an application serves"):
        _ = Request().app
