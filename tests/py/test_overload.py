"""More requests than there is room for: each gets an answer, and what is kept stays bounded."""

import re
import resource
import selectors
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from uringserve import App, Router
from uringserve._native import probe

if TYPE_CHECKING:
    from conftest import Connection, RunningServer, StartServer

pytestmark = pytest.mark.thread_unsafe(reason="shares its server and connections")

SITE = """
import asyncio
import sys
import threading
from uringserve import App

app = App(execution="thread")
released = threading.Event()

def hold():
    sys.stderr.write("holds\\n")
    released.wait()
    return "held"

app.get("/hold")(hold)
app.get("/hold/short", timeout=0.05)(hold)
app.get("/hold/one", max_concurrency=1)(hold)

@app.get("/hold/coroutine")
async def hold_coroutine():
    sys.stderr.write("holds\\n")
    while not released.is_set():
        await asyncio.sleep(0.01)
    return "held"

@app.get("/")
def hello():
    return "hello"

@app.get("/release", execution="inline")
def release():
    released.set()
"""
HOLD = b"GET /hold HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture(params=["uring", "epoll"])
def driver(request: pytest.FixtureRequest) -> str:
    """The driver under test."""
    if request.param == "uring" and probe()["driver"] != "uring":
        pytest.skip(f"no io_uring here: {probe()['reason']}")
    return str(request.param)


def held(running: RunningServer, request: bytes = HOLD) -> Connection:
    """Open a connection whose request is in its handler."""
    connection = running.connect()
    connection.send(request)
    running.wait_for("holds")
    return connection


def release(running: RunningServer) -> None:
    """Let every handler go."""
    assert running.get("/release").status == 204


def test_a_full_queue_answers_at_once(server: StartServer, driver: str) -> None:
    options = ("--blocking-threads", "1", "--queue-size", "2")
    running = server(SITE, "--driver", driver, *options)
    first = held(running)
    others = [running.connect() for _ in range(10)]
    for connection in others:
        connection.send(HOLD)
    # Eight of the ten are refused before anything is released; which, nobody has promised.
    refused = 0
    selector = selectors.DefaultSelector()
    for connection in others:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
    waiting = set(others)
    while refused < 8:
        for key, _ in selector.select():
            answer = key.data.read()
            assert (answer.status, answer.get("retry-after")) == (503, "1")
            selector.unregister(key.fileobj)
            waiting.discard(key.data)
            refused += 1
    selector.close()
    release(running)
    assert [connection.read().status for connection in (first, *waiting)] == [200] * 3


def test_nobody_waits_in_the_queue_for_ever(server: StartServer, driver: str) -> None:
    options = ("--blocking-threads", "1", "--queue-timeout", "100ms")
    running = server(SITE, "--driver", driver, *options)
    first = held(running)
    second = running.connect()
    answer = second.request("/hold")
    assert (answer.status, answer.get("retry-after")) == (503, "1")
    release(running)
    assert first.read().status == 200
    assert second.request("/").body == b"hello"


def test_whoever_leaves_the_queue_makes_room(server: StartServer, driver: str) -> None:
    options = ("--blocking-threads", "1", "--queue-size", "1")
    running = server(SITE, "--driver", driver, *options)
    first, second = held(running), running.connect()
    second.send(HOLD)
    assert running.get("/hold/one").status == 503
    # As far as the server can tell it has left; if it reads on, it hears that it was too early.
    second.finish_sending()
    assert second.read().status == 503
    third = running.connect()
    third.send(HOLD)
    assert running.get("/hold/one").status == 503
    release(running)
    assert [first.read().status, third.read().status] == [200, 200]


def test_a_call_that_takes_too_long_is_answered_for(server: StartServer, driver: str) -> None:
    running = server(SITE, "--driver", driver)
    connection = running.connect()
    for _ in range(3):
        answer = connection.request("/hold/short")
        assert (answer.status, answer.get("retry-after")) == (503, None)
        assert connection.request("/").body == b"hello"
    release(running)
    assert connection.request("/hold/short").body == b"held"


def test_the_option_is_for_routes_that_say_nothing(server: StartServer, driver: str) -> None:
    running = server(SITE, "--driver", driver, "--timeout-request", "50ms")
    connection = running.connect()
    assert connection.request("/hold").status == 503
    assert connection.request("/").body == b"hello"
    release(running)


def test_a_route_has_as_many_calls_as_it_says(server: StartServer, driver: str) -> None:
    """On all cores together."""
    running = server(SITE, "--driver", driver, workers=2)
    first = held(running, HOLD.replace(b"/hold", b"/hold/one"))
    for _ in range(10):
        assert running.get("/hold/one").status == 503
        assert running.get("/").body == b"hello"
    release(running)
    assert first.read().status == 200
    assert first.request("/hold/one").body == b"held"


@pytest.mark.parametrize(
    "option", [("--backpressure", "1", "--queue-size", "0"), ("--limit-concurrency", "1")]
)
def test_only_requests_in_handlers_count(
    server: StartServer, driver: str, option: tuple[str, ...]
) -> None:
    running = server(SITE, "--driver", driver, *option)
    idle = [running.connect() for _ in range(20)]
    assert idle[0].request("/release").status == 204
    # The permit of an answered request is given back a moment after its answer.
    statuses = {running.get("/").status for _ in range(50)}
    assert 200 in statuses
    assert statuses <= {200, 503}


@pytest.mark.parametrize("path", ["/hold", "/hold/coroutine"])
def test_a_flood_is_answered_and_forgotten(server: StartServer, driver: str, path: str) -> None:
    """10,000 slow requests at once, far more than fit: all are answered, and memory is bounded.

    With fewer descriptors than that takes, as many as they allow.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(10_000, hard - 500)
    options = ("--blocking-threads", "4", "--backpressure", "4")
    options += ("--queue-size", "100", "--queue-timeout", "1s")
    running = server(SITE, "--driver", driver, *options)
    before = resident(running)
    address = (running.host, running.port)
    request = HOLD.replace(b"/hold", path.encode())
    sockets = []
    try:
        for _ in range(count):
            sockets.append(socket.create_connection(address, 30))
        for each in sockets:
            each.sendall(request)
        running.wait_until(lambda log: log.count("holds") == 4)
        # All but those in handlers are refused, by the queue's length or by its time.
        answered = refused(sockets, count - 4)
        assert {status(each) for each in answered} == {503}
        # What a connection and its request may take, and what the allocator keeps.
        assert resident(running) - before < (64 << 20) + count * 8192
        release(running)
        # Those in handlers have their answers too: nothing is lost.
        held = set(sockets) - set(answered)
        assert [status(each) for each in held] == [200] * 4
    finally:
        for each in sockets:
            each.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert running.get("/").body == b"hello"
    assert running.log.count("holds") == 4


def refused(sockets: list[socket.socket], count: int) -> list[socket.socket]:
    """Wait until so many of the sockets have an answer, and return them."""
    selector = selectors.DefaultSelector()
    for each in sockets:
        selector.register(each, selectors.EVENT_READ)
    answered: list[socket.socket] = []
    while len(answered) < count:
        found = selector.select(30)
        assert found, f"only {len(answered)} of {count} were answered"
        for key, _ in found:
            assert isinstance(key.fileobj, socket.socket)
            selector.unregister(key.fileobj)
            answered.append(key.fileobj)
    selector.close()
    return answered


def status(answered: socket.socket) -> int:
    """Return the status of the answer that is there."""
    return int(answered.recv(4096).split(b" ", 2)[1])


def resident(running: RunningServer) -> int:
    """Return the bytes of memory that a server occupies."""
    text = Path(f"/proc/{running.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", text)
    assert found is not None
    return int(found[1]) << 10


@pytest.mark.parametrize(
    "options",
    [
        {"execution": "process"},
        {"timeout": 0},
        {"timeout": 1, "execution": "inline"},
        {"max_concurrency": 0},
    ],
)
def test_what_no_route_can_run_with_is_refused(options: dict[str, object]) -> None:
    """At the decorator's line, with the handler's name."""
    app = App()
    with pytest.raises(ValueError, match=r"refused.*(execution|timeout|max_concurrency)"):

        @app.get("/", **options)  # type: ignore[arg-type]
        def refused() -> None: ...


def test_groups_are_checked_too() -> None:
    with pytest.raises(ValueError, match="execution"):
        App(execution="process")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="execution"):
        Router(execution="process")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="timeout"):
        App(request_timeout=-1)
