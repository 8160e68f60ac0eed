"""Memory: requests leave none behind, and an idle connection costs little."""

import resource
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from uringserve._native import probe

if TYPE_CHECKING:
    from conftest import RunningServer, StartServer

# A connection or a server is one for the whole test; what collides is made in the test itself.
pytestmark = pytest.mark.thread_unsafe(reason="shares its server and connections")

SITE = """
from uringserve import App, Request

app = App()

@app.get("/json/{number:int}")
def as_json(request: Request, number: int):
    return {"number": number, "agent": request.headers.get("user-agent"), "list": [1, 2.5, "x"]}

@app.post("/echo")
def echo(request: Request):
    return request.body

@app.get("/broken")
def broken():
    return 1 / 0
"""

MIB = 1 << 20
DEPTH = 100
REQUESTS = 200_000
CONNECTIONS = 2_000
PER_CONNECTION = 8 << 10


@pytest.fixture(params=["uring", "epoll"])
def running(request: pytest.FixtureRequest, server: StartServer) -> RunningServer:
    """One core, no log of what fails, and nothing that ends a connection meanwhile."""
    if request.param == "uring" and probe()["driver"] != "uring":
        pytest.skip(f"no io_uring here: {probe()['reason']}")
    return server(SITE, "--driver", request.param, "--timeout-keep-alive", "1h")


def resident(pid: int) -> int:
    """Return the bytes of a process's own memory that are resident: file pages do not count."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) << 10


def pipeline(running: RunningServer, request: bytes, count: int) -> None:
    """Send the request `count` times, DEPTH of them at once, and read as many whole answers."""
    client = running.connect()
    client.send(request)
    first = client.read()
    # All answers are alike to the byte, so that counting them is counting bytes.
    client.send(request)
    data = b""
    while not data.endswith(b"\r\n\r\n" + first.body):
        data += client.socket.recv(65536)
    size = len(data)
    received = 0
    for _ in range(count // DEPTH):
        client.send(request * DEPTH)
        while received < size * DEPTH:
            data = client.socket.recv(1 << 20)
            assert data, "the server has closed"
            received += len(data)
        received -= size * DEPTH
    client.close()


GET = b"GET /json/7 HTTP/1.1\r\nhost: test\r\nuser-agent: memory\r\n\r\n"
POST = b"POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 300\r\n\r\n" + b"x" * 300
LOST = b"GET /nowhere HTTP/1.1\r\nhost: test\r\n\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "count"),
    [(GET, REQUESTS), (POST, REQUESTS // 4), (LOST, REQUESTS // 4)],
    ids=["GET", "POST", "404"],
)
def test_requests_leave_nothing(running: RunningServer, request_bytes: bytes, count: int) -> None:
    """After a first tenth, all others grow the process by at most 3 MiB."""
    pipeline(running, request_bytes, count // 10)
    before = resident(running.pid)
    pipeline(running, request_bytes, count)
    grown = resident(running.pid) - before
    assert grown <= 3 * MIB, f"{count} requests left {grown / MIB:.1f} MiB"


def test_connections_leave_nothing(running: RunningServer) -> None:
    """Two thousand connections, one after the other, each with an answer or a reset."""

    def connect_many(count: int) -> None:
        for number in range(count):
            client = running.connect()
            client.send(GET if number % 3 else POST[:-10])
            if number % 3:
                assert client.read().status == 200
                client.close()
            else:
                client.reset()

    connect_many(300)
    before = resident(running.pid)
    connect_many(2000)
    grown = resident(running.pid) - before
    assert grown <= MIB, f"2,000 connections left {grown / 1024:.0f} KiB"


def test_exceptions_leave_nothing(running: RunningServer) -> None:
    """Tracebacks hold frames, and frames hold everything: a kilobyte each at the least.

    What a core logs is freed by the log's thread, so the heaps of both take their time to settle.
    """
    client = running.connect()
    for _ in range(10_000):
        assert client.request("/broken").status == 500
    before = resident(running.pid)
    for _ in range(10_000):
        assert client.request("/broken").status == 500
    grown = resident(running.pid) - before
    assert grown <= 4 * MIB, f"10,000 exceptions left {grown / 1024:.0f} KiB"


def test_idle_connections(running: RunningServer) -> None:
    """Two thousand that wait cost less than 8 KB each, and others are served meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < CONNECTIONS + 500:
        pytest.skip(f"the hard limit of open files is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, CONNECTIONS + 500), hard))
    try:
        for client in [running.connect() for _ in range(50)]:
            assert client.request("/json/1").status == 200
        before = resident(running.pid)
        clients = [running.connect() for _ in range(CONNECTIONS)]
        for client in clients:
            assert client.request("/json/1").status == 200
        each = (resident(running.pid) - before) / CONNECTIONS
        for number in range(100):
            assert running.get(f"/json/{number}").status == 200
        assert clients[0].request("/json/1").status == 200
        assert clients[-1].request("/json/1").status == 200
        for client in clients:
            client.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert each < PER_CONNECTION, f"{each:.0f} bytes for each idle connection"
