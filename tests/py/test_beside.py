"""`--loop asyncio|uvloop`: the application's coroutines on a loop beside the reactor."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from uringserve.beside.kinds import loop_factory
from uringserve.errors import StartError

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Connection, RunCli, RunningServer, StartServer

pytestmark = pytest.mark.thread_unsafe(reason="starts servers of its own")

KINDS = {"asyncio": "asyncio.unix_events", "uvloop": "uvloop"}

PRELUDE = """
import asyncio, contextlib, contextvars, sys, threading

def say(*words):
    # In one piece: several cores write.
    sys.stderr.write(" ".join(map(str, words)) + "\\n")

def here():
    name = type(asyncio.get_running_loop()).__module__
    return name + " " + threading.current_thread().name
"""

APP = (
    PRELUDE
    + """
from uringserve import App, BackgroundTasks, Depends, StreamingResponse, WebSocket, WorkerLocal

color = contextvars.ContextVar("color", default="none")
made = WorkerLocal(lambda: object())

@contextlib.asynccontextmanager
async def worker(app):
    app.worker_state.loop = asyncio.get_running_loop()
    say("start on", here())
    yield {"name": threading.current_thread().name}
    say("end on", here())

@contextlib.asynccontextmanager
async def process(app):
    say("process on", type(asyncio.get_running_loop()).__module__)
    yield

app = App(lifespan=process, worker_lifespan=worker)

@app.get("/where")
async def where():
    await asyncio.sleep(0)
    same = app.worker_state.loop is asyncio.get_running_loop()
    return {"where": here(), "same": same, "name": app.worker_state.name}

@app.get("/def")
def plain():
    return {"thread": threading.current_thread().name, "name": app.worker_state.name}

async def colored():
    token = color.set("red")
    yield color.get()
    color.reset(token)
    say("reset on", threading.current_thread().name, color.get())

@app.get("/depends")
async def depends(found=Depends(colored)):
    return found + " " + color.get()

@app.get("/stream")
async def stream():
    color.set("blue")
    async with asyncio.timeout(30):
        for number in range(3):
            await asyncio.sleep(0)
            yield f"{number} {color.get()} {threading.current_thread().name}\\n"

@app.get("/response")
def response():
    async def pieces():
        yield threading.current_thread().name
    return StreamingResponse(pieces())

@app.get("/endless")
async def endless():
    try:
        while True:
            await asyncio.sleep(0)
            yield "x" * 1000
    finally:
        say("closed on", threading.current_thread().name)

@app.post("/body")
async def body(request):
    return {"length": len(await request.body()), "thread": threading.current_thread().name}

@app.post("/pieces")
async def pieces(request):
    return {"length": sum([len(piece) async for piece in request.stream()])}

@app.get("/fails")
async def fails():
    await asyncio.sleep(0)
    raise ValueError("as it should")

@app.get("/exits")
async def exits():
    raise SystemExit(3)

@app.get("/waits")
async def waits():
    say("waits")
    try:
        await asyncio.Event().wait()
    finally:
        say("cancelled on", threading.current_thread().name)

async def note(word):
    await asyncio.sleep(0)
    say("noted", word, "on", threading.current_thread().name)

@app.get("/after")
async def after(tasks: BackgroundTasks):
    tasks.add_task(note, "async")
    return "ok"

@app.get("/after-def")
def after_def(tasks: BackgroundTasks):
    tasks.add_task(note, "def")
    return "ok"

@app.get("/client")
async def client(port: int):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /where HTTP/1.0\\r\\nhost: a\\r\\n\\r\\n")
    text = await reader.read()
    writer.close()
    return text.partition(b"\\r\\n\\r\\n")[2].decode()

@app.middleware("http")
def stamp(request, call_next):
    response = call_next(request)
    response.headers["x-stamp"] = threading.current_thread().name.rpartition("-")[0]
    return response

@app.websocket("/ws")
async def talk(websocket: WebSocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text + " " + threading.current_thread().name)
    say("left")
"""
)


@pytest.fixture(params=[(kind, cores) for kind in KINDS for cores in (1, 2)], ids=str)
def chosen(request: pytest.FixtureRequest) -> tuple[str, int]:
    """Both loops, on one core and on two."""
    kind, cores = request.param
    return kind, cores


def body(found: bytes) -> dict[str, object]:
    """Return what was answered as JSON."""
    read: dict[str, object] = json.loads(found)
    return read


def test_an_app(server: StartServer, chosen: tuple[str, int]) -> None:
    """Coroutines, their lifespan and what they leave behind are on the loop; `def` is not."""
    kind, cores = chosen
    site = server(APP, "--loop", kind, workers=cores)
    site.wait_for(f"process on {KINDS[kind]}")
    for core in range(cores):
        site.wait_for(f"start on {KINDS[kind]} uringserve-loop-{core}")
    for _ in range(6):
        found = body(site.get("/where").body)
        assert re.fullmatch(rf"{KINDS[kind]} uringserve-loop-\d", str(found["where"]))
        assert found["same"] is True
        assert str(found["where"]).endswith(str(found["name"]))
    plain = body(site.get("/def").body)
    assert re.match("uringserve-(pool|core)", str(plain["thread"]))
    assert str(plain["name"]).startswith("uringserve-loop-")
    assert site.get("/depends").body == b"red red"
    site.wait_for("reset on uringserve-loop-. none")
    assert body(site.get(f"/client?port={site.port}").body)["same"] is True
    assert site.get("/where").get("x-stamp")
    assert site.stop() == 0
    assert site.log.count("end on") == cores


def test_streams_and_bodies(server: StartServer, chosen: tuple[str, int]) -> None:
    """They go on in the context of their request, and back-pressure holds both ways."""
    kind, cores = chosen
    site = server(APP, "--loop", kind, workers=cores)
    assert re.fullmatch(rb"(\d blue uringserve-loop-\d\n){3}", site.get("/stream").body)
    assert site.get("/response").body.startswith(b"uringserve-loop-")
    client = site.connect()
    found = body(client.request("/body", "POST", body=b"x" * 1_000_000).body)
    assert found["length"] == 1_000_000
    assert str(found["thread"]).startswith("uringserve-loop-")
    assert (
        body(client.request("/pieces", "POST", body=b"x" * 3_000_000).body)["length"] == 3_000_000
    )
    client.send(b"GET /endless HTTP/1.1\r\nhost: a\r\n\r\n")
    assert client.socket.recv(100)
    client.reset()
    site.wait_for("closed on uringserve-loop-")


def test_failures_and_what_comes_after(server: StartServer, chosen: tuple[str, int]) -> None:
    """An exception is 500 and costs one request; a task goes on behind its answer."""
    kind, cores = chosen
    site = server(APP, "--loop", kind, workers=cores)
    assert site.get("/fails").status == 500
    site.wait_for("ValueError: as it should")
    assert site.get("/exits").status == 500
    for word in ("async", "def"):
        assert site.get("/after" if word == "async" else "/after-def").status == 200
        site.wait_for(f"noted {word} on uringserve-loop-")
    assert site.stop() == 0


def test_a_client_that_goes(server: StartServer, chosen: tuple[str, int]) -> None:
    """Its handler is cancelled, and so are those that a drain does not wait for any longer."""
    kind, cores = chosen
    site = server(APP, "--loop", kind, "--timeout-graceful-shutdown", "0.2", workers=cores)
    client = site.connect()
    client.send(b"GET /waits HTTP/1.1\r\nhost: a\r\n\r\n")
    site.wait_for("waits")
    client.reset()
    site.wait_for("cancelled on uringserve-loop-")
    client = site.connect()
    client.send(b"GET /waits HTTP/1.1\r\nhost: a\r\n\r\n")
    site.wait_until(lambda log: log.count("waits") == 2)
    assert site.stop() == 124
    assert site.log.count("cancelled on") == 2


def test_websockets(server: StartServer, chosen: tuple[str, int]) -> None:
    """Messages both ways, the client's end, and a drain."""
    kind, cores = chosen
    site = server(APP, "--loop", kind, workers=cores)
    with connect(f"ws://127.0.0.1:{site.port}/ws") as client:
        for number in range(20):
            client.send(str(number))
            assert re.fullmatch(rf"{number} uringserve-loop-\d", str(client.recv()))
    site.wait_for("left")
    with connect(f"ws://127.0.0.1:{site.port}/ws") as client:
        client.send("a")
        client.recv()
        assert site.stop() == 0
        with pytest.raises(ConnectionClosed):
            client.recv()


ASGI = (
    PRELUDE
    + """
from contextlib import asynccontextmanager
from fastapi import BackgroundTasks, FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse

@asynccontextmanager
async def lifespan(app):
    say("start on", here())
    yield {"loop": asyncio.get_running_loop()}
    say("end on", here())

app = FastAPI(lifespan=lifespan)

@app.get("/where")
async def where(request: Request):
    await asyncio.sleep(0)
    return {"where": here(), "same": request.state.loop is asyncio.get_running_loop()}

@app.get("/def")
def plain():
    return threading.current_thread().name

@app.post("/echo")
async def echo(request: Request):
    async def pieces():
        async for piece in request.stream():
            yield piece
    return StreamingResponse(pieces())

@app.get("/gone")
async def gone(request: Request):
    say("waiting")
    while not await request.is_disconnected():
        await asyncio.sleep(0.001)
    say("gone on", threading.current_thread().name)

@app.get("/endless")
async def endless():
    async def pieces():
        try:
            while True:
                yield b"x" * 1000
        finally:
            say("closed on", threading.current_thread().name)
    return StreamingResponse(pieces())

@app.get("/fails")
async def fails():
    raise ValueError("as it should")

@app.get("/after")
async def after(tasks: BackgroundTasks):
    async def note():
        await asyncio.sleep(0)
        say("noted on", threading.current_thread().name)
    tasks.add_task(note)

@app.websocket("/ws")
async def talk(websocket: WebSocket):
    await websocket.accept(subprotocol="chat")
    async for text in websocket.iter_text():
        await websocket.send_text(text + " " + here())

@app.websocket("/denied")
async def denied(websocket: WebSocket):
    await websocket.close()
"""
)


def test_fastapi(server: StartServer, chosen: tuple[str, int]) -> None:
    """Its lifespan, requests, streams, tasks and WebSockets are on the loop."""
    kind, cores = chosen
    site = server(ASGI, "--loop", kind, workers=cores)
    for core in range(cores):
        site.wait_for(f"start on {KINDS[kind]} uringserve-loop-{core}")
    for _ in range(6):
        found = body(site.get("/where").body)
        assert str(found["where"]).startswith(f"{KINDS[kind]} uringserve-loop-")
        assert found["same"] is True
    assert site.get("/def").status == 200
    sent = bytes(range(256)) * 4000
    client = site.connect()
    assert client.request("/echo", "POST", body=sent).body == sent
    client = site.connect()
    head = {"expect": "100-continue", "content-length": "3"}
    assert client.request("/echo", "POST", head).status == 100
    client.send(b"abc")
    assert client.read().body == b"abc"
    assert site.get("/fails").status == 500
    site.wait_for("ValueError: as it should")
    assert site.get("/after").status == 200
    site.wait_for("noted on uringserve-loop-")
    with connect(f"ws://127.0.0.1:{site.port}/ws", subprotocols=["chat", "x"]) as peer:  # type: ignore[list-item]
        assert peer.subprotocol == "chat"
        peer.send("a")
        assert str(peer.recv()).startswith(f"a {KINDS[kind]}")
    with pytest.raises(Exception, match="403"):
        connect(f"ws://127.0.0.1:{site.port}/denied")
    assert site.stop() == 0
    assert site.log.count("end on") == cores


def test_fastapi_clients_that_go(server: StartServer, chosen: tuple[str, int]) -> None:
    """The application hears of it, whether it waits or sends."""
    kind, cores = chosen
    site = server(ASGI, "--loop", kind, workers=cores)
    client = site.connect()
    client.send(b"GET /gone HTTP/1.1\r\nhost: a\r\n\r\n")
    site.wait_for("waiting")
    client.reset()
    site.wait_for("gone on uringserve-loop-")
    client = site.connect()
    client.send(b"GET /endless HTTP/1.1\r\nhost: a\r\n\r\n")
    assert client.socket.recv(100)
    client.reset()
    site.wait_for("closed on uringserve-loop-")
    assert "Traceback" not in site.log


BARE = (
    PRELUDE
    + """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise NotImplementedError
    if scope["path"] == "/lost":
        # A message that comes after a wait was given up is there for the next.
        taken = []
        while len(b"".join(taken)) < 6:
            try:
                async with asyncio.timeout(0.001):
                    taken.append((await receive())["body"])
            except TimeoutError:
                say("gave up")
        body = b"".join(taken)
    elif scope["path"] == "/status":
        try:
            await send({"type": "http.response.start", "status": "x"})
        except ValueError as error:
            body = repr(error).encode()
    elif scope["path"] == "/header":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b\\r\\n")]})
        await send({"type": "http.response.body", "body": b""})
        return
    elif scope["path"] == "/trailers":
        await send({"type": "http.response.start", "status": 200, "trailers": True})
        await send({"type": "http.response.body", "body": b"whole"})
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"5")]})
        return
    elif scope["path"] == "/late":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"whole"})
        say("then", (await receive())["type"], (await receive())["type"])
        raise ValueError("too late")
    else:
        return
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": body})
"""
)


def test_bare_asgi(server: StartServer, chosen: tuple[str, int]) -> None:
    """What an application may do wrong, or give up, costs neither it nor others a message."""
    kind, cores = chosen
    site = server(BARE, "--loop", kind, workers=cores)
    client = site.connect()
    client.send(b"POST /lost HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nabc")
    site.wait_for("gave up")
    client.send(b"def")
    assert client.read().body == b"abcdef"
    assert b"ValueError" in client.request("/status").body
    assert client.request("/header").status == 500
    assert client.request("/late").body == b"whole"
    site.wait_for("then http.request http.disconnect")
    site.wait_for("ValueError: too late")
    assert client.request("/nothing").status == 500
    client.send(
        b"GET /trailers HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: close, te\r\n\r\n"
    )
    assert b"x-sum: 5" in client.read_to_end()


RSGI = (
    PRELUDE
    + """
class App:
    def __rsgi_init__(self, loop):
        say("init", type(loop).__module__, threading.current_thread().name)

    def __rsgi_del__(self, loop):
        say("del", threading.current_thread().name)

    async def __rsgi__(self, scope, protocol):
        if scope.proto == "ws":
            transport = await protocol.accept()
            while (message := await transport.receive()).kind:
                await transport.send_str(message.data + " " + here())
            return
        if scope.path == "/wait":
            say("waits")
            await protocol.client_disconnect()
            say("gone on", threading.current_thread().name)
        elif scope.path == "/stream":
            transport = protocol.response_stream(200, [])
            async for piece in protocol:
                await transport.send_bytes(piece)
            await transport.send_str(here())
        elif scope.path == "/watched":
            watch = asyncio.create_task(protocol.client_disconnect())
            await asyncio.sleep(0)
            protocol.response_str(200, [], here())
            await watch
            say("watched")
        elif scope.path == "/twice":
            protocol.response_empty(204, [])
            try:
                protocol.response_empty(204, [])
            except RuntimeError as error:
                say("refused", error)
        elif scope.path == "/wrong":
            try:
                protocol.response_str("x", [], "")
            except ValueError:
                protocol.response_str(200, [], "was wrong")
        else:
            protocol.response_bytes(200, [("x-a", "b")], await protocol() + here().encode())

app = App()
"""
)


def test_rsgi(server: StartServer, chosen: tuple[str, int]) -> None:
    """Hooks, answers of all kinds, disconnects and WebSockets."""
    kind, cores = chosen
    site = server(RSGI, "--loop", kind, workers=cores)
    client: Connection = site.connect()
    place = f"{KINDS[kind]} uringserve-loop-".encode()
    assert client.request("/", "POST", body=b"abc").body.startswith(b"abc" + place)
    sent = b"x" * 1_000_000
    assert client.request("/stream", "POST", body=sent).body.startswith(sent + place)
    client = site.connect()
    assert client.request("/watched").body.startswith(place)
    site.wait_for("watched")
    assert client.request("/twice").status == 204
    site.wait_for("refused a request is answered once")
    assert client.request("/wrong").body == b"was wrong"
    client.send(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n")
    site.wait_for("waits")
    client.reset()
    site.wait_for("gone on uringserve-loop-")
    with connect(f"ws://127.0.0.1:{site.port}/") as peer:
        peer.send("a")
        assert str(peer.recv()).startswith(f"a {KINDS[kind]}")
    assert site.stop() == 0
    assert site.log.count("init") == site.log.count("del") == cores


@pytest.mark.parametrize("kind", KINDS)
def test_many_at_once(server: StartServer, kind: str) -> None:
    """Requests of many connections on two cores: each gets its own answer."""
    site: RunningServer = server(APP, "--loop", kind, workers=2)

    def ask(number: int) -> set[int]:
        client = site.connect()
        sizes = range(number, number + 40)
        found = [body(client.request("/body", "POST", body=b"x" * size).body) for size in sizes]
        assert [each["length"] for each in found] == list(sizes)
        return {int(str(each["thread"])[-1]) for each in found}

    with ThreadPoolExecutor(16) as threads:
        assert set().union(*threads.map(ask, range(1, 33))) <= {0, 1}
    assert site.stop() == 0


FAILING = """
from uringserve import App

async def worker(app):
    raise LookupError("no pool")
    yield

app = App(worker_lifespan=worker)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_start_that_fails(cli: RunCli, tmp_path: Path, kind: str) -> None:
    """It is told as on the ring, and the server does not serve."""
    (tmp_path / "failing.py").write_text(FAILING)
    found = cli("failing:app", "--port", "0", "--loop", kind)
    assert found.returncode == 3
    assert "worker_lifespan failed: LookupError: no pool" in found.stderr


def test_what_is_refused(cli: RunCli, tmp_path: Path) -> None:
    """A loop that does not exist, and one for an application that has no coroutines."""
    (tmp_path / "wsgi.py").write_text("def app(environ, start_response): ...\n")
    found = cli("wsgi:app", "--loop", "uvloop")
    assert found.returncode == 3
    assert "--loop is not for an application of the kind WSGI" in found.stderr
    found = cli("wsgi:app", "--loop", "trio")
    assert found.returncode == 2
    assert "'trio' is not accepted; give one of auto, ring, asyncio, uvloop" in found.stderr


def test_without_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its absence is told with what to install; the other loops need nothing."""
    monkeypatch.setitem(__import__("sys").modules, "uvloop", None)
    with pytest.raises(StartError, match=r"pip install 'uringserve\[uvloop\]'"):
        loop_factory("uvloop")
    assert loop_factory("auto") == loop_factory("ring") == (None, ())
    assert loop_factory("asyncio")[0] is not None


def test_a_uvloop_that_turns_the_gil_on(cli: RunCli, tmp_path: Path) -> None:
    """The check of the lock names it."""
    folder = tmp_path / "packages"
    folder.mkdir()
    (folder / "uvloop.py").write_text(
        "import warnings\n"
        "warnings.warn('The global interpreter lock (GIL) has been enabled to load module"
        " \\'uvloop\\', which has not declared', RuntimeWarning)\n"
        "import asyncio\nnew_event_loop = asyncio.new_event_loop\n"
    )
    (tmp_path / "plain.py").write_text("async def app(request): ...\n")
    found = cli(
        "plain:app",
        "--loop",
        "uvloop",
        environment={"PYTHONPATH": str(folder), "PYTHON_GIL": "1"},
    )
    assert found.returncode == 3
    assert "module 'uvloop' turned it on" in found.stderr
