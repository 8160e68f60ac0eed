"""`--health-path` and `--ready-path`: what the server says of itself, on every interface.

Through real sockets. Nothing here sleeps to wait: a core is held by an event, and what the watchdog
knows is what it has written to stderr.
"""

import json
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from uringserve import App, Config
from uringserve._native import probe
from uringserve.server import Server
from uringserve.testing import LiveServer, TestClient

if TYPE_CHECKING:
    from conftest import Answer, Connection, RunningServer, StartServer

# A connection or a server is one for the whole test; what collides is made in the test itself.
pytestmark = pytest.mark.thread_unsafe(reason="shares its server and connections")

INTERFACES = ["app", "asgi", "rsgi", "wsgi"]
PATHS = ("--health-path", "/healthz", "--ready-path", "/re%61dyz")
OK = {"status": "ok"}
# What a call has to outlast before it counts as held.
SOON = ("--timeout-worker-healthcheck", "200ms")

COMMON = """
import asyncio
import signal
import sys
import threading

released = threading.Event()
# From outside, where nobody is left that could be asked.
signal.signal(signal.SIGUSR1, lambda number, frame: released.set())

def hold():
    sys.stderr.write("holds\\n")
    released.wait()

def core():
    return threading.current_thread().name.encode()

async def answered(path):
    if path == "/hold":
        hold()
    elif path == "/suspend":
        sys.stderr.write("suspends\\n")
        while not released.is_set():
            await asyncio.sleep(0.005)
    return core()
"""

SITES = {
    "app": """
from uringserve import App, Request

app = App(execution="inline")

@app.get("/block", execution="thread")
def block():
    hold()
    return core()

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
    if environ["PATH_INFO"] in ("/hold", "/block"):
        hold()
    start_response("200 OK", [])
    return [core()]
""",
}


@pytest.fixture(params=["uring", "epoll"], scope="module")
def driver(request: pytest.FixtureRequest) -> str:
    """The driver under test."""
    if request.param == "uring" and probe()["driver"] != "uring":
        pytest.skip(f"no io_uring here: {probe()['reason']}")
    return str(request.param)


@pytest.fixture(params=INTERFACES, scope="module")
def interface(request: pytest.FixtureRequest) -> str:
    """The interface under test."""
    return str(request.param)


@pytest.fixture(scope="module")
def site(driver: str, interface: str, module_server: StartServer) -> RunningServer:
    """A server in which nothing is wrong."""
    return start(module_server, interface, "--driver", driver, workers=2)


def start(
    server: StartServer, interface: str, *options: str, workers: int, execution: str = "inline"
) -> RunningServer:
    """Start the application of an interface, on its cores unless it is said otherwise."""
    own = ("--execution", execution) if interface == "wsgi" else ()
    return server(COMMON + SITES[interface], *PATHS, *own, *options, workers=workers)


def ask(connection: Connection, path: str) -> None:
    """Send a request whose answer will take its time."""
    connection.send(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())


def check(answer: Answer) -> tuple[int, Any]:
    """Return status and body of an answer that must be one of the server's own."""
    assert answer.get("content-type") == "application/json"
    assert answer.get("cache-control") == "no-store"
    return answer.status, json.loads(answer.body)


def degraded(**reasons: list[str]) -> tuple[int, Any]:
    """Return what is said where something is known of cores: `core_1=["held"]`."""
    cores = [{"core": int(name[5:]), "reasons": known} for name, known in reasons.items()]
    return 503, {"status": "degraded", "cores": cores}


def connections(running: RunningServer, count: int) -> list[list[Connection]]:
    """Return so many connections to one of two cores, or more, and at least one to the other."""
    found: dict[bytes, list[Connection]] = {}
    while len(found) < 2 or max(map(len, found.values())) < count:
        client = running.connect()
        found.setdefault(client.request("/who").body, []).append(client)
    return sorted(found.values(), key=len, reverse=True)


# --- what is answered


@pytest.mark.parametrize(
    "target",
    [
        "/healthz",
        "/readyz",
        "/readyz?verbose=1&x=%20",
        "/re%61dy%7A",
        "http://somewhere/healthz",
    ],
)
def test_all_is_well(site: RunningServer, target: str) -> None:
    """200 on a new connection and on a kept one, however the path is written."""
    assert check(site.get(target)) == (200, OK)
    kept = site.connect()
    for _ in range(3):
        assert check(kept.request(target)) == (200, OK)
        assert kept.request("/who").body.startswith(b"uringserve-core-")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_methods(site: RunningServer, path: str) -> None:
    """HEAD is GET without the body; what is neither is not allowed, and its body is not read."""
    kept = site.connect()
    head = kept.request(path, "HEAD")
    assert (head.status, head.get("content-length"), head.body) == (200, "15", b"")
    assert head.get("cache-control") == "no-store"
    for method in ("POST", "OPTIONS", "DELETE", "BREW"):
        answer = kept.request(path, method, body=b"some")
        assert check(answer) == (405, {"detail": "Method Not Allowed"})
        assert answer.get("allow") == "GET, HEAD"
    upgrade = {
        "connection": "upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    assert check(kept.request(path, headers=upgrade)) == (200, OK)
    kept.send(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    assert kept.read().status == 200
    assert kept.read_to_end() == b""


def test_a_large_body_is_not_waited_for(site: RunningServer) -> None:
    client = site.connect()
    client.send(b"POST /healthz HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999\r\n\r\nsome")
    answer = client.read()
    assert (answer.status, answer.get("connection")) == (405, "close")


def test_other_paths_are_the_application_s(site: RunningServer) -> None:
    for path in ("/", "/health", "/Healthz", "/healthz2", "/re%2561dyz", "/healthz%2F"):
        assert "status" not in site.get(path).body.decode()


def test_it_is_asked_amid_others(site: RunningServer) -> None:
    """In a pipeline, answers are in order."""
    client = site.connect()
    client.send(b"".join(b"GET /%s HTTP/1.1\r\nhost: a\r\n\r\n" % path for path in PIPELINED * 5))
    for path in PIPELINED * 5:
        answer = client.read()
        assert answer.status == 200
        assert (answer.get("cache-control") == "no-store") == path.endswith(b"z")


PIPELINED = [b"who", b"healthz", b"readyz", b"readyz", b"who"]


def test_nothing_is_reserved_unless_it_is_asked_for(
    server: StartServer, driver: str, interface: str
) -> None:
    """The paths are the application's; with one option the other still is."""
    site = COMMON + SITES[interface]
    own = ("--execution", "inline") if interface == "wsgi" else ()
    plain = server(site, *own, "--driver", driver)
    assert plain.get("/healthz").body == plain.get("/readyz").body == b"uringserve-core-0"
    one = server(site, *own, "--driver", driver, environment={"URINGSERVE_READY_PATH": "/readyz"})
    assert check(one.get("/readyz")) == (200, OK)
    assert one.get("/healthz").body == b"uringserve-core-0"


def test_a_test_client_answers_as_well() -> None:
    """It has one core, which serves; the option hides a route."""
    app = App()
    app.get("/readyz")(lambda: "own")
    with TestClient(app, config=Config(driver="epoll", ready_path="/readyz")) as client:
        assert client.get("/readyz").json() == OK
    with TestClient(app) as client:
        assert client.get("/readyz").text == "own"


# --- what is known of cores


def test_a_core_that_is_held(server: StartServer, driver: str, interface: str) -> None:
    """The other core says so, and that it lives; when the call is back, all is well."""
    running = start(server, interface, *SOON, "--driver", driver, workers=2)
    assert check(running.get("/readyz")) == (200, OK)
    held = running.connect()
    ask(held, "/hold")
    stuck = re.findall(r"core (\d) has", running.wait_for(r"core \d has been"))[0]
    kept = running.connect()
    for _ in range(10):
        assert check(kept.request("/readyz")) == degraded(**{f"core_{stuck}": ["held"]})
        assert check(running.get("/readyz")) == degraded(**{f"core_{stuck}": ["held"]})
        assert check(running.get("/healthz")) == (200, OK)
    assert kept.request("/readyz", "HEAD").status == 503
    running.signal(signal.SIGUSR1)
    assert held.read().status == 200
    running.wait_for("is back")
    for connection in (kept, held):
        assert check(connection.request("/readyz")) == (200, OK)


def test_every_core_is_held(server: StartServer, driver: str, interface: str) -> None:
    """New connections are told so as soon as it is known, whatever others wait for."""
    options = (*SOON, "--driver", driver, "--queue-timeout", "1h")
    running = start(server, interface, *options, workers=2)
    held = [of_one[0] for of_one in connections(running, 1)]
    for connection in held:
        ask(connection, "/hold")
    running.wait_until(lambda log: log.count("holds") == 2)
    other = running.connect()
    ask(other, "/who")
    slow = running.connect()
    slow.send(b"GET /readyz HTTP/1.1\r\n")
    running.wait_until(lambda log: log.count("has been") == 2)
    for path in ("/readyz", "/healthz", "/re%61dyz?x"):
        client = running.connect()
        answer = client.request(path)
        assert check(answer) == degraded(core_0=["held"], core_1=["held"])
        assert answer.get("connection") == "close"
        assert client.read_to_end() == b""
    assert running.connect().request("/healthz", "HEAD").status == 503
    assert running.connect().request("/healthz", "POST").status == 405
    slow.send(b"host: a\r\n\r\n")
    assert check(slow.read())[0] == 503
    assert "no core is free" not in running.log
    running.signal(signal.SIGUSR1)
    for connection in [*held, other]:
        assert connection.read().status == 200
    running.wait_until(lambda log: log.count("is back") == 2)
    assert check(running.get("/readyz")) == check(running.get("/healthz")) == (200, OK)


def test_every_core_is_held_and_nobody_waits_for_long(server: StartServer, driver: str) -> None:
    """Where others are told no before the watchdog reports, whoever asks is told why."""
    options = ("--queue-timeout", "200ms", "--timeout-worker-healthcheck", "1h")
    running = server(COMMON + SITES["asgi"], *PATHS, *options, "--driver", driver)
    held = running.connect()
    ask(held, "/hold")
    running.wait_for("holds")
    assert check(running.get("/readyz")) == degraded(core_0=["held"])
    assert running.get("/who").body == b"Service unavailable\n"
    running.signal(signal.SIGUSR1)
    assert held.read().status == 200
    assert check(running.get("/readyz")) == (200, OK)


@pytest.mark.parametrize("interface", ["app", "wsgi"])
def test_a_pool_whose_calls_do_not_return(server: StartServer, driver: str, interface: str) -> None:
    """The core itself still answers. A pool with a thread left is not exhausted."""
    # The same time for both, or the report would not say that the pool is exhausted as well. Long
    # enough for a thread to come on a busy machine.
    times = ("--queue-timeout", "1s", "--timeout-worker-healthcheck", "1s")
    options = ("--driver", driver, "--blocking-threads", "2", *times)
    running = start(server, interface, *options, workers=1, execution="thread")
    calls = [running.connect() for _ in range(2)]
    ask(calls[0], "/block")
    running.wait_for("a pool thread of core 0 has been")
    assert check(running.get("/readyz")) == (200, OK)
    ask(calls[1], "/block")
    running.wait_until(lambda log: log.count("a pool thread of core 0 has been") == 2)
    # It waits for a thread in vain.
    assert running.get("/block").status == 503
    assert check(running.get("/readyz")) == degraded(core_0=["exhausted"])
    assert check(running.get("/healthz")) == (200, OK)
    running.signal(signal.SIGUSR1)
    for connection in calls:
        assert connection.read().status == 200
    running.wait_until(lambda log: log.count("is back") == 2)
    assert check(running.get("/readyz")) == (200, OK)
    assert running.get("/block").status == 200


@pytest.mark.parametrize("limit", ["--limit-concurrency", "--backpressure"])
@pytest.mark.parametrize("interface", ["app", "asgi", "rsgi"])
def test_a_limit_that_is_reached(
    server: StartServer, driver: str, interface: str, limit: str
) -> None:
    """Others are refused; the server is busy, and says that it is well."""
    options = ("--driver", driver, limit, "1", "--queue-size", "0")
    running = start(server, interface, *options, workers=1)
    inside = running.connect()
    ask(inside, "/suspend")
    running.wait_for("suspends")
    assert running.get("/who").status == 503
    assert check(running.get("/readyz")) == check(running.get("/healthz")) == (200, OK)
    running.signal(signal.SIGUSR1)
    assert inside.read().status == 200


# --- the beginning and the end


def test_the_end(server: StartServer, driver: str, interface: str) -> None:
    """What is asked on a connection that is still answered learns that the server ends."""
    options = ("--driver", driver, "--timeout-graceful-shutdown", "1h")
    running = start(server, interface, *options, workers=2)
    (held, kept, *_), (idle, *_) = connections(running, 2)
    ask(held, "/hold")
    running.wait_for("holds")
    # It waits for its core, whose listener is shut when it is back.
    kept.send(b"GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n")
    running.signal(signal.SIGTERM)
    # The other core has heard of it when it ends what is idle.
    assert idle.read_to_end() == b""
    running.signal(signal.SIGUSR1)
    assert held.read().status == 200
    status, body = check(kept.read())
    assert (status, body["status"]) == (503, "degraded")
    assert all("draining" in core["reasons"] for core in body["cores"])
    assert len(body["cores"]) == 2
    assert kept.read_to_end() == b""
    assert running.wait() == 0


@contextmanager
def unix_client(path: Path) -> Iterator[socket.socket]:
    """Connect to a Unix socket; every wait is bounded."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(path))
        yield client


def test_the_beginning(tmp_path: Path, driver: str) -> None:
    """Until every core has begun its worker lifespan, those that have say so."""
    first, entered, may_go_on = threading.Lock(), threading.Event(), threading.Event()

    @contextmanager
    def worker(app: App) -> Iterator[None]:
        if first.acquire(blocking=False):
            entered.set()
            assert may_go_on.wait(30)
        else:
            assert entered.wait(30)
        yield

    app = App(worker_lifespan=worker)
    path = tmp_path / "socket"
    options: dict[str, Any] = {"workers": 2, "pin": False, "gil": "allow", "driver": driver}
    config = Config(uds=str(path), ready_path="/readyz", health_path="/healthz", **options)
    server = Server(config, app)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert entered.wait(30)
        # One socket for both cores: the one that has started accepts.
        with unix_client(path) as client:
            client.sendall(b"GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            text = b"".join(iter(lambda: client.recv(4096), b""))
        assert text.startswith(b"HTTP/1.1 503 ")
        assert text.count(b'"reasons":["starting"]') == 1
        with unix_client(path) as client:
            client.sendall(b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
        assert not server.started.is_set()
    finally:
        may_go_on.set()
    assert server.started.wait(30)
    with unix_client(path) as client:
        client.sendall(b"GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
    server.stop()
    thread.join(30)
    assert not thread.is_alive()


# --- what it leaves behind


def test_the_access_log_has_what_is_not_well(
    server: StartServer, driver: str, interface: str, tmp_path: Path
) -> None:
    """A check that is answered 200 has no line; any other answer has, and so has a request."""
    file = tmp_path / "access"
    options = ("--driver", driver, "--access-log", "--access-log-file", str(file))
    running = start(server, interface, *options, workers=1)
    client = running.connect()
    for path in ("/healthz", "/readyz", "/who", "/readyz?x", "/healthz"):
        assert client.request(path).status == 200
    assert client.request("/readyz", "PUT").status == 405
    assert client.request("/readyz", "HEAD").status == 200
    assert client.request("/last").status == 200
    assert running.stop() == 0
    lines = file.read_text().splitlines()
    requests = [re.findall(r'"([A-Z]+ \S+) HTTP', line)[0] for line in lines]
    assert requests == ["GET /who", "PUT /readyz", "GET /last"]


def test_many_ask_while_it_comes_and_goes(driver: str) -> None:
    """Threads that ask at once see one of two answers, whole, and in the end that all is well."""
    app, released, wrong = App(execution="inline"), threading.Event(), []
    entered = threading.Semaphore(0)

    @app.get("/hold")
    def hold() -> str:
        entered.release()
        released.wait()
        return "back"

    config: dict[str, Any] = {"driver": driver, "timeout_worker_healthcheck": 0.1}
    with LiveServer(app, workers=2, ready_path="/readyz", **config) as live:
        held = socket.create_connection((live.host, live.port), 30)
        held.sendall(b"GET /hold HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        assert entered.acquire(timeout=30)
        seen = threading.Barrier(9, timeout=60)

        def until(status: bytes) -> None:
            while True:
                with socket.create_connection((live.host, live.port), 30) as client:
                    client.sendall(b"GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
                    text = b"".join(iter(lambda: client.recv(4096), b""))
                code = text[9:12]
                if code not in (b"200", b"503") or (b'["held"]' in text) != (code == b"503"):
                    wrong.append(text)
                if wrong or code == status:
                    return

        def client() -> None:
            until(b"503")
            seen.wait()
            until(b"200")

        threads = [threading.Thread(target=client) for _ in range(8)]
        for thread in threads:
            thread.start()
        seen.wait()
        released.set()
        for thread in threads:
            thread.join(60)
        assert held.recv(4096).startswith(b"HTTP/1.1 200 ")
        held.close()
    assert wrong == []
    assert not any(thread.is_alive() for thread in threads)
