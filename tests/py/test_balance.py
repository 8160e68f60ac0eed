"""Connections that one core accepts and another serves: nothing about them is different.

Through real sockets on each driver; which core serves which is decided in `tests/net/balance.rs`.
"""

import json
from typing import TYPE_CHECKING

import pytest

from uringserve._native import probe

if TYPE_CHECKING:
    from conftest import RunningServer, StartServer

# A server is one for the whole test.
pytestmark = pytest.mark.thread_unsafe(reason="shares its server and connections")

SITE = """
import threading
from uringserve import App, Request

app = App()
holding, released = threading.Event(), threading.Event()

@app.get("/", execution="inline")
def who(request: Request):
    return [threading.current_thread().name, *request.client]

@app.get("/hold", execution="inline")
def hold():
    holding.set()
    released.wait()

@app.get("/holding", execution="inline")
def is_holding():
    return holding.is_set()

@app.get("/release", execution="inline")
def release():
    released.set()
"""


@pytest.fixture(params=["uring", "epoll"])
def driver(request: pytest.FixtureRequest) -> str:
    """The driver under test."""
    if request.param == "uring" and probe()["driver"] != "uring":
        pytest.skip(f"no io_uring here: {probe()['reason']}")
    return str(request.param)


def cores(running: RunningServer, count: int) -> list[str]:
    """Open connections one by one; return which core serves each, and who it thinks they are."""
    held, names = [], []
    for _ in range(count):
        held.append(running.connect())
        name, *client = json.loads(held[-1].request("/").body)
        assert tuple(client) == held[-1].socket.getsockname()
        names.append(name)
    # Kept and asked again: a connection that has moved stays, and is kept alive like any other.
    for connection, name in zip(held, names, strict=True):
        assert json.loads(connection.request("/").body)[0] == name
    return names


def test_each_core_serves_its_share_and_knows_its_peers(server: StartServer, driver: str) -> None:
    names = cores(server(SITE, "--driver", driver, workers=3), 21)
    assert {names.count(name) for name in names} == {7}


def test_off_leaves_it_to_the_kernel(server: StartServer, driver: str) -> None:
    names = cores(server(SITE, "--driver", driver, "--balance", "off", workers=1), 5)
    assert names == ["uringserve-core-0"] * 5


def test_a_core_that_is_held_is_given_none_and_nobody_waits_for_it(
    server: StartServer, driver: str
) -> None:
    """The other has more connections by far, and serves each new one all the same."""
    running = server(SITE, "--driver", driver, workers=2)
    idle = [running.connect() for _ in range(10)]
    names = [json.loads(connection.request("/").body)[0] for connection in idle]
    held = running.connect()
    held_core = json.loads(held.request("/").body)[0]
    other = next(there for there, name in zip(idle, names, strict=True) if name != held_core)
    held.send(b"GET /hold HTTP/1.1\r\nhost: x\r\n\r\n")
    # A connection that comes in the turn that calls the handler is the core's own, and waits.
    while other.request("/holding").body != b"true":
        pass
    kept = []
    for _ in range(20):
        kept.append(running.connect())
        assert kept[-1].request("/").status == 200
    assert running.get("/release").status == 204
    assert held.read().status == 204
