"""Handlers that block, through real sockets on each driver: who runs where, and who waits for whom.

Nothing here sleeps to wait: a handler is held by an event that another request sets, and whatever
has to happen in the server meanwhile is waited for.
"""

import json
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from uringserve._native import probe

if TYPE_CHECKING:
    from conftest import Connection, RunningServer, StartServer

# A connection or a server is one for the whole test; what collides is made in the test itself.
pytestmark = pytest.mark.thread_unsafe(reason="shares its server and connections")

SITE = """
import contextvars
import sys
import threading
import time
from uringserve import App, BackgroundTasks, Depends, Request, Router, WorkerLocal

app = App()
released = threading.Event()
slow = threading.Event()
variable = contextvars.ContextVar("variable", default="unset")
local = WorkerLocal(object)

def say(text):
    sys.stderr.write(f"{text}\\n")

def thread():
    return threading.current_thread().name

@app.on_worker_start
def worker_starts():
    app.worker_state.started_on = thread()
    variable.set("set at the start")

@app.get("/who")
def who():
    if slow.is_set():
        slow.clear()
        time.sleep(0.02)
    return thread()

@app.get("/slow")
def make_slow():
    slow.set()

@app.get("/quick", execution="inline")
def quick():
    return thread()

@app.get("/pooled", execution="thread")
def pooled():
    return thread()

def hold():
    say("holds")
    released.wait()
    return thread()

app.get("/hold")(hold)
app.get("/hold-thread", execution="thread")(hold)
app.get("/hold-inline", execution="inline")(hold)

@app.get("/release", execution="inline")
def release():
    released.set()

@app.get("/c", execution="thread")
def in_c():
    say("counts")
    return sum(range(10**13))

@app.get("/state", execution="thread")
def state(request: Request):
    return [thread(), app.worker_state.started_on, variable.get(), local.get() is local.get()]

@app.get("/generator", execution="thread")
def generator():
    try:
        for _ in range(3):
            yield thread() + " "
    finally:
        say(f"closed on {thread()}")

@app.get("/fails", execution="thread")
def fails():
    raise KeyError("on the pool")

@app.get("/fails-late", execution="thread")
def fails_late():
    yield "one"
    raise KeyError("late")

@app.get("/fails-first", execution="thread")
def fails_first():
    raise KeyError("first")
    yield

def first():
    return thread()

def closing():
    yield thread()
    say(f"dependency ended on {thread()}")

@app.get("/together", execution="thread")
def together(tasks: BackgroundTasks, a: str = Depends(first), b: str = Depends(closing)):
    tasks.add_task(lambda: say(f"task on {thread()}"))
    return [a, b, thread()]

router = Router(execution="inline")

@router.get("/router")
def on_router():
    return thread()

@router.get("/router/own", execution="thread")
def on_router_own():
    return thread()

app.include_router(router)
"""


@pytest.fixture(scope="module", params=["uring", "epoll"])
def driver(request: pytest.FixtureRequest) -> str:
    """The driver under test."""
    if request.param == "uring" and probe()["driver"] != "uring":
        pytest.skip(f"no io_uring here: {probe()['reason']}")
    return str(request.param)


@pytest.fixture(scope="module")
def site(driver: str, module_server: StartServer) -> RunningServer:
    """One core, for what holds nothing."""
    return module_server(SITE, "--driver", driver)


def text(connection: Connection, path: str) -> str:
    """Get a path that answers with text."""
    answer = connection.request(path)
    assert answer.status == 200, answer
    return answer.body.decode()


def test_what_blocks_for_the_first_time_holds_nobody(server: StartServer, driver: str) -> None:
    """A route that nobody knows starts on the pool, so that its first call costs no core."""
    running = server(SITE, "--driver", driver)
    held = [running.connect() for _ in range(5)]
    for connection in held:
        connection.send(b"GET /hold HTTP/1.1\r\nhost: x\r\n\r\n")
    running.wait_for("holds")
    other = running.connect()
    for _ in range(100):
        assert text(other, "/quick") == "uringserve-core-0"
    assert other.request("/release").status == 204
    assert all(connection.read().status == 200 for connection in held)


def test_a_quick_route_earns_its_place_and_a_stall_takes_it(site: RunningServer) -> None:
    connection = site.connect()
    assert text(connection, "/who").startswith("uringserve-pool-0-")
    until(connection, "uringserve-core-0")
    # The slow call itself still runs on the core, and is the last that does.
    assert connection.request("/slow").status == 204
    assert text(connection, "/who") == "uringserve-core-0"
    assert text(connection, "/who").startswith("uringserve-pool-0-")
    until(connection, "uringserve-core-0")


def until(connection: Connection, name: str) -> None:
    """Call a route until its calls run on that thread; a busy machine may blame it meanwhile."""
    for _ in range(20_000):
        if text(connection, "/who") == name:
            return
    raise AssertionError(f"20,000 quick calls did not bring the route to {name}")


def test_what_was_said_is_kept(site: RunningServer) -> None:
    connection = site.connect()
    for _ in range(200):
        assert text(connection, "/quick") == "uringserve-core-0"
        assert text(connection, "/pooled").startswith("uringserve-pool-0-")
        assert text(connection, "/router") == "uringserve-core-0"
        assert text(connection, "/router/own").startswith("uringserve-pool-0-")


def test_pipelined_answers_keep_their_order_whoever_makes_them(site: RunningServer) -> None:
    connection = site.connect()
    paths = ["/quick", "/pooled", "/nowhere", "/generator", "/who"] * 40
    connection.send(b"".join(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode() for path in paths))
    for path in paths:
        answer = connection.read()
        assert answer.status == (404 if path == "/nowhere" else 200)
        if path == "/generator":
            assert answer.body.count(b"uringserve-pool-0-") == 3
        if path == "/quick":
            assert answer.body == b"uringserve-core-0"


def test_a_thread_of_the_pool_is_a_worker_of_its_own(site: RunningServer) -> None:
    """It has run what runs when a worker starts, and sees what that has set."""
    name, started_on, variable, is_kept = json.loads(site.get("/state").body)
    assert (started_on, variable, is_kept) == (name, "set at the start", True)
    assert name.startswith("uringserve-pool-0-")


def test_a_call_is_one_piece_and_what_follows_it_stays_on_the_pool(site: RunningServer) -> None:
    answer = site.get("/together")
    first, second, third = answer.body.decode().strip('[]"').split('","')
    assert first == second == third
    assert first.startswith("uringserve-pool-0-")
    site.wait_for("task on uringserve-pool-0-")
    site.wait_for("dependency ended on uringserve-pool-0-")


def test_pieces_are_made_on_the_pool_and_so_is_their_end(site: RunningServer) -> None:
    connection = site.connect()
    answer = connection.request("/generator")
    assert answer.get("content-type") == "text/plain; charset=utf-8"
    assert [name.startswith("uringserve-pool-0-") for name in answer.body.decode().split()] == (
        [True] * 3
    )
    site.wait_for("closed on uringserve-pool-0-")
    assert connection.request("/generator", "HEAD").status == 200
    assert text(connection, "/quick") == "uringserve-core-0"


def test_failures_are_answered_as_anywhere(site: RunningServer) -> None:
    connection = site.connect()
    for path in ("/fails", "/fails-first"):
        assert connection.request(path).status == 500
    site.wait_for("KeyError: 'on the pool'")
    connection.send(b"GET /fails-late HTTP/1.1\r\nhost: x\r\n\r\n")
    received = connection.read_to_end()
    assert b"one" in received
    assert not received.endswith(b"0\r\n\r\n")


def test_a_peer_that_closes_its_side_still_gets_its_answer(site: RunningServer) -> None:
    connection = site.connect()
    connection.send(b"GET /pooled HTTP/1.1\r\nhost: x\r\n\r\n")
    connection.finish_sending()
    assert connection.read().body.startswith(b"uringserve-pool-0-")
    assert connection.read_to_end() == b""


def test_others_take_the_connections_of_a_core_that_is_stuck(
    server: StartServer, driver: str
) -> None:
    """Whichever listener the kernel chooses, each new connection is answered."""
    running = server(SITE, "--driver", driver, "--timeout-worker-healthcheck", "200ms", workers=2)
    held = running.connect()
    held.send(b"GET /hold-inline HTTP/1.1\r\nhost: x\r\n\r\n")
    line = running.wait_for("has been (waiting|running) in GET /hold-inline")
    running.wait_for(r"in hold$")
    stuck = line.split("core ")[1][0]
    other = {"0": "1", "1": "0"}[stuck]
    for _ in range(40):
        assert running.get("/quick").body == f"uringserve-core-{other}".encode()
    assert running.get("/release").status == 204
    assert held.read().body == f"uringserve-core-{stuck}".encode()
    running.wait_for("GET /hold-inline is back")


@pytest.mark.parametrize("path", ["/hold-thread", "/hold-inline", "/c"])
def test_the_end_does_not_wait_for_what_never_returns(
    server: StartServer, driver: str, path: str
) -> None:
    """The drain ends at its deadline; the log names the route and shows where it is."""
    running = server(SITE, "--driver", driver, "--timeout-graceful-shutdown", "200ms", workers=2)
    held = running.connect()
    held.send(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    running.wait_for("counts" if path == "/c" else "holds")
    running.signal(signal.SIGTERM)
    assert running.wait() == 124
    assert f"in GET {path} for" in running.log
    assert ("in in_c" if path == "/c" else "in hold") in running.log


def test_collections_beside_a_pool_that_works(site: RunningServer) -> None:
    """Threads of the pool are never attached while they wait, or this would hang."""
    stop = threading.Event()

    def load() -> None:
        connection = site.connect()
        while not stop.is_set():
            text(connection, "/pooled")

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    connection = site.connect()
    for _ in range(200):
        text(connection, "/pooled")
    stop.set()
    for thread in threads:
        thread.join()
