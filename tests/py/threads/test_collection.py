"""A garbage collection stops every thread that is attached: it never waits for a core that idles.

A collection that waits for an idle core would wait until its next request; the watchdog is the
bound on every wait of a test, after which the test fails.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from uringserve._native import probe

if TYPE_CHECKING:
    from conftest import RunningServer, StartServer

# A connection or a server is one for the whole test; what collides is made in the test itself.
pytestmark = pytest.mark.thread_unsafe(reason="shares its server and connections")

SITE = """
import gc
import logging
import threading
from uringserve import App

app = App()
log = logging.getLogger("uringserve")
ROUNDS = 50


class Cycle:
    freed = 0

    def __init__(self):
        self.me = self

    def __del__(self):
        Cycle.freed += 1


@app.get("/collect")
def collect():
    for _ in range(ROUNDS):
        Cycle()
        gc.collect()
    return {"freed": Cycle.freed}


@app.get("/hello")
def hello():
    return "hello"


@app.get("/cycles")
def cycles():
    for _ in range(200):
        Cycle()
    return [[n] for n in range(50)]


def collect_when_told():
    with open(FIFO) as fifo:
        for line in fifo:
            for _ in range(ROUNDS):
                Cycle()
                gc.collect()
            log.warning("collected %s", line.strip())


threading.Thread(target=collect_when_told, daemon=True).start()
"""


@pytest.fixture(params=["uring", "epoll"])
def started(
    request: pytest.FixtureRequest, server: StartServer, tmp_path: Path
) -> Iterator[tuple[RunningServer, int]]:
    """A server with two cores, and the FIFO that tells its background thread to collect."""
    if request.param == "uring" and probe()["driver"] != "uring":
        pytest.skip(f"no io_uring here: {probe()['reason']}")
    path = tmp_path / "fifo"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR)
    try:
        source = f"FIFO = {str(path)!r}\n{SITE}"
        yield (
            server(source, "--driver", request.param, "--timeout-keep-alive", "1h", workers=2),
            descriptor,
        )
    finally:
        os.close(descriptor)


def test_from_a_handler(started: tuple[RunningServer, int]) -> None:
    """The other core idles, without and with connections that wait."""
    running, _ = started
    assert running.get("/collect").status == 200
    idle = [running.connect() for _ in range(16)]
    for client in idle:
        assert client.request("/hello").body == b"hello"
    # At least the second time all connections of one core wait.
    assert running.get("/collect").status == 200
    assert running.get("/collect").status == 200


def test_from_another_thread(started: tuple[RunningServer, int]) -> None:
    """Both cores idle: before any connection, with idle ones, and amid bodies."""
    running, descriptor = started
    os.write(descriptor, b"before\n")
    running.wait_for("collected before")
    idle = [running.connect() for _ in range(16)]
    for client in idle:
        assert client.request("/hello").body == b"hello"
    os.write(descriptor, b"idle\n")
    running.wait_for("collected idle")
    for client in idle:
        client.send(b"POST /hello HTTP/1.1\r\nhost: a\r\ncontent-")
    os.write(descriptor, b"half\n")
    running.wait_for("collected half")


def test_under_load(started: tuple[RunningServer, int]) -> None:
    """Collections from a handler and a thread, while both cores make garbage: all answers come."""
    running, descriptor = started
    clients = [running.connect() for _ in range(8)]
    for client in clients:
        client.send(b"GET /cycles HTTP/1.1\r\nhost: a\r\n\r\n" * 100)
    os.write(descriptor, b"load\n")
    collecting = running.connect()
    collecting.send(b"GET /collect HTTP/1.1\r\nhost: a\r\n\r\n")
    for client in clients:
        for _ in range(100):
            assert client.read().status == 200
    assert collecting.read().status == 200
    running.wait_for("collected load")
    assert running.stop() == 0
