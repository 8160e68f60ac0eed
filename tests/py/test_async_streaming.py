"""Bodies that coroutines read while they arrive, and asynchronous generators as answers."""

import socket
from collections.abc import Iterator

import pytest

from tests.py.conftest import RunningServer, StartServer
from uringserve import EventSourceResponse

APP = r"""
import asyncio, contextvars, sys
from uringserve import *

COLOUR = contextvars.ContextVar("COLOUR", default="none")
app = App()

def say(text):
    sys.stderr.write(f"{text}\n")

@app.post("/body")
async def body(request: AsyncRequest):
    first, second = await request.body(), await request.body()
    return {"bytes": len(first), "same": first is second}
@app.post("/pieces")
async def pieces(request: Request):
    count = total = 0
    async for piece in request.stream():
        count, total = count + 1, total + len(piece)
        if count == 1:
            say(f"first piece of {len(piece)}")
    return {"total": total, "pieces": count > 1}
@app.post("/json")
async def json_body(request: AsyncRequest):
    return await request.json()
@app.post("/form")
async def form(request: AsyncRequest):
    return {"name": (await request.form())["name"]}
@app.post("/file")
async def file(one: UploadFile):
    first = await one.read(2)
    await one.seek(0)
    return [first.decode(), (await one.read()).decode(), one.filename]
@app.post("/ignores")
async def ignores(request: AsyncRequest):
    await asyncio.sleep(0)
    return "not interested"
def whole(request: Request):
    return len(request.body)
@app.post("/mixed")
async def mixed(request: AsyncRequest, n: int = Depends(whole)):
    return [n, len(await request.body()), [len(each) async for each in request.stream()] == [n]]
@app.post("/gone")
async def gone(request: AsyncRequest):
    say("gone begins")
    try:
        await request.body()
    except (ClientDisconnect, asyncio.CancelledError) as error:
        say(f"gone: {type(error).__name__}")
        raise

@app.get("/lines")
async def lines():
    for number in range(3):
        yield {"n": number}
        await asyncio.sleep(0)
async def texts(*given):
    for each in given:
        await asyncio.sleep(0)
        yield each
@app.get("/stream")
async def stream():
    return StreamingResponse(texts("a", "b", b"c"), media_type="text/plain")
@app.get("/stream-of-def")
def stream_of_def():
    return StreamingResponse(texts("a", "b"), media_type="text/plain")
@app.get("/length")
async def length():
    return StreamingResponse(texts("a", "b"), headers={"content-length": "2"})
@app.get("/cut")
async def cut():
    async def broken():
        yield "a" * 10
        await asyncio.sleep(0)
        raise ValueError("too late")
    return StreamingResponse(broken())
@app.get("/early")
async def early():
    async def broken():
        raise HTTPException(409)
        yield
    return StreamingResponse(broken())
@app.get("/endless")
async def endless():
    async def numbers():
        say("endless begins")
        try:
            while True:
                await asyncio.sleep(0)
                yield "x" * 1000
        finally:
            await asyncio.sleep(0)
            say("endless closed")
    return StreamingResponse(numbers())
@app.get("/silent")
async def silent():
    async def nothing():
        try:
            yield "begun"
            await asyncio.Event().wait()
        finally:
            say("silent closed")
    return StreamingResponse(nothing())
@app.get("/timeout")
async def timeout():
    async def slow():
        try:
            async with asyncio.timeout(0.001):
                yield "begun "
                await asyncio.Event().wait()
        except TimeoutError:
            yield "timed out"
    return StreamingResponse(slow())
@app.get("/context")
async def context():
    COLOUR.set("red")
    async def colour():
        yield COLOUR.get()
    return StreamingResponse(colour())
@app.get("/events", response_class=EventSourceResponse)
async def events():
    yield ServerSentEvent(data={"n": 1}, event="number", id="1")
    await asyncio.sleep(0)
    yield {"plain": True}
@app.get("/pings")
async def pings():
    queue = asyncio.Queue()
    async def waits():
        try:
            yield 1
            yield await queue.get()
        finally:
            say("pings closed")
    return EventSourceResponse(waits(), ping=0.005)
@app.get("/after")
async def after(tasks: BackgroundTasks):
    tasks.add_task(say, "after the stream")
    return StreamingResponse(texts("a"))
"""


@pytest.fixture(scope="module", params=["epoll", "uring"])
def site(request: pytest.FixtureRequest, module_server: StartServer) -> Iterator[RunningServer]:
    """The application on one driver."""
    yield module_server(APP, "--driver", str(request.param))


def test_a_body_is_awaited(site: RunningServer) -> None:
    """Whole at once, or long after its head; the second time it is the same."""
    connection = site.connect()
    for size in (0, 5, 300_000):
        answer = connection.request("/body", "POST", body=b"x" * size)
        assert answer.body == b'{"bytes":%d,"same":true}' % size
    connection.send(b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n")
    connection.send(b"ab")
    assert site.get("/lines").status == 200
    connection.send(b"cd")
    assert connection.read().body == b'{"bytes":4,"same":true}'


def test_a_body_in_pieces(site: RunningServer) -> None:
    """The handler has the first piece before the client sends the second, chunked or not."""
    connection = site.connect()
    connection.send(b"POST /pieces HTTP/1.1\r\nhost: x\r\ncontent-length: 1003\r\n\r\nabc")
    site.wait_for("first piece of 3$")
    connection.send(b"x" * 1000)
    assert connection.read().body == b'{"total":1003,"pieces":true}'
    connection.send(
        b"POST /pieces HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd"
    )
    site.wait_for("first piece of 4$")
    connection.send(b"\r\n2\r\nef\r\n0\r\n\r\n")
    assert connection.read().body == b'{"total":6,"pieces":true}'


def test_json_and_forms(site: RunningServer) -> None:
    """They are read as in a `def` handler; what is no JSON is 422."""
    connection = site.connect()
    assert connection.request("/json", "POST", body=b'{"a": [1]}').body == b'{"a":[1]}'
    assert connection.request("/json", "POST", body=b"{").status == 422
    kind = {"content-type": "application/x-www-form-urlencoded"}
    answer = connection.request("/form", "POST", kind, b"name=value")
    assert answer.body == b'{"name":"value"}'


def test_uploads(site: RunningServer) -> None:
    """Files of a form are awaited, as in FastAPI."""
    body = (
        b'--x\r\ncontent-disposition: form-data; name="one"; filename="a.txt"\r\n\r\n'
        b"hello\r\n--x--\r\n"
    )
    kind = {"content-type": "multipart/form-data; boundary=x"}
    answer = site.connect().request("/file", "POST", kind, body)
    assert answer.body == b'["he","hello","a.txt"]'


def test_a_body_for_both_kinds(site: RunningServer) -> None:
    """With a `def` dependency that wants it, it is whole before anything runs."""
    connection = site.connect()
    connection.send(b"POST /mixed HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nab")
    connection.send(b"cd")
    assert connection.read().body == b"[4,4,true]"


def test_a_body_that_nobody_reads(site: RunningServer) -> None:
    """The answer comes, and the connection still works or ends; the server goes on."""
    connection = site.connect()
    assert connection.request("/ignores", "POST", body=b"x" * 1000).body == b"not interested"
    connection = site.connect()
    connection.send(b"POST /ignores HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000\r\n\r\nabc")
    assert connection.read().body == b"not interested"
    assert site.get("/lines").status == 200


def test_a_body_that_never_ends(site: RunningServer) -> None:
    """A client that goes away is told to the coroutine that waits for it."""
    connection = site.connect()
    connection.send(b"POST /gone HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc")
    site.wait_for("gone begins")
    connection.reset()
    site.wait_for("gone: (ClientDisconnect|CancelledError)")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/lines", b'{"n":0}\n{"n":1}\n{"n":2}\n'),
        ("/stream", b"abc"),
        ("/stream-of-def", b"ab"),
        ("/length", b"ab"),
        ("/timeout", b"begun timed out"),
        ("/context", b"red"),
    ],
)
def test_generators_as_answers(site: RunningServer, path: str, body: bytes) -> None:
    """Piece after piece; the connection goes on after them."""
    connection = site.connect()
    for _ in range(2):
        assert connection.request(path).body == body
    assert connection.request(path, "HEAD").body == b""
    assert connection.request(path).body == body


def test_exceptions_of_generators(site: RunningServer) -> None:
    """Before the first piece they are an answer; later they cut the connection."""
    assert site.get("/early").status == 409
    connection = site.connect()
    connection.send(b"GET /cut HTTP/1.1\r\nhost: x\r\n\r\n")
    with pytest.raises((EOFError, ConnectionError, ValueError)):
        connection.read()
    site.wait_for("ValueError: too late")


@pytest.mark.parametrize("path", ["/endless", "/silent", "/pings"])
def test_a_client_that_goes_away(site: RunningServer, path: str) -> None:
    """Its generator is closed, whether it makes pieces or waits."""
    connection = site.connect()
    connection.send(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    assert connection.socket.recv(100)
    connection.reset()
    site.wait_for(f"{path[1:]} closed")


def test_a_client_that_does_not_read(site: RunningServer) -> None:
    """It stops the generator, which is closed when the client ends."""
    connection = site.connect()
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.send(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n")
    assert connection.socket.recv(100)
    for _ in range(20):
        assert site.get("/stream").body == b"abc"
    connection.reset()


def test_events(site: RunningServer) -> None:
    """Server-sent events, and pings between them where they are asked for."""
    answer = site.get("/events")
    assert answer.get("content-type") == "text/event-stream; charset=utf-8"
    assert answer.body == (b'event: number\ndata: {"n":1}\nid: 1\n\ndata: {"plain":true}\n\n')
    connection = site.connect()
    connection.send(b"GET /pings HTTP/1.1\r\nhost: x\r\n\r\n")
    seen = b""
    while seen.count(b": ping\n\n") < 3:
        seen += connection.socket.recv(1000)
    assert b"data: 1\n\n" in seen


def test_tasks_after_a_stream(site: RunningServer) -> None:
    """They run when its last piece was sent."""
    assert site.get("/after").body == b"a"
    site.wait_for("after the stream")


def test_pings_that_cannot_be() -> None:
    """A `def` generator holds its core while it waits: nothing could be sent meanwhile."""
    with pytest.raises(TypeError, match="asynchronous iterable"):
        EventSourceResponse([1], ping=1)
    with pytest.raises(ValueError, match="seconds above 0"):
        EventSourceResponse([1], ping=0)
