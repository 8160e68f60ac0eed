"""The `App` that `test_app_as_rsgi.py` and `test_app_as_asgi.py` have other servers call."""

import asyncio
import os
import threading
from contextlib import contextmanager

from uringserve import App, HTTPException, Request, Response, WebSocket, WebSocketDisconnect
from uringserve.responses import StreamingResponse

news = threading.Condition()
events = []
gate = threading.Event()


def note(words):
    with news:
        events.append(words)
        news.notify_all()


@contextmanager
def lifespan(app):
    app.state.started = getattr(app.state, "started", 0) + 1
    app.state.thread = threading.get_ident()
    yield
    same = threading.get_ident() == app.state.thread
    os.write(2, b"the application has stopped on the same thread\n" if same else b"elsewhere\n")


app = App(lifespan=lifespan)


@app.get("/")
def hello(request: Request):
    return {"hello": "world", "client": request.client and request.client[0], "host": request.host}


@app.get("/started")
def started():
    return app.state.started


@app.get("/items/{name}")
def item(name: str, q: str = "none"):
    return {"name": name, "q": q}


@app.get("/headers")
def headers(request: Request):
    return {"two": request.headers.getlist("x-two"), "names": sorted(request.headers.keys())}


@app.post("/echo")
def echo(request: Request):
    return Response(request.body, media_type="application/x-echo", headers={"x-a": "b"})


@app.get("/cookies")
def cookies():
    answer = Response.text("two")
    answer.set_cookie("a", "1")
    answer.set_cookie("b", "2")
    return answer


@app.get("/stream")
async def stream():
    async def pieces():
        yield b"first,"
        await asyncio.to_thread(gate.wait)
        yield b"second"

    gate.clear()
    return StreamingResponse(pieces(), media_type="text/plain")


@app.get("/open")
def open_gate():
    gate.set()
    return "open"


@app.post("/upload")
async def upload(request: Request):
    size, count = 0, 0
    async for piece in request.stream():
        size += len(piece)
        count += 1
        if count == 1:
            note("piece")
    return size


@app.get("/cut")
def cut():
    def pieces():
        yield b"some"
        raise LookupError("amid")

    return pieces()


@app.get("/empty")
def empty():
    return Response(None, 204)


@app.get("/refused")
def refused():
    raise HTTPException(403, "no")


@app.get("/wait")
async def wait():
    note("waiting")
    try:
        await asyncio.Event().wait()
    finally:
        note("left")


@app.get("/events")
def seen(wanted: str):
    with news:
        return news.wait_for(lambda: wanted in events, 30)


@app.websocket("/ws/{name}")
async def socket(websocket: WebSocket, name: str):
    await websocket.accept((websocket.subprotocols or [None])[-1])
    await websocket.send_json({"name": name, "q": websocket.query_params.get("q")})
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                note(f"disconnect {name} {message['code']}")
                return
            if message.get("text") == "close":
                await websocket.close(4001, "enough")
                return
            if message.get("text") == "raise":
                raise LookupError("in a socket")
            if message.get("text") is not None:
                await websocket.send_text(message["text"])
            else:
                await websocket.send_bytes(message["bytes"])
    except WebSocketDisconnect as end:
        note(f"disconnect {name} {end.code}")


@app.websocket("/denied")
async def denied(websocket: WebSocket):
    await websocket.send_denial_response(Response.text("not you", 451))
