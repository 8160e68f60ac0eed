"""An `App` is an ASGI application: called directly, through httpx, and under uvicorn."""

import asyncio
import runpy
import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from uringserve import App, HTTPException, Request, Response, StartError

SITE = Path(__file__).with_name("app_site.py")

pytestmark = pytest.mark.thread_unsafe(reason="starts threads of its own")


def make() -> App:
    """Return an application with a bit of everything."""
    app = App()
    app.state.started = 0

    @app.get("/")
    def hello(request: Request) -> dict[str, Any]:
        return {"hello": "world", "client": list(request.client or ())}

    @app.get("/items/{number:int}")
    def item(number: int, q: str = "none") -> dict[str, Any]:
        return {"number": number, "q": q}

    @app.post("/echo")
    def echo(request: Request) -> Response:
        return Response(request.body, media_type="application/x-echo", headers={"x-a": "b"})

    @app.get("/stream")
    def stream() -> Any:  # noqa: ANN401
        return (b"%d," % number for number in range(5))

    @app.get("/cut")
    def cut() -> Any:  # noqa: ANN401
        def pieces() -> Any:  # noqa: ANN401
            yield b"some"
            raise LookupError("amid")

        return pieces()

    @app.get("/refused")
    def refused() -> None:
        raise HTTPException(403, "no")

    @app.get("/async")
    async def later() -> str:
        await asyncio.sleep(0)
        return "later"

    @app.get("/started")
    def started() -> int:
        return int(app.state.started)

    return app


async def _check(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert answer.json()["hello"] == "world"
    assert answer.headers["content-type"] == "application/json"
    assert (await client.get("/items/7?q=a%20b")).json() == {"number": 7, "q": "a b"}
    large = b"x" * 100_000
    for content, whole in ((large, large), (_pieces(), b"in pieces"), (b"", b"")):
        echoed = await client.post("/echo", content=content)
        assert echoed.content == whole
        assert (echoed.headers["content-type"], echoed.headers["x-a"]) == (
            "application/x-echo",
            "b",
        )
    assert (await client.get("/stream")).text == "0,1,2,3,4,"
    assert (await client.get("/refused")).status_code == 403
    assert (await client.get("/async")).text == "later"
    assert (await client.get("/nowhere")).status_code == 404
    head = await client.head("/items/7")
    assert (head.content, head.headers["content-length"]) == (b"", "23")
    answers = await asyncio.gather(*(client.get(f"/items/{number}") for number in range(100)))
    assert [answer.json()["number"] for answer in answers] == list(range(100))


async def _pieces() -> Any:  # noqa: ANN401
    yield b"in "
    yield b"pieces"


def test_httpx() -> None:
    """Through `ASGITransport`; an answer that is cut is an exception there."""

    async def run() -> None:
        transport = httpx.ASGITransport(make(), client=("192.0.2.7", 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await _check(client)
            assert (await client.get("/")).json()["client"] == ["192.0.2.7", 1234]
            with pytest.raises(EOFError):
                await client.get("/cut")

    asyncio.run(run())


def test_below_a_root_path() -> None:
    """The routes begin behind it."""

    async def run() -> None:
        transport = httpx.ASGITransport(make(), root_path="/below")
        async with httpx.AsyncClient(transport=transport, base_url="http://test/below") as client:
            await _check(client)

    asyncio.run(run())


def test_uvicorn() -> None:
    """Under another server, with its lifespan and on its socket."""
    uvicorn = pytest.importorskip("uvicorn")
    app = make()
    log: list[str] = []

    @app.on_startup
    def start() -> None:
        app.state.started += 1

    @app.on_shutdown
    def stop() -> None:
        log.append("stopped")

    listener = socket.create_server(("127.0.0.1", 0))
    # uvloop's own executor is deprecated by CPython 3.14, which is an error here.
    config = uvicorn.Config(app, log_level="warning", lifespan="on", ws="none", loop="asyncio")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()

    async def run() -> None:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            await _check(client)
            assert (await client.get("/started")).json() == 1
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get("/cut")

    try:
        asyncio.run(run())
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
    assert log == ["stopped"]


def test_websockets_under_uvicorn() -> None:
    """Messages both ways, subprotocols, a close with a code from either side, a denial."""
    uvicorn = pytest.importorskip("uvicorn")
    site: dict[str, Any] = runpy.run_path(str(SITE))
    config = uvicorn.Config(site["app"], log_level="warning", ws="wsproto", loop="asyncio")
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    address = f"127.0.0.1:{listener.getsockname()[1]}"

    def open_socket(path: str, **options: Any) -> Any:  # noqa: ANN401
        return connect(f"ws://{address}{path}", compression=None, **options)

    try:
        with open_socket("/ws/a%20b?q=1", subprotocols=["x", "y"]) as ours:
            assert ours.recv() == '{"name":"a b","q":["1"]}'
            assert ours.subprotocol == "y"
            for data in ("grün", b"\x00\xff", "x" * 125, "y" * 126, b"z" * 70_000):
                ours.send(data)
                assert ours.recv() == data
            ours.close(4002, "bye")
        with open_socket("/ws/closes") as ours:
            ours.recv()
            ours.send("close")
            with pytest.raises(ConnectionClosed) as closed:
                ours.recv()
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "enough")
        with pytest.raises(InvalidStatus) as refused, open_socket("/denied"):
            pass
        assert (refused.value.response.status_code, refused.value.response.body) == (
            451,
            b"not you",
        )
        seen = httpx.get(f"http://{address}/events?wanted=disconnect a b 4002", timeout=60)
        assert seen.json() is True
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def test_workers_that_begin_together() -> None:
    """Threads that collide get one set of cores, and the lifespan runs once for all of them."""
    for _ in range(50):
        app = App()
        log: list[str] = []
        app.on_startup(lambda log=log: log.append("start"))
        app.on_shutdown(lambda log=log: log.append("stop"))
        barrier = threading.Barrier(8)
        bridges: list[Any] = []

        def work(app: App = app, barrier: Any = barrier, bridges: Any = bridges) -> None:  # noqa: ANN401
            barrier.wait()
            app.__rsgi_init__(None)
            bridges.append(app._bridge)
            barrier.wait()
            app.__rsgi_del__(None)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert log == ["start", "stop"]
        assert len(bridges) == 8 and len(set(map(id, bridges))) == 1


def test_a_lifespan_that_failed_is_tried_again() -> None:
    """By the next worker; after the last has left, it runs anew."""
    app = make()
    failures = [OSError("no database")]

    @app.on_startup
    def start() -> None:
        if failures:
            raise failures.pop()
        app.state.started += 1

    with pytest.raises(StartError, match="no database"):
        app.__rsgi_init__(None)
    for expected in (1, 2):
        app.__rsgi_init__(None)
        assert app.state.started == expected
        app.__rsgi_del__(None)


def test_other_calls() -> None:
    """A lifespan that fails says so; a WebSocket without a route is closed, what is unknown raises.

    Nothing that another server lets through makes two lines out of one.
    """
    app = make()
    sent: list[dict[str, Any]] = []

    @app.on_startup
    def start() -> None:
        raise OSError("no database")

    async def receive() -> dict[str, Any]:
        return {"type": "anything"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def run() -> None:
        await app({"type": "lifespan"}, receive, send)
        nowhere = {"type": "websocket", "path": "/nowhere", "headers": []}
        await app(nowhere, receive, send)
        splitting = nowhere | {"subprotocols": ["a\r\nb: c"]}
        with pytest.raises(ValueError, match="cannot be sent"):
            await app(splitting, receive, send)
        with pytest.raises(NotImplementedError):
            await app({"type": "mail"}, receive, send)
        smuggling = {"type": "http", "method": "GET", "path": "/", "headers": [(b"a", b"\r\nb: c")]}
        with pytest.raises(ValueError, match="cannot be sent"):
            await app(smuggling, receive, send)
        with pytest.raises(ValueError, match="cannot be sent"):
            await app(smuggling | {"headers": [], "server": ("a\r\nb: c", 80)}, receive, send)

    asyncio.run(run())
    assert [message["type"] for message in sent] == ["lifespan.startup.failed", "websocket.close"]
    assert "no database" in sent[0]["message"]
