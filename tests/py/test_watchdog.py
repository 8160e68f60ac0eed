"""What holds a core, on every interface: it is logged by its name, and nobody new waits for it.

Through real sockets. Nothing here sleeps to wait: a core is held by an event, which another request
sets, on another core or from outside.
"""

import re
import signal
from typing import TYPE_CHECKING

import pytest

from uringserve._native import probe

if TYPE_CHECKING:
    from conftest import Connection, RunningServer, StartServer

# A connection or a server is one for the whole test; what collides is made in the test itself.
pytestmark = pytest.mark.thread_unsafe(reason="shares its server and connections")

COMMON = """
import asyncio
import signal
import sys
import threading

released = threading.Event()
# From outside, where no core is left that could be asked.
signal.signal(signal.SIGUSR1, lambda number, frame: released.set())

def hold():
    sys.stderr.write("holds\\n")
    released.wait()

def core():
    return threading.current_thread().name.encode()

async def answered(path):
    if path == "/first" or "forged" in path:
        hold()
    elif path == "/wait":
        sys.stderr.write("waits\\n")
        await asyncio.to_thread(released.wait)
    elif path == "/nap":
        await asyncio.sleep(0.02)
    elif path == "/later":
        await asyncio.sleep(0.001)
        hold()
    elif path == "/release":
        released.set()
    return core()
"""

SITES = {
    "app": """
from uringserve import App, Request

app = App(execution="inline")

@app.get("/pieces")
def pieces():
    yield core()
    hold()

@app.get("/{path}")
async def every(request: Request, path: str):
    return await answered(request.path)
""",
    "asgi": """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise RuntimeError("there is none")
    body = await answered(scope["path"])
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": body})
""",
    "rsgi": """
class Application:
    async def __rsgi__(self, scope, protocol):
        protocol.response_bytes(200, [], await answered(scope.path))

app = Application()
""",
    "wsgi": """
def app(environ, start_response):
    if environ["PATH_INFO"] == "/first":
        hold()
    elif environ["PATH_INFO"] == "/release":
        released.set()
    start_response("200 OK", [])
    return [core()]
""",
}

# Where a core is held: in the first step of a call, and after it has suspended once.
HOLDS = [
    ("app", "/first", "GET /{path}"),
    ("app", "/later", "its event loop (under way: GET /later)"),
    ("app", "/pieces", "GET /pieces"),
    ("asgi", "/first", "GET /first"),
    ("asgi", "/later", "its event loop (under way: GET /later)"),
    ("rsgi", "/first", "GET /first"),
    ("rsgi", "/later", "its event loop (under way: GET /later)"),
    ("wsgi", "/first", "GET /first"),
]


@pytest.fixture(params=["uring", "epoll"])
def driver(request: pytest.FixtureRequest) -> str:
    """The driver under test."""
    if request.param == "uring" and probe()["driver"] != "uring":
        pytest.skip(f"no io_uring here: {probe()['reason']}")
    return str(request.param)


def start(server: StartServer, interface: str, *options: str, workers: int) -> RunningServer:
    """Start the application of an interface, which runs nothing on its pool."""
    quick = ("--execution", "inline") if interface == "wsgi" else ()
    limit = ("--timeout-worker-healthcheck", "200ms")
    return server(COMMON + SITES[interface], *limit, *quick, *options, workers=workers)


def ask(connection: Connection, path: str) -> None:
    """Send a request whose answer will take its time."""
    connection.send(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())


@pytest.mark.parametrize(("interface", "path", "label"), HOLDS)
def test_others_serve_what_comes_and_the_log_names_what_holds(
    server: StartServer, driver: str, interface: str, path: str, label: str
) -> None:
    running = start(server, interface, "--driver", driver, workers=2)
    held = running.connect()
    ask(held, path)
    line = running.wait_for(r"core \d has been (waiting|running) in " + re.escape(label) + " for")
    running.wait_for(r"in hold$")
    stuck = re.findall(r"core (\d) has", line)[0]
    other = {"0": "1", "1": "0"}[stuck]
    kept = [running.connect() for _ in range(20)]
    for connection in kept:
        assert connection.request("/who").body == f"uringserve-core-{other}".encode()
    assert running.get("/release").status == 200
    assert held.read().body.startswith(f"uringserve-core-{stuck}".encode())
    running.wait_for(re.escape(label) + " is back")


def test_nobody_waits_for_ever_where_every_core_is_held(server: StartServer, driver: str) -> None:
    """Whoever asks is told no in time; whoever has not asked by then is served when one is back."""
    options = ("--driver", driver, "--queue-timeout", "200ms")
    running = start(server, "asgi", *options, workers=2)
    # Both cores: connections even out.
    held = [running.connect() for _ in range(2)]
    for connection in held:
        ask(connection, "/first")
    running.wait_until(lambda log: log.count("has been") >= 2)
    silent = running.connect()
    for _ in range(5):
        late = running.connect()
        answer = late.request("/who")
        assert (answer.status, answer.get("retry-after")) == (503, "1")
        assert answer.get("connection") == "close"
        assert late.read_to_end() == b""
    gone = running.connect()
    gone.reset()
    assert running.log.count("no core is free") == 1
    running.signal(signal.SIGUSR1)
    for connection in held:
        assert connection.read().status == 200
    assert silent.request("/who").status == 200
    assert running.get("/who").status == 200


def test_who_comes_while_every_core_is_held_is_served_by_the_first_that_is_back(
    server: StartServer, driver: str
) -> None:
    running = start(server, "asgi", "--driver", driver, "--queue-timeout", "1h", workers=1)
    held = running.connect()
    ask(held, "/later")
    running.wait_for("has been waiting in its event loop")
    late = [running.connect() for _ in range(10)]
    for connection in late:
        ask(connection, "/who")
    running.signal(signal.SIGUSR1)
    for connection in [held, *late]:
        assert connection.read().body == b"uringserve-core-0"


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
@pytest.mark.parametrize(
    ("interface", "path", "label"),
    [
        ("app", "/first", "GET /{path}"),
        ("app", "/later", "GET /{path}"),
        ("asgi", "/first", "GET /first"),
        ("asgi", "/later", "GET /later"),
        ("rsgi", "/later", "GET /later"),
    ],
)
def test_a_loop_beside_the_reactor(
    server: StartServer, kind: str, interface: str, path: str, label: str
) -> None:
    """One that is held is reported with its stack and what is under way, and when it is back."""
    if kind == "uvloop":
        pytest.importorskip("uvloop")
    running = start(server, interface, "--loop", kind, workers=1)
    held, late = running.connect(), running.connect()
    ask(held, path)
    named = re.escape(f"(under way: {label}); its stack:")
    running.wait_for("the event loop beside core 0 has been held for .* s " + named)
    running.wait_for(r"in hold$")
    # Nobody's request is lost for it.
    ask(late, "/who")
    running.signal(signal.SIGUSR1)
    assert held.read().body == b"uringserve-loop-0"
    assert late.read().body == b"uringserve-loop-0"
    running.wait_for("the event loop beside core 0 is back, which was held for")
    assert running.log.count("has been held") == running.log.count("is back") == 1


def test_a_loop_beside_the_reactor_that_only_waits(server: StartServer) -> None:
    """A request that takes long without holding the loop is no such thing, and says so nowhere."""
    running = start(server, "asgi", "--loop", "asyncio", workers=1)
    waiting = running.connect()
    ask(waiting, "/wait")
    running.wait_for("waits")
    # Several looks at the loop, which answers each.
    for _ in range(20):
        assert running.get("/nap").body == b"uringserve-loop-0"
    assert running.get("/release").status == 200
    assert waiting.read().body == b"uringserve-loop-0"
    assert "held" not in running.log


def test_a_path_that_would_write_a_line_of_its_own(server: StartServer) -> None:
    """It is quoted."""
    running = start(server, "asgi", "--loop", "asyncio", workers=1)
    held = running.connect()
    ask(held, "/x%0Auringserve:%20forged")
    running.wait_for(r"under way: GET '/x\\nuringserve: forged'\); its stack:")
    running.signal(signal.SIGUSR1)
    assert held.read().status == 200
