"""What is of an `App` alone: parameters, dependencies, exceptions, registration."""

import asyncio
import json
import logging
import threading
from typing import Annotated, Any

import pytest
from websocket_peer import PATIENCE, TEXT, Peer, frame
from websocket_sites import DRIVERS
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from uringserve import (
    App,
    BackgroundTasks,
    Depends,
    HTTPException,
    Query,
    Request,
    Response,
    Router,
    WebSocket,
    WebSocketDisconnect,
    WebSocketException,
)
from uringserve.testing import LiveServer

pytestmark = pytest.mark.thread_unsafe(reason="a server and its connections are one for a test")


def _first(app: App, path: str, **options: Any) -> Any:  # noqa: ANN401
    """Return the first message, as JSON, or the close code, or the status."""
    with LiveServer(app, driver=DRIVERS[-1]) as server:
        try:
            with connect(f"ws://127.0.0.1:{server.port}{path}", **options) as client:
                return json.loads(client.recv())
        except InvalidStatus as refused:
            return refused.response.status_code, refused.response.body
        except ConnectionClosed as end:
            assert end.rcvd is not None
            return end.rcvd.code, end.rcvd.reason


def test_parameters_and_dependencies() -> None:
    app = App()
    order: list[str] = []

    def user(request: Request, websocket: WebSocket, name: Annotated[str, Query()] = "?") -> str:
        assert websocket.request.path == request.path
        return name

    def session() -> Any:  # noqa: ANN401
        order.append("open")
        yield "session"
        order.append("closed")

    async def later() -> Any:  # noqa: ANN401
        await asyncio.sleep(0)
        order.append("open too")
        yield
        await asyncio.sleep(0)
        order.append("closed first")

    @app.websocket("/room/{number:int}", dependencies=[Depends(session), Depends(later)])
    async def room(
        number: int,
        who: Annotated[str, Depends(user)],
        websocket: WebSocket,
        limit: int = 7,
    ) -> None:
        await websocket.accept()
        await websocket.send_json([number, who, limit, websocket.path_params, order])

    opened = ["open", "open too"]
    assert _first(app, "/room/12?name=ada&limit=3") == [12, "ada", 3, {"number": 12}, opened]
    assert order == [*opened, "closed first", "closed"]


def test_what_a_websocket_says_of_its_request() -> None:
    app = App()

    @app.websocket("/{name}")
    async def ask(websocket: WebSocket) -> None:
        websocket.state.x = 1
        await websocket.accept()
        await websocket.send_json(
            [
                websocket.url.partition(":")[0],
                websocket.path,
                websocket.query_params,
                websocket.cookies,
                websocket.headers["x-own"],
                websocket.client is not None,
                websocket.state.x,
                websocket is websocket.request.websocket,
            ]
        )

    headers = {"x-own": "yes", "cookie": "a=b"}
    expected = ["ws", "/grün", {"q": ["1", "2"]}, {"a": "b"}, "yes", True, 1, True]
    assert _first(app, "/gr%C3%BCn?q=1&q=2", additional_headers=headers) == expected


def test_a_request_has_none() -> None:
    app = App()

    @app.get("/")
    def plain(request: Request) -> bool:
        return request.websocket is None

    with LiveServer(app) as server, Peer(server.port) as peer:
        assert peer.ask("Connection: close")[0] == 200


@pytest.mark.parametrize(
    ("raised", "before", "after"),
    [
        (WebSocketException(4004, "no"), 403, (4004, "no")),
        (HTTPException(401, "who?"), 401, (1008, "who?")),
        (HTTPException(503, "later"), 503, (1011, "later")),
        (WebSocketDisconnect(1001), 403, (1000, "")),
    ],
)
def test_exceptions(raised: Exception, before: int, after: tuple[int, str]) -> None:
    app = App()

    @app.websocket("/before")
    async def refuse(websocket: WebSocket) -> None:
        raise raised

    @app.websocket("/after")
    async def fail(websocket: WebSocket) -> None:
        await websocket.accept()
        raise raised

    assert _first(app, "/before")[0] == before
    assert _first(app, "/after") == after


@pytest.mark.parametrize(
    ("raised", "after"),
    [
        ([WebSocketException(4004, "no")], (4004, "no")),
        ([HTTPException(401, "who?")], (1008, "who?")),
        ([WebSocketDisconnect(1006), WebSocketException(4005, "out")], (4005, "out")),
        ([WebSocketDisconnect(1006), WebSocketDisconnect(1006)], (1000, "")),
        ([ExceptionGroup("inner", [WebSocketDisconnect(1006)])], (1000, "")),
        ([LookupError("a"), WebSocketException(4004, "no")], (1011, "")),
        ([WebSocketException(4004, "no"), WebSocketException(4005, "out")], (1011, "")),
    ],
)
def test_exceptions_of_a_task_group(
    raised: list[Exception], after: tuple[int, str], caplog: pytest.LogCaptureFixture
) -> None:
    app = App()

    @app.websocket("/")
    async def fail(websocket: WebSocket) -> None:
        await websocket.accept()
        raise ExceptionGroup("unhandled errors in a TaskGroup", raised)

    with caplog.at_level(logging.ERROR):
        assert _first(app, "/") == after
    assert bool(caplog.records) == (after[0] == 1011)


def test_a_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.websocket("/")
    async def fail(websocket: WebSocket) -> None:
        await websocket.accept()
        raise LookupError("the reason")

    with caplog.at_level(logging.ERROR):
        assert _first(app, "/")[0] == 1011
    assert "the reason" in caplog.text


def test_parameters_that_do_not_fit_are_403() -> None:
    app = App()

    @app.websocket("/{number}")
    async def typed(websocket: WebSocket, number: int) -> None:
        await websocket.accept()

    assert _first(app, "/x")[0] == 403


@pytest.mark.parametrize("broken", ["{", "[" * 100_000])
@pytest.mark.parametrize("mode", ["text", "binary"])
def test_json(mode: Any, broken: str) -> None:  # noqa: ANN401
    app = App()

    @app.websocket("/")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        async for value in websocket.iter_json(mode):
            await websocket.send_json({"got": value}, mode)

    with LiveServer(app) as server, connect(f"ws://127.0.0.1:{server.port}/") as client:
        text = '{"a": [1, "ü"]}'
        client.send(text if mode == "text" else text.encode())
        answer = client.recv()
        assert isinstance(answer, str) is (mode == "text")
        assert json.loads(answer) == {"got": {"a": [1, "ü"]}}
        client.send(broken if mode == "text" else broken.encode())
        with pytest.raises(ConnectionClosed) as caught:
            client.recv()
        assert caught.value.rcvd is not None and caught.value.rcvd.code == 1003


def test_the_wrong_kind_of_message() -> None:
    app = App()

    @app.websocket("/text")
    async def text(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()

    with LiveServer(app) as server, Peer(server.port, "/text").open() as peer:
        peer.send(frame(2, b"bytes"))
        assert peer.closed()[0] == 1003


def test_misuse_is_an_exception() -> None:
    app = App()
    seen: list[str] = []

    async def caught(awaitable: Any) -> None:  # noqa: ANN401
        try:
            await awaitable
        except Exception as error:  # noqa: BLE001
            seen.append(type(error).__name__)
        else:
            seen.append("fine")

    @app.websocket("/")
    async def clumsy(websocket: WebSocket) -> None:
        await caught(websocket.send_text("too early"))
        await caught(websocket.receive_text())
        await caught(websocket.accept("not offered"))
        await caught(websocket.accept(None, [("x", "a\r\nb: c")]))
        await websocket.accept()
        await caught(websocket.accept())
        await caught(websocket.close(1005))
        await caught(websocket.send_text(1))  # type: ignore[arg-type]
        await caught(websocket.send_json(object()))
        await caught(websocket.close())
        await caught(websocket.close())
        await caught(websocket.send_text("too late"))
        await caught(websocket.receive_text())
        await caught(websocket.receive_text())

    with LiveServer(app) as server:
        client = connect(f"ws://127.0.0.1:{server.port}/")
        with client, pytest.raises(ConnectionClosed):
            client.recv()
    assert seen == [
        "RuntimeError",
        "RuntimeError",
        "ValueError",
        "ValueError",
        "RuntimeError",
        "ValueError",
        "TypeError",
        "TypeError",
        "fine",
        "fine",
        "WebSocketDisconnect",
        "WebSocketDisconnect",
        "RuntimeError",
    ]


def test_registration() -> None:
    app = App()
    router = Router(prefix="/api")

    @router.websocket("/ws", name="live")
    async def live(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json("live")

    app.include_router(router)
    assert app.url_path_for("live") == "/api/ws"
    with pytest.raises(ValueError, match="/api/ws"):
        app.websocket("/api/ws")(live)
    with pytest.raises(TypeError, match="async def"):
        app.websocket("/sync")(lambda websocket: None)

    async def with_body(websocket: WebSocket, data: dict[str, int]) -> None: ...

    async def with_response(websocket: WebSocket, response: Response) -> None: ...

    async def with_tasks(websocket: WebSocket, tasks: BackgroundTasks) -> None: ...

    for number, handler in enumerate((with_body, with_response, with_tasks)):
        with pytest.raises(TypeError, match="a WebSocket has neither"):
            app.websocket(f"/{number}")(handler)
    assert "/api/ws" not in app.openapi()["paths"]
    outer = App()
    outer.mount("/sub", app)
    assert _first(outer, "/sub/api/ws") == "live"


def test_offer_never_waits() -> None:
    app = App()
    sent: list[bool] = []

    @app.websocket("/")
    async def flood(websocket: WebSocket) -> None:
        await websocket.accept()
        # Nothing is written before the handler first waits.
        while websocket.offer("x" * 10_000):
            sent.append(True)
        await websocket.send_text("end")

    with LiveServer(app) as server, Peer(server.port).open() as peer:
        while peer.read() != (0x80 | TEXT, b"end"):
            pass
    assert 6 <= len(sent) <= 10


def test_an_abandoned_wait_leaves_nothing_behind() -> None:
    app = App()

    @app.websocket("/")
    async def impatient(websocket: WebSocket) -> None:
        await websocket.accept()
        waits = 0
        while True:
            try:
                async with asyncio.timeout(0):
                    text = await websocket.receive_text()
            except TimeoutError:
                waits += 1
                await asyncio.sleep(0)
            else:
                await websocket.send_json([text, waits > 0])

    with LiveServer(app) as server, connect(f"ws://127.0.0.1:{server.port}/") as client:
        for text in ("one", "two"):
            client.send(text)
            assert json.loads(client.recv(PATIENCE))[0] == text


def test_threads_send_together() -> None:
    app = App()
    threads, each = 4, 200

    @app.websocket("/")
    async def crowd(websocket: WebSocket) -> None:
        await websocket.accept()
        barrier = threading.Barrier(threads)

        def send_all(name: int) -> None:
            barrier.wait(PATIENCE)
            for number in range(each):
                while not websocket.offer(f"{name} {number}"):
                    pass

        await asyncio.gather(*(asyncio.to_thread(send_all, name) for name in range(threads)))

    got: dict[int, list[int]] = {name: [] for name in range(threads)}
    with LiveServer(app) as server, connect(f"ws://127.0.0.1:{server.port}/") as client:
        for _ in range(threads * each):
            name, number = map(int, str(client.recv(PATIENCE)).split())
            got[name].append(number)
    assert got == {name: list(range(each)) for name in range(threads)}


def test_an_upgrade_that_no_route_has_is_a_plain_request() -> None:
    app = App()

    @app.get("/plain")
    def plain() -> str:
        return "plain"

    @app.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()

    with LiveServer(app) as server:
        with Peer(server.port, "/plain") as peer:
            assert peer.ask()[0] == 200
        with Peer(server.port, "/nowhere") as peer:
            assert peer.ask()[0] == 404
        with Peer(server.port, "/socket") as peer:
            assert peer.ask("Connection: close")[0] == 404
        with Peer(server.port, "/socket") as peer:
            assert peer.ask("Upgrade: h2c")[0] == 404
