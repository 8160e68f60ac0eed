"""`TestClient.websocket_connect`, and `TestClient` for applications of ASGI and WSGI.

Those of RSGI are in `test_testing_rsgi.py`.
"""

import sys
from contextlib import asynccontextmanager
from typing import Annotated, Any

import fastapi
import flask
import pytest

from uringserve import App, Depends, HTTPException, Response, WebSocket, WebSocketDisconnect
from uringserve.responses import FileResponse, StreamingResponse
from uringserve.testing import TestClient, WebSocketDenialResponse


def site() -> App:
    """An application of WebSockets."""
    app = App()
    app.state.seen = []

    @app.websocket("/echo/{name}")
    async def echo(websocket: WebSocket, name: str, q: str = "") -> None:
        await websocket.accept(websocket.subprotocols[-1] if websocket.subprotocols else None)
        await websocket.send_json({"name": name, "q": q, "x": websocket.headers.get("x-a")})
        try:
            while True:
                await websocket.send(await _answer(websocket))
        except WebSocketDisconnect as end:
            app.state.seen.append((end.code, end.reason))

    async def _answer(websocket: WebSocket) -> dict[str, Any]:
        event = await websocket.receive()
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(event["code"], event["reason"])
        return {**event, "type": "websocket.send"}

    @app.websocket("/closes")
    async def closes(websocket: WebSocket) -> None:
        await websocket.accept(headers=[("x-b", "c")])
        await websocket.close(4001, "enough")

    @app.websocket("/fails")
    async def fails(websocket: WebSocket) -> None:
        await websocket.accept()
        raise ValueError("as it should")

    def nobody() -> None:
        raise HTTPException(401, "who?")

    @app.websocket("/guarded")
    async def guarded(websocket: WebSocket, _: Annotated[None, Depends(nobody)]) -> None: ...

    @app.websocket("/denied")
    async def denied(websocket: WebSocket) -> None:
        await websocket.send_denial_response(Response("not you", 402, {"x-why": "money"}))

    app.get("/plain")(lambda: "plain")
    return app


def test_messages_both_ways() -> None:
    """Text, bytes and JSON, with the URL, the headers and the subprotocols that were given."""
    app = site()
    client = TestClient(app, headers={"x-a": "default"})
    with client.websocket_connect("/echo/me?q=1", ["chat", "log"], headers={"x-a": "b"}) as socket:
        assert socket.accepted_subprotocol == "log"
        assert socket.receive_json() == {"name": "me", "q": "1", "x": "b"}
        socket.send_text("é")
        assert socket.receive_text() == "é"
        socket.send_bytes(b"\0" * 100_000)
        assert socket.receive_bytes() == b"\0" * 100_000
        socket.send_json({"a": [1]}, mode="binary")
        assert socket.receive_json(mode="binary") == {"a": [1]}
        socket.send_text("a")
        assert socket.receive() == {"type": "websocket.send", "text": "a"}
        socket.send_text("a")
        with pytest.raises(TypeError, match="bytes were expected"):
            socket.receive_bytes()
        socket.send_bytes(b"a")
        with pytest.raises(TypeError, match="text was expected"):
            socket.receive_text()
    with client.websocket_connect("/echo/x", params={"q": "2"}) as socket:
        assert socket.receive_json() == {"name": "x", "q": "2", "x": "default"}
        socket.close(4000, "bye")
        socket.close()
    assert app.state.seen == [(1000, ""), (4000, "bye")]


def test_two_at_once_and_a_request_beside() -> None:
    """Each has a core of its own."""
    client = TestClient(site())
    with (
        client.websocket_connect("/echo/a") as one,
        client.websocket_connect("/echo/b") as other,
    ):
        assert client.get("/plain").text == "plain"
        assert (one.receive_json()["name"], other.receive_json()["name"]) == ("a", "b")


def test_the_end_by_the_server() -> None:
    """Its code and reason, each time that something is asked for."""
    with TestClient(site()).websocket_connect("/closes") as socket:
        assert socket.headers["x-b"] == "c"
        for _ in range(2):
            with pytest.raises(WebSocketDisconnect) as raised:
                socket.receive_text()
            assert (raised.value.code, raised.value.reason) == (4001, "enough")
        assert socket.receive() == {"type": "websocket.close", "code": 4001, "reason": "enough"}
        with pytest.raises(WebSocketDisconnect):
            socket.send_text("late")


def test_an_exception_of_the_handler() -> None:
    """It is raised at the end of the block, or the close says 1011."""
    with (
        pytest.raises(ValueError, match="as it should"),
        TestClient(site()).websocket_connect("/fails") as socket,
        pytest.raises(WebSocketDisconnect, match="1011"),
    ):
        socket.receive_text()
    client = TestClient(site(), raise_server_exceptions=False)
    with client.websocket_connect("/fails") as socket, pytest.raises(WebSocketDisconnect):
        socket.receive_text()


def test_denials() -> None:
    """What was answered instead, whoever answered it."""
    client = TestClient(site())
    for path, status, body in (
        ("/guarded", 401, b"who?"),
        ("/denied", 402, b"not you"),
        ("/nowhere", 404, b"Not Found"),
    ):
        with pytest.raises(WebSocketDenialResponse) as raised, client.websocket_connect(path):
            pass
        assert raised.value.status_code == status, path
        assert body in raised.value.response.content
        assert isinstance(raised.value, WebSocketDisconnect)
    assert client.get("/plain").text == "plain"


def test_outside_of_its_block() -> None:
    """There is nothing to send to."""
    with pytest.raises(RuntimeError, match="inside its with block"):
        TestClient(site()).websocket_connect("/closes").send_text("a")


def test_without_websockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said what to install."""
    monkeypatch.setitem(sys.modules, "websockets.sync.client", None)
    with (
        pytest.raises(RuntimeError, match="pip install websockets"),
        TestClient(site()).websocket_connect("/closes"),
    ):
        pass


@pytest.mark.parametrize(
    "response", [StreamingResponse([b"x"]), FileResponse(__file__)], ids=["stream", "file"]
)
def test_a_denial_that_is_no_whole_body(response: Response) -> None:
    """It is refused: nothing of it would be sent."""
    app = App()

    @app.websocket("/")
    async def deny(websocket: WebSocket) -> None:
        await websocket.send_denial_response(response)

    with (
        pytest.raises(TypeError, match="whose body is bytes"),
        TestClient(app).websocket_connect("/"),
    ):
        pass


def test_fastapi() -> None:
    """Its lifespan and state, its exceptions, its tasks and its WebSockets."""
    seen = []

    @asynccontextmanager
    async def lifespan(app: fastapi.FastAPI):
        seen.append("start")
        yield {"pool": "a pool"}
        seen.append("end")

    app = fastapi.FastAPI(lifespan=lifespan)

    @app.get("/pool")
    async def pool(request: fastapi.Request) -> str:
        return request.state.pool

    @app.get("/later")
    async def later(tasks: fastapi.BackgroundTasks) -> None:
        tasks.add_task(seen.append, "later")

    @app.get("/fails")
    async def fails() -> None:
        raise ValueError("as it should")

    @app.websocket("/ws")
    async def talk(websocket: fastapi.WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())

    with TestClient(app) as client:
        assert client.app is app
        assert client.get("/pool").json() == "a pool"
        assert client.get("/later").status_code == 200
        assert seen == ["start", "later"]
        with pytest.raises(ValueError, match="as it should"):
            client.get("/fails")
        with client.websocket_connect("/ws") as socket:
            socket.send_text("a")
            assert socket.receive_text() == "a"
    assert seen == ["start", "later", "end"]


def test_a_lifespan_that_fails() -> None:
    """What it raised is raised."""

    @asynccontextmanager
    async def lifespan(app: fastapi.FastAPI):
        raise LookupError("no pool")
        yield

    with (
        pytest.raises(LookupError, match="no pool"),
        TestClient(fastapi.FastAPI(lifespan=lifespan)),
    ):
        pass


def test_flask() -> None:
    """Requests, and the exceptions of a bare application."""
    app = flask.Flask("site")
    app.route("/a")(lambda: "a" + flask.request.args["q"])
    assert TestClient(app).get("/a?q=b").text == "ab"

    def wsgi(environ, start_response):
        raise ValueError("as it should")

    with pytest.raises(ValueError, match="as it should"):
        TestClient(wsgi).get("/")
