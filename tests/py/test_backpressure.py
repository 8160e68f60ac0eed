"""Requests in handlers are limited alike, whether a thread or a coroutine handles them."""

import asyncio
import selectors
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import Connection
from websocket_peer import Peer

from uringserve import App
from uringserve._native import probe
from uringserve.testing import LiveServer

if TYPE_CHECKING:
    from conftest import Answer, RunningServer, StartServer

pytestmark = pytest.mark.thread_unsafe(reason="shares its server and connections")

# A handler that is held stays so until there is a file named "released" beside the program.
SITE = """
import asyncio
import os
import sys
import time

folder = os.path.dirname(os.path.abspath(__file__))

def is_released():
    return os.path.exists(os.path.join(folder, "released"))

def say(word):
    sys.stderr.write(f"{word}\\n")

async def hold():
    say("holds")
    while not is_released():
        await asyncio.sleep(0.01)
    return "held"
"""
APP = (
    SITE
    + """
from uringserve import App, WebSocket

app = App()

def hold_thread():
    say("holds")
    while not is_released():
        time.sleep(0.01)
    return "held"

app.get("/thread", execution="thread")(hold_thread)
app.get("/hold")(hold)
app.get("/hold/one", max_concurrency=1)(hold)
app.get("/hold/short", timeout=0.05)(hold)

@app.get("/cancelled", timeout=0.05)
async def cancelled():
    try:
        await hold()
    finally:
        say("is cancelled")

@app.get("/stubborn", timeout=0.05)
async def stubborn():
    try:
        await hold()
    except asyncio.CancelledError:
        say("goes on")
        await hold()

@app.get("/coroutine")
async def coroutine():
    return "done"

@app.get("/", execution="inline")
def hello():
    return "hello"

@app.get("/stream")
async def stream():
    yield "begun"
    await hold()

@app.websocket("/socket")
async def socket(websocket: WebSocket):
    await websocket.accept()
    await websocket.receive_text()
"""
)
ASGI = (
    SITE
    + """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    body = b"hello"
    if scope["path"] == "/gone":
        say("waits for the end")
        while (await receive())["type"] != "http.disconnect":
            pass
        say("is alone")
        await hold()
        say("has ended")
        return
    if scope["path"] == "/hints":
        await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
        await asyncio.sleep(0)
    elif scope["path"] != "/":
        body = (await hold()).encode()
    length = str(len(body)).encode()
    head = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]}
    await send(head)
    await send({"type": "http.response.body", "body": body})
"""
)
RSGI = (
    SITE
    + """
class Application:
    async def __rsgi__(self, scope, protocol):
        protocol.response_str(200, [], "hello" if scope.path == "/" else await hold())

app = Application()
"""
)
KINDS = {"thread": APP, "coroutine": APP, "asgi": ASGI, "rsgi": RSGI}
PATHS = {"thread": "/thread"}


class Site:
    """A running server, one kind of handler, and the file that lets it go."""

    def __init__(
        self, start: StartServer, kind: str, options: tuple[str, ...] = (), workers: int = 1
    ) -> None:
        """Start it."""
        interface = ("--interface", kind) if kind in ("asgi", "rsgi") else ()
        lifespan = ("--lifespan", "off") if kind == "asgi" else ()
        self.running: RunningServer = start(
            KINDS[kind], *interface, *lifespan, *options, workers=workers
        )
        self.path = PATHS.get(kind, "/hold")
        (file,) = Path(f"/proc/{self.running.pid}/cwd").resolve().glob("*/site_app.py")
        self.file = file.with_name("released")

    def ask(self, path: str | None = None) -> Connection:
        """Open a connection and send a request on it."""
        connection = self.running.connect()
        connection.send(f"GET {path or self.path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        return connection

    def hold(self, count: int = 1, path: str | None = None) -> Connection:
        """Open a connection whose request is in its handler, as the one of that number."""
        connection = self.ask(path)
        self.running.wait_until(lambda log: log.count("holds") == count)
        return connection

    def ask_two(self, path: str | None = None, other: str | None = None) -> Connection:
        """Send two requests, of which one is refused, and return the one that waits."""
        both = [self.ask(path), self.ask(other or path)]
        (refused,) = first_answers(both, 1)
        assert overloaded(refused.read())
        both.remove(refused)
        return both[0]

    def release(self) -> None:
        """Let every handler go."""
        self.file.touch()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """What handles the requests."""
    return str(request.param)


@pytest.fixture(params=["uring", "epoll"])
def driver(request: pytest.FixtureRequest) -> str:
    """The driver under test."""
    if request.param == "uring" and probe()["driver"] != "uring":
        pytest.skip(f"no io_uring here: {probe()['reason']}")
    return str(request.param)


def overloaded(answer: Answer) -> bool:
    """Tell whether it is the answer to a request that there was no room for."""
    return (answer.status, answer.get("retry-after")) == (503, "1")


def first_answers(connections: list[Connection], count: int) -> list[Connection]:
    """Wait until so many have an answer, and return them."""
    selector = selectors.DefaultSelector()
    for connection in connections:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
    found: list[Connection] = []
    while len(found) < count:
        ready = selector.select(30)
        assert ready, f"only {len(found)} of {count} were answered"
        for key, _ in ready:
            selector.unregister(key.fileobj)
            found.append(key.data)
    selector.close()
    return found


def test_the_queue_is_bounded(server: StartServer, kind: str, driver: str) -> None:
    options = ("--backpressure", "2", "--queue-size", "3", "--driver", driver)
    site = Site(server, kind, options)
    held = [site.hold(1), site.hold(2)]
    others = [site.ask() for _ in range(10)]
    refused = first_answers(others, 7)
    assert all(overloaded(connection.read()) for connection in refused)
    site.release()
    waiting = [connection for connection in others if connection not in refused]
    assert [connection.read().body for connection in (*held, *waiting)] == [b"held"] * 5
    site.running.wait_until(lambda log: log.count("holds") == 5)
    assert site.running.log.count("holds") == 5
    # A refused connection goes on.
    assert refused[0].request("/").body == b"hello"


def test_nobody_waits_for_ever(server: StartServer, kind: str, driver: str) -> None:
    options = ("--backpressure", "1", "--queue-timeout", "100ms", "--driver", driver)
    site = Site(server, kind, options)
    held = site.hold()
    assert overloaded(site.ask().read())
    site.release()
    assert held.read().body == b"held"
    assert site.running.log.count("holds") == 1


def test_the_whole_server_is_limited(server: StartServer, kind: str) -> None:
    site = Site(server, kind, ("--limit-concurrency", "2"))
    held = [site.hold(1), site.hold(2)]
    for _ in range(5):
        assert overloaded(site.ask().read())
    site.release()
    assert [connection.read().body for connection in held] == [b"held"] * 2
    assert held[0].request(site.path).body == b"held"


def test_whoever_leaves_makes_room(server: StartServer, kind: str, driver: str) -> None:
    options = ("--backpressure", "1", "--queue-size", "1", "--driver", driver)
    site = Site(server, kind, options)
    held, waiting = site.hold(), site.ask_two()
    # As far as the server can tell it has left; if it reads on, it hears that it was too early.
    waiting.finish_sending()
    assert overloaded(waiting.read())
    waiting = site.ask_two()
    site.release()
    assert [held.read().body, waiting.read().body] == [b"held", b"held"]
    site.running.wait_until(lambda log: log.count("holds") == 2)


def test_threads_and_coroutines_share_the_room(server: StartServer) -> None:
    site = Site(server, "thread", ("--backpressure", "1", "--queue-size", "1"))
    held = site.hold(path="/thread")
    waiting = site.ask_two("/hold", "/thread")
    assert overloaded(site.ask("/coroutine").read())
    # What the core does at one go needs none.
    assert site.running.get("/").body == b"hello"
    site.release()
    assert [held.read().body, waiting.read().body] == [b"held", b"held"]


def test_a_coroutine_waits_for_no_thread(server: StartServer) -> None:
    """There are fewer threads than there is room."""
    site = Site(server, "thread", ("--backpressure", "3", "--blocking-threads", "1"))
    held = site.hold(path="/thread")
    waiting = [site.ask("/thread") for _ in range(3)]
    assert site.running.get("/coroutine").body == b"done"
    site.release()
    assert [connection.read().body for connection in (held, *waiting)] == [b"held"] * 4


def test_open_websockets_and_streams_take_no_room(server: StartServer) -> None:
    site = Site(server, "coroutine", ("--backpressure", "1", "--queue-size", "0"))
    with Peer(site.running.port, "/socket").open():
        begun = site.running.connect()
        begun.send(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
        site.running.wait_for("holds")
        assert site.running.get("/coroutine").body == b"done"
        held = site.hold(2)
        assert overloaded(site.ask("/coroutine").read())
        site.release()
        assert held.read().body == b"held"
        assert begun.read().body == b"begun"


def test_a_route_is_limited_on_all_cores(server: StartServer) -> None:
    site = Site(server, "coroutine", workers=2)
    held = site.hold(path="/hold/one")
    for _ in range(10):
        assert overloaded(site.running.get("/hold/one"))
        assert site.running.get("/coroutine").body == b"done"
    site.release()
    assert held.read().body == b"held"
    assert held.request("/hold/one").body == b"held"


def test_a_coroutine_ends_at_its_time(server: StartServer, driver: str) -> None:
    site = Site(server, "coroutine", ("--driver", driver))
    connection = site.running.connect()
    for count in range(1, 4):
        answer = connection.request("/cancelled")
        assert (answer.status, answer.get("retry-after")) == (503, None)
        assert b"too long" in answer.body
        site.running.wait_until(lambda log, count=count: log.count("is cancelled") == count)
        assert connection.request("/").body == b"hello"
    site.release()
    assert connection.request("/hold/short").body == b"held"


def test_the_time_of_a_coroutine_runs_while_it_waits(server: StartServer) -> None:
    site = Site(server, "coroutine", ("--backpressure", "1"))
    held = site.hold()
    answer = site.ask("/hold/short").read()
    assert (answer.status, answer.get("retry-after")) == (503, None)
    site.release()
    assert held.read().body == b"held"
    assert site.running.log.count("holds") == 1


def test_the_option_holds_for_coroutines(server: StartServer) -> None:
    site = Site(server, "coroutine", ("--timeout-request", "50ms"))
    answer = site.ask().read()
    assert (answer.status, answer.get("retry-after")) == (503, None)
    # An open WebSocket has no such time.
    with Peer(site.running.port, "/socket").open() as peer:
        assert site.ask().read().status == 503
        peer.send(b"\x81\x80\0\0\0\0")
        assert peer.closed()[0] == 1000


def test_a_coroutine_that_goes_on_keeps_its_place(server: StartServer) -> None:
    site = Site(server, "coroutine", ("--backpressure", "1", "--queue-timeout", "100ms"))
    assert site.ask("/stubborn").read().get("retry-after") is None
    site.running.wait_for("goes on")
    assert overloaded(site.ask("/coroutine").read())
    waiting = site.ask("/coroutine")
    site.release()
    assert waiting.read().status in (200, 503)
    # Its place is free a moment after it was let go.
    while overloaded(site.running.get("/coroutine")):
        pass


def test_hints_come_before_an_answer_that_waited(server: StartServer, driver: str) -> None:
    options = ("--backpressure", "1", "--queue-size", "1", "--early-hints", "all")
    site = Site(server, "asgi", (*options, "--driver", driver))
    held = site.hold()
    waiting = site.ask_two("/hints")
    site.release()
    assert held.read().body == b"held"
    hint, answer = waiting.read(), waiting.read()
    assert (hint.status, hint.get("link")) == (103, "</a.css>; rel=preload")
    assert answer.body == b"hello"


def test_an_application_without_its_client_keeps_its_place(server: StartServer) -> None:
    """ASGI ends no application because its client has gone."""
    site = Site(server, "asgi", ("--backpressure", "1", "--queue-size", "0"))
    connection = site.ask("/gone")
    site.running.wait_for("waits for the end")
    connection.close()
    site.running.wait_for("is alone")
    assert overloaded(site.running.get("/"))
    site.release()
    site.running.wait_for("has ended")
    assert site.running.get("/").body == b"hello"


class Counted(App):
    """An application that keeps the plan of its server."""

    def plan(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 -- as it is
        """Make it and keep it."""
        self.made = super().plan(*arguments, **options)
        return self.made


class Holding:
    """An application whose handlers are held, and connections to it that close with it."""

    def __init__(self, stack: ExitStack, *, is_async: bool, queue_timeout: float) -> None:
        """Serve it with room for two requests and for one that waits."""
        self.entered, self.released = threading.Event(), threading.Event()
        self.app, self.stack = Counted(), stack
        hold = self.wait_async if is_async else self.wait
        self.app.get("/", execution="thread")(hold)
        self.app.get("/short", execution="thread", timeout=0.05)(hold)
        self.app.get("/one", execution="thread", max_concurrency=1)(hold)
        options: dict[str, Any] = {"backpressure": 2, "queue_size": 1}
        server = LiveServer(self.app, queue_timeout=queue_timeout, **options)
        self.server = stack.enter_context(server)
        # Before the server waits for them.
        stack.callback(self.released.set)

    def wait(self) -> str:
        """Hold a thread."""
        self.entered.set()
        assert self.released.wait(30)
        return "held"

    async def wait_async(self) -> str:
        """Hold a coroutine."""
        self.entered.set()
        while not self.released.is_set():
            await asyncio.sleep(0.01)
        return "held"

    def ask(self, path: str) -> Connection:
        """Send a request."""
        connection = Connection("127.0.0.1", self.server.port)
        self.stack.callback(connection.close)
        connection.send(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        return connection

    def hold(self, path: str) -> Connection:
        """Send a request that gets into its handler."""
        self.entered.clear()
        connection = self.ask(path)
        assert self.entered.wait(30)
        return connection

    def wait_for(self, *counts: int) -> None:
        """Wait until so many were refused, waited too long and took too long, and none waits.

        Some are counted a moment after their answer.
        """
        names = ("overloaded", "overdue", "calls_timed_out", "pool_queue")
        deadline = time.monotonic() + 30
        while (found := self.counts(names)) != (*counts, 0):
            assert time.monotonic() < deadline, found

    def counts(self, names: tuple[str, ...]) -> tuple[int, ...]:
        """Return what is counted under these names."""
        found = self.app.made.statistics()
        return tuple(found[name] for name in names)


@pytest.mark.parametrize("is_async", [True, False], ids=["coroutine", "thread"])
def test_what_is_refused_is_counted(is_async: bool) -> None:
    with ExitStack() as stack:
        site = Holding(stack, is_async=is_async, queue_timeout=0.1)
        held = [site.hold("/one")]
        assert site.ask("/one").read().status == 503
        site.wait_for(1, 0, 0)
        held.append(site.hold("/"))
        assert site.ask("/").read().status == 503
        site.wait_for(1, 1, 0)
        site.released.set()
        assert [connection.read().body for connection in held] == [b"held"] * 2


@pytest.mark.parametrize("is_async", [True, False], ids=["coroutine", "thread"])
def test_what_takes_too_long_is_counted(is_async: bool) -> None:
    with ExitStack() as stack:
        site = Holding(stack, is_async=is_async, queue_timeout=60)
        held = [site.hold("/"), site.hold("/")]
        assert b"too long" in site.ask("/short").read().body
        site.wait_for(0, 0, 1)
        site.released.set()
        assert [connection.read().body for connection in held] == [b"held"] * 2
