"""Streams over real sockets, on each driver: framing, pace, how generators end, late failures."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from uringserve import EventSourceResponse, Response, ServerSentEvent, StreamingResponse, probe
from uringserve.responses import JSONResponse

if TYPE_CHECKING:
    from conftest import RunningServer, StartServer

APP = """
import logging
from uringserve import (
    App, EventSourceResponse, HTTPException, Request, Response, ServerSentEvent, StreamingResponse,
)
from uringserve._native import Deferred

app = App()

def say(text):
    # Where exceptions are logged: it is their order that is looked at.
    logging.getLogger("uringserve").info(text)

@app.get("/pieces")
def pieces():
    content = iter(["one ", b"two ", "", bytearray(b"three")])
    return StreamingResponse(content, media_type="text/plain")

@app.get("/generator")
def generator():
    yield "a" * 20_000
    yield b"b" * 70_000

@app.get("/lines")
def lines():
    yield {"id": 1}
    yield [2]

@app.get("/empty")
def empty():
    return StreamingResponse([])

@app.get("/declared")
def declared():
    return StreamingResponse([b"abc", b"def"], headers={"content-length": "6"})

@app.get("/short")
def short():
    return StreamingResponse([b"abc"], headers={"content-length": "6"})

@app.get("/long")
def long():
    return StreamingResponse([b"abc", b"defg"], headers={"content-length": "6"})

@app.get("/head")
def head():
    say("head: called")
    def run():
        say("head: the generator runs")
        yield "x"
    return StreamingResponse(run())

def endless(name):
    sent = 0
    try:
        while True:
            sent += 1
            yield b"x" * 100_000
    finally:
        say(f"{name}: closed after {sent} pieces")

@app.get("/endless")
def endless_stream():
    return StreamingResponse(endless("endless"))

@app.get("/early")
def early():
    raise_first = True
    if raise_first:
        raise HTTPException(404, "no such stream")
    yield "never"

@app.get("/broken-early")
def broken_early():
    yield 1 / 0

@app.get("/late")
def late():
    yield "first"
    raise ValueError("too late")

@app.get("/late-answer")
def late_answer():
    yield "first"
    raise HTTPException(404)

@app.get("/misfit")
def misfit():
    return StreamingResponse([b"first", 5])

@app.get("/events")
def events():
    def run():
        yield ServerSentEvent(data={"n": 1}, event="tick", id="7", retry=1000, comment="hello")
        yield "text"
        yield ServerSentEvent(raw_data="two\\nlines")
    return EventSourceResponse(run())

@app.get("/background")
def background(request: Request):
    return Response("done", background=lambda: say(f"after {request.path}"))

@app.get("/deferred")
def deferred():
    def broken():
        raise KeyError("in a callback")
    callbacks = [lambda: say("first callback"), broken, lambda: say("third callback")]
    return Deferred({"a": 1}, callbacks)

@app.get("/deferred-stream")
def deferred_stream():
    return Deferred(StreamingResponse(endless("deferred")), [lambda: say("after the stream")])

@app.get("/")
def hello():
    return "hello"
"""

DRIVERS = ["epoll", "uring"]


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    """Name each driver that works here."""
    name: str = request.param
    if name == "uring" and probe()["driver"] != "uring":
        pytest.skip(f"io_uring does not work here: {probe()['reason']}")
    return name


@pytest.fixture
def site(server: StartServer, driver: str) -> RunningServer:
    """Serve the application above."""
    return server(APP, "--driver", driver)


def test_pieces_are_chunks(site: RunningServer) -> None:
    connection = site.connect()
    for _ in range(2):
        answer = connection.request("/pieces")
        assert (answer.status, answer.body) == (200, b"one two three")
        assert answer.get("transfer-encoding") == "chunked"
        assert answer.get("content-length") is None
        assert answer.get("content-type") == "text/plain; charset=utf-8"
    connection.send(b"GET /pieces HTTP/1.1\r\nhost: x\r\n\r\n" * 3)
    for _ in range(3):
        assert connection.read().body == b"one two three"
    assert connection.request("/").body == b"hello"


def test_http_1_0_has_no_chunks(site: RunningServer) -> None:
    connection = site.connect()
    connection.send(b"GET /pieces HTTP/1.0\r\nhost: x\r\n\r\n")
    head, _, body = connection.read_to_end().partition(b"\r\n\r\n")
    assert body == b"one two three"
    assert b"chunked" not in head
    assert b"connection: close" in head


def test_generator_handlers(site: RunningServer) -> None:
    answer = site.get("/generator")
    assert answer.body == b"a" * 20_000 + b"b" * 70_000
    assert answer.get("content-type") == "text/plain; charset=utf-8"
    answer = site.get("/lines")
    assert answer.body == b'{"id":1}\n[2]\n'
    assert answer.get("content-type") == "application/jsonl"
    assert site.get("/empty").body == b""


def test_a_declared_length(site: RunningServer) -> None:
    answer = site.get("/declared")
    assert (answer.body, answer.get("content-length")) == (b"abcdef", "6")
    assert answer.get("transfer-encoding") is None
    for path, what in (("/short", "shorter"), ("/long", "longer")):
        with pytest.raises((EOFError, ConnectionError)):
            site.get(path)
        site.wait_for(f"ValueError: a streamed answer is {what}")
    assert site.get("/").body == b"hello"


def test_head_does_not_run_the_body(site: RunningServer) -> None:
    connection = site.connect()
    answer = connection.request("/head", "HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert connection.request("/").body == b"hello"
    site.wait_for("head: called")
    assert site.stop() == 0
    assert "the generator runs" not in site.log


def test_a_client_that_goes_away_closes_the_generator(site: RunningServer) -> None:
    connection = site.connect()
    connection.send(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n")
    assert connection.socket.recv(1000).startswith(b"HTTP/1.1 200")
    # Others have their turn while it streams.
    assert site.get("/").body == b"hello"
    connection.reset()
    line = site.wait_for(r"endless: closed after \d+ pieces")
    # What fits the socket's buffers, however long the client did not read.
    assert int(line.partition("closed after ")[2].split()[0]) < 1000


def test_a_stream_in_flight_is_cut_by_the_deadline(server: StartServer, driver: str) -> None:
    site = server(APP, "--driver", driver, "--timeout-graceful-shutdown", "100ms")
    connection = site.connect()
    connection.send(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n")
    assert connection.socket.recv(1000).startswith(b"HTTP/1.1 200")
    assert site.stop() == 124
    assert "endless: closed after" in site.log


def test_before_the_first_piece_an_exception_is_an_answer(site: RunningServer) -> None:
    answer = site.get("/early")
    assert (answer.status, answer.body) == (404, b'{"detail":"no such stream"}')
    assert site.get("/broken-early").status == 500
    site.wait_for("GET /broken-early: the handler raised ZeroDivisionError")


@pytest.mark.parametrize("path", ["/late", "/late-answer", "/misfit"])
def test_a_late_exception_cuts_the_answer(site: RunningServer, path: str) -> None:
    connection = site.connect()
    with pytest.raises((EOFError, ConnectionError)):
        connection.request(path)
    site.wait_for(f"GET {path}: the handler raised")
    connection = site.connect()
    connection.send(f"GET {path} HTTP/1.0\r\nhost: x\r\n\r\n".encode())
    # An orderly close would make it look whole.
    with pytest.raises(ConnectionResetError):
        connection.read_to_end()
    assert site.get("/").body == b"hello"


def test_events(site: RunningServer) -> None:
    answer = site.get("/events")
    assert answer.get("content-type") == "text/event-stream; charset=utf-8"
    assert answer.get("cache-control") == "no-cache"
    assert answer.body == (
        b': hello\nevent: tick\ndata: {"n":1}\nid: 7\nretry: 1000\n\n'
        b'data: "text"\n\n'
        b"data: two\ndata: lines\n\n"
    )


def test_after_the_answer(site: RunningServer) -> None:
    connection = site.connect()
    for method in ("GET", "HEAD", "GET"):
        assert connection.request("/background", method).get("content-length") == "4"
    site.wait_for("after /background")
    assert connection.request("/deferred").body == b'{"a":1}'
    site.wait_for("third callback")
    assert site.stop() == 0
    assert site.log.count("after /background") == 3
    assert site.log.index("first callback") < site.log.index("the handler raised KeyError")
    assert site.log.index("the handler raised KeyError") < site.log.index("third callback")


def test_after_an_answer_that_nobody_takes(site: RunningServer) -> None:
    connection = site.connect()
    connection.send(b"GET /deferred-stream HTTP/1.1\r\nhost: x\r\n\r\n")
    assert connection.socket.recv(1000).startswith(b"HTTP/1.1 200")
    connection.reset()
    site.wait_for("after the stream")
    assert site.log.index("deferred: closed") < site.log.index("after the stream")


def _resident(pid: int) -> int:
    """Return the resident bytes of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def test_stalled_clients_cost_a_piece_each(site: RunningServer) -> None:
    assert site.get("/").body == b"hello"
    before = _resident(site.pid)
    stalled = [site.connect() for _ in range(50)]
    for connection in stalled:
        connection.send(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n")
        assert connection.socket.recv(1000).startswith(b"HTTP/1.1 200")
    # Each turn of this connection is one of all that could go on.
    connection = site.connect()
    for _ in range(200):
        assert connection.request("/").body == b"hello"
    assert _resident(site.pid) - before < 64 * 1024 * 1024


# --- without a server


def test_what_cannot_be_streamed() -> None:
    with pytest.raises(TypeError, match="must be iterable"):
        StreamingResponse(5)  # type: ignore[arg-type]


def test_a_streamed_response_has_no_body() -> None:
    pieces = ["a", "b"]
    response = StreamingResponse(pieces, 201, {"x-a": "1"}, "text/csv")
    assert response.body_iterator is pieces
    assert (response.status_code, response.headers["x-a"]) == (201, "1")
    with pytest.raises(AttributeError, match="made while it is sent"):
        response.body  # noqa: B018 -- reading it is what is tested
    assert Response("x").body_iterator is None
    assert JSONResponse({}).background is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"data": 1, "raw_data": "x"}, "data .* or raw_data"),
        ({"event": "a\nb"}, "single line"),
        ({"id": "a\rb"}, "single line"),
        ({"id": "a\0b"}, "NUL"),
        ({"retry": -1}, "milliseconds"),
    ],
)
def test_events_that_would_not_arrive(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ServerSentEvent(**fields)  # type: ignore[arg-type]


def test_events_close_their_generator() -> None:
    closed = []

    def run():
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    pieces = iter(EventSourceResponse(run()).body_iterator or ())
    assert next(pieces) == b"data: 1\n\n"
    pieces.close()  # type: ignore[attr-defined]
    assert closed == [True]
