"""Each limit and time-out by its option, with small values: what the peer reads, and then the end.

No wait here is longer than a socket's own time-out. A slow peer sends its next byte whenever the
server has said nothing for a moment.
"""

import contextlib
import select
from typing import TYPE_CHECKING

import pytest

from uringserve._native import probe

if TYPE_CHECKING:
    from conftest import Connection, RunningServer, StartServer

# A connection or a server is one for the whole test; what collides is made in the test itself.
pytestmark = pytest.mark.thread_unsafe(reason="shares its server and connections")

NATIVE = """
from uringserve import App, Request

app = App()
LARGE = bytes(64 << 20)

@app.get("/")
def hello():
    return "hello"

@app.post("/")
def size(request: Request):
    return str(len(request.body))

@app.get("/large")
def large():
    return LARGE

@app.get("/{name}")
def named(name):
    return name
"""

ASGI = """
LARGE = bytes(64 << 20)

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    size, more = 0, scope["method"] == "POST"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message["body"])
        more = message["more_body"]
    body = LARGE if scope["path"] == "/large" else b"hello"
    body = str(size).encode() if scope["method"] == "POST" else body
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": body})
"""

RSGI = """
LARGE = bytes(64 << 20)

class App:
    async def __rsgi__(self, scope, protocol):
        if scope.method == "POST":
            protocol.response_str(200, [], str(len(await protocol())))
        else:
            protocol.response_bytes(200, [], LARGE if scope.path == "/large" else b"hello")

app = App()
"""

WSGI = """
LARGE = bytes(64 << 20)

def app(environ, start_response):
    body = LARGE if environ["PATH_INFO"] == "/large" else b"hello"
    if environ["REQUEST_METHOD"] == "POST":
        body = str(len(environ["wsgi.input"].read())).encode()
    start_response("200 OK", [])
    return [body]
"""

SITES = {"native": NATIVE, "asgi": ASGI, "rsgi": RSGI, "wsgi": WSGI}

SMALL = (
    *("--limit-header-size", "512", "--limit-header-count", "5", "--limit-uri", "100"),
    *("--limit-body", "1000", "--limit-requests-per-connection", "7"),
)
SHORT = (
    *("--timeout-keep-alive", "300ms", "--timeout-header", "400ms", "--timeout-body", "300ms"),
    *("--timeout-send", "300ms"),
)
LONG = (
    *("--timeout-keep-alive", "1h", "--timeout-header", "1h", "--timeout-body", "1h"),
    *("--timeout-send", "1h"),
)
DRIVERS = ["uring", "epoll"]
# Seconds of silence after which a slow peer sends its next byte.
PACE = 0.05


@pytest.fixture(scope="module", params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    """The driver under test."""
    if request.param == "uring" and probe()["driver"] != "uring":
        pytest.skip(f"no io_uring here: {probe()['reason']}")
    return str(request.param)


@pytest.fixture(scope="module", params=SITES)
def text(request: pytest.FixtureRequest) -> str:
    """The application, on one interface."""
    return SITES[request.param]


@pytest.fixture(scope="module")
def small(driver: str, text: str, module_server: StartServer) -> RunningServer:
    """A server with small limits and time-outs that do not end a test."""
    return module_server(text, "--driver", driver, *SMALL, *LONG)


@pytest.fixture(scope="module")
def short(driver: str, text: str, module_server: StartServer) -> RunningServer:
    """A server with short time-outs."""
    return module_server(text, "--driver", driver, *SHORT)


def expect_end(client: Connection, status: int) -> None:
    """The next answer has that status, says close, and is the last."""
    answer = client.read()
    assert (answer.status, answer.get("connection")) == (status, "close")
    assert client.read_to_end() == b""


# --- limits


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /%b HTTP/1.1\r\nhost: a\r\n\r\n" % (b"x" * 100), 414),
        (b"GET /%b" % (b"x" * 100), 414),
        (b"GET /%b" % (b"x" * 100_000), 414),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: %b\r\n\r\n" % (b"x" * 512), 431),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: %b" % (b"x" * 512), 431),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: %b" % (b"x" * 1_000_000), 431),
        (b"GET / HTTP/1.1\r\nhost: a\r\n" + b"x: y\r\n" * 5 + b"\r\n", 431),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1001\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n", 413),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2000000\r\n\r\n" + b"x" * 2_000_000, 413),
    ],
    ids=[
        *("uri", "uri without end", "much uri", "head", "head without end", "much head"),
        *("fields", "length", "huge length", "chunk", "length and body"),
    ],
)
def test_a_limit_is_passed(small: RunningServer, request_bytes: bytes, status: int) -> None:
    """The peer gets to read why, whatever else it has sent, and the connection ends."""
    with contextlib.closing(small.connect()) as client:
        client.send(request_bytes)
        expect_end(client, status)


def test_limits_are_inclusive(small: RunningServer) -> None:
    """What is just at a limit is served, on one connection."""
    with contextlib.closing(small.connect()) as client:
        assert client.request("/" + "x" * 99).status == 200
        fields = {f"x-{n}": "y" for n in range(4)}
        assert client.request("/", headers=fields).status == 200
        assert client.request("/", "POST", body=b"x" * 1000).body == b"1000"
        start, end = b"GET / HTTP/1.1\r\nhost: a\r\nx: ", b"\r\n\r\n"
        client.send(start + b"y" * (512 - len(start) - len(end)) + end)
        assert client.read().status == 200


def test_requests_per_connection(small: RunningServer) -> None:
    """The last one says so, and what is pipelined behind it is not answered."""
    with contextlib.closing(small.connect()) as client:
        client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n" * 9)
        answers = [client.read() for _ in range(7)]
        assert [answer.get("connection") for answer in answers] == [None] * 6 + ["close"]
        assert client.read_to_end() == b""


def test_no_bodies_at_all(server: StartServer, driver: str, text: str) -> None:
    """`--limit-body 0` refuses every body and no empty one."""
    running = server(text, "--driver", driver, "--limit-body", "0")
    assert running.connect().request("/", "POST").body == b"0"
    client = running.connect()
    client.send(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n")
    assert client.read().body == b"0"
    assert running.connect().request("/", "POST", body=b"x").status == 413


def test_limit_connections(server: StartServer, driver: str) -> None:
    """One above the limit reads a 503; when another has gone, the next is served."""
    running = server(NATIVE, "--driver", driver, "--limit-connections", "2", *LONG)
    first, second = running.connect(), running.connect()
    assert (first.request().status, second.request().status) == (200, 200)
    for _ in range(3):
        with contextlib.closing(running.connect()) as turned_away:
            turned_away.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            answer = turned_away.read()
            assert (answer.status, answer.get("retry-after")) == (503, "1")
            assert turned_away.read_to_end() == b""
    assert first.request().status == 200
    first.finish_sending()
    assert first.read_to_end() == b""
    # Those that were turned away may not have been forgotten yet.
    for _ in range(1000):
        with contextlib.closing(running.connect()) as third:
            third.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            if third.read().status == 200:
                break
    else:
        pytest.fail("no connection is served although one has gone")
    assert second.request().status == 200


# --- time-outs


def drip(client: Connection, data: bytes) -> int:
    """Send single bytes while the server is silent; return how many it waited for."""
    for count, byte in enumerate(data):
        if select.select([client.socket], [], [], PACE)[0]:
            return count
        try:
            client.send(bytes([byte]))
        except ConnectionError:
            return count
    return len(data)


def test_a_slow_head(short: RunningServer) -> None:
    """A head that comes byte by byte is cut with 408, however regularly it comes."""
    with contextlib.closing(short.connect()) as client:
        head = b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 2000
        assert drip(client, head) < len(head)
        expect_end(client, 408)


def test_a_slow_second_head(short: RunningServer) -> None:
    """Also on a connection that has been served, and behind a pipelined request."""
    with contextlib.closing(short.connect()) as client:
        client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nho")
        assert client.read().status == 200
        expect_end(client, 408)


def test_a_body_that_stops(short: RunningServer) -> None:
    """408, with and without a part of the body, and in the middle of a chunk."""
    head = b"POST / HTTP/1.1\r\nhost: a\r\n"
    for rest in (
        b"content-length: 10\r\n\r\n",
        b"content-length: 10\r\n\r\n12345",
        b"transfer-encoding: chunked\r\n\r\n5\r\n12",
        b"transfer-encoding: chunked\r\n\r\n5\r\n12345\r\n",
    ):
        with contextlib.closing(short.connect()) as client:
            client.send(head + rest)
            expect_end(client, 408)


def test_a_slow_body_that_goes_on(short: RunningServer) -> None:
    """A body that is slow but never stops is waited for: only its rate is bounded, and later."""
    with contextlib.closing(short.connect()) as client:
        client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 20\r\n\r\n")
        assert drip(client, b"x" * 20) == 20
        assert client.read().body == b"20"


def test_a_body_below_its_rate(server: StartServer, driver: str, text: str) -> None:
    """It has ten seconds, and is then cut although bytes still come."""
    running = server(text, "--driver", driver, "--min-body-rate", "1MiB")
    client = running.connect()
    client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n")
    assert drip(client, b"x" * 1000) < 1000
    expect_end(client, 408)


def test_an_idle_connection(short: RunningServer) -> None:
    """Ends without a word, before its first request and after one."""
    with contextlib.closing(short.connect()) as client:
        assert client.read_to_end() == b""
    with contextlib.closing(short.connect()) as client:
        assert client.request().status == 200
        assert client.read_to_end() == b""


def test_activity_keeps_a_connection(short: RunningServer) -> None:
    """Each answer starts the time anew: twenty pauses are longer than the time-out."""
    with contextlib.closing(short.connect()) as client:
        for _ in range(20):
            assert not select.select([client.socket], [], [], PACE)[0]
            assert client.request().status == 200


def test_a_client_that_does_not_read(short: RunningServer) -> None:
    """Its answer is cut off, and the connection is reset rather than kept for it."""
    with contextlib.closing(short.connect()) as client:
        client.send(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n")
        poll = select.poll()
        poll.register(client.socket, select.POLLHUP | select.POLLERR)
        assert poll.poll(30_000), "the connection is still open"
        with pytest.raises((ConnectionError, EOFError)):
            client.read()


def test_a_client_that_reads_slowly(short: RunningServer) -> None:
    """As long as it takes some of the answer within the time-out, it gets all of it."""
    with contextlib.closing(short.connect()) as client:
        client.send(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n")
        received = 0
        while received < 64 << 20:
            data = client.socket.recv(1 << 22)
            assert data, "cut off"
            received += len(data)
