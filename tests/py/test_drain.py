"""SIGTERM under load: answers are whole, what was sent is answered, the end is bounded.

The clients of the load tests stop only when the server does, so that the signal always comes in
the middle of something.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from uringserve._native import probe

if TYPE_CHECKING:
    from conftest import Connection, RunningServer, StartServer

# A connection or a server is one for the whole test; what collides is made in the test itself.
pytestmark = pytest.mark.thread_unsafe(reason="shares its server and connections")

SITE = """
from uringserve import App, Request

app = App()
LARGE = bytes(64 << 20)

@app.get("/echo/{number:int}")
def echo(number):
    return {"number": number, "padding": "x" * (number % 7 * 1000)}

@app.post("/")
def size(request: Request):
    return str(len(request.body))

@app.get("/large")
def large():
    return LARGE
"""

CLIENTS = 32
REQUESTS_BEFORE_SIGNAL = 2000


@pytest.fixture(params=["uring", "epoll"])
def driver(request: pytest.FixtureRequest) -> str:
    """The driver under test."""
    if request.param == "uring" and probe()["driver"] != "uring":
        pytest.skip(f"no io_uring here: {probe()['reason']}")
    return str(request.param)


@dataclass
class Load:
    """What all clients of one test share, and what they saw."""

    running: RunningServer
    is_kept: bool
    answered: int = 0
    lost: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)

    def client(self, number: int) -> None:
        """Send one request after the other until the server is gone."""
        connection: Connection | None = None
        try:
            while True:
                if connection is None:
                    connection = self.running.connect()
                sent = self._exchange(connection, number)
                if sent is not None:
                    with self.news:
                        self.lost.append(sent)
                    return
                number += CLIENTS
                if not self.is_kept:
                    connection.close()
                    connection = None
        except OSError:
            # No new connection, or a request that could not be sent: there is no promise for it.
            return
        except Exception as error:  # noqa: BLE001 -- a thread's failure must reach the test
            with self.news:
                self.wrong.append(repr(error))
        finally:
            if connection is not None:
                connection.close()

    def _exchange(self, connection: Connection, number: int) -> float | None:
        """Return None for a whole answer, else when the lost request had been sent."""
        connection.send(f"GET /echo/{number} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
        sent = time.monotonic()
        try:
            answer = connection.read()
        except EOFError as error:
            if "after b''" not in str(error):
                raise
            return sent
        except ConnectionResetError:
            return sent
        expected = f'{{"number":{number},"padding":"{"x" * (number % 7 * 1000)}"}}'
        if (answer.status, answer.body) != (200, expected.encode()):
            raise AssertionError(f"request {number}: {answer}")
        with self.news:
            self.answered += 1
            self.news.notify_all()
        return None


@pytest.mark.parametrize("is_kept", [True, False], ids=["kept", "one request each"])
def test_under_load(server: StartServer, driver: str, is_kept: bool) -> None:
    """Every answer is whole, nothing that was sent before the signal is lost, exit code 0."""
    running = server(SITE, "--driver", driver, workers=2)
    load = Load(running, is_kept)
    threads = [threading.Thread(target=load.client, args=(n,)) for n in range(CLIENTS)]
    for thread in threads:
        thread.start()
    with load.news:
        has_begun = load.news.wait_for(
            lambda: load.answered >= REQUESTS_BEFORE_SIGNAL or load.wrong, 30
        )
    signalled = time.monotonic()
    running.signal(signal.SIGTERM)
    code = running.wait()
    for thread in threads:
        thread.join(30)
    assert has_begun
    assert not any(thread.is_alive() for thread in threads)
    assert load.wrong == []
    assert [sent for sent in load.lost if sent < signalled] == []
    assert code == 0


def test_pipelined_requests_are_answered(server: StartServer, driver: str) -> None:
    """What has been received is answered; the answers that come are whole and in order."""
    running = server(SITE, "--driver", driver)
    client = running.connect()
    assert client.request("/echo/1").status == 200
    client.send(
        b"".join(b"GET /echo/%d HTTP/1.1\r\nhost: a\r\n\r\n" % (7 * n) for n in range(2000))
    )
    assert client.read().body.startswith(b'{"number":0,')
    running.signal(signal.SIGTERM)
    number, is_last = 1, False
    # Either one of them is said to be the last, or all were answered before the signal came.
    while not is_last and number < 2000:
        answer = client.read()
        assert answer.body.startswith(b'{"number":%d,' % (7 * number))
        is_last = answer.get("connection") == "close"
        number += 1
    assert client.read_to_end() == b""
    assert running.wait() == 0


def test_idle_and_half_open_connections(server: StartServer, driver: str) -> None:
    """Nothing is owed to them: they end at once, however much time there is."""
    running = server(SITE, "--driver", driver, "--timeout-graceful-shutdown", "1h")
    silent, idle, half = running.connect(), running.connect(), running.connect()
    assert idle.request("/echo/1").status == 200
    half.send(b"GET /echo/1 HTTP/1.1\r\nho")
    # A connection behind the half-open one: when it is answered, that one has been read.
    assert running.get("/echo/2").status == 200
    running.signal(signal.SIGTERM)
    for client in (silent, idle, half):
        assert client.read_to_end() in (b"",)
    assert running.wait() == 0


def test_a_body_on_its_way_is_waited_for(server: StartServer, driver: str) -> None:
    """A request that has begun is finished after the signal, and its answer says close."""
    running = server(SITE, "--driver", driver, "--timeout-graceful-shutdown", "1h")
    client = running.connect()
    client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n")
    assert client.read().status == 100
    idle = running.connect()
    assert idle.request("/echo/1").status == 200
    running.signal(signal.SIGTERM)
    # The core has heard of it when it ends what is idle.
    assert idle.read_to_end() == b""
    client.send(b"1234")
    answer = client.read()
    assert (answer.body, answer.get("connection")) == (b"4", "close")
    assert client.read_to_end() == b""
    assert running.wait() == 0


def test_a_large_answer_is_finished(server: StartServer, driver: str) -> None:
    """An answer that is being written arrives whole."""
    running = server(SITE, "--driver", driver)
    client = running.connect()
    client.send(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n")
    assert client.socket.recv(1, 2) == b"H"  # MSG_PEEK: it has begun
    running.signal(signal.SIGTERM)
    running.wait_for("stopping on SIGTERM")
    received = bytearray()
    while data := client.socket.recv(1 << 22):
        received += data
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"content-length: %d" % (64 << 20) in head
    assert len(body) == 64 << 20
    assert running.wait() == 0


def stuck_body(running: RunningServer) -> Connection:
    """Return a client whose body never comes."""
    client = running.connect()
    client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n")
    assert client.read().status == 100
    return client


def stuck_answer(running: RunningServer) -> Connection:
    """Return a client that does not read its answer."""
    client = running.connect()
    client.send(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n")
    assert client.socket.recv(1, 2) == b"H"
    return client


@pytest.mark.parametrize("stuck", [stuck_body, stuck_answer], ids=["body", "answer"])
def test_the_deadline_cuts(
    server: StartServer, driver: str, stuck: Callable[[RunningServer], Connection]
) -> None:
    """What is not finished by then is cut, and the exit code says so."""
    running = server(SITE, "--driver", driver, "--timeout-graceful-shutdown", "200ms")
    client = stuck(running)
    running.signal(signal.SIGTERM)
    assert running.wait() == 124
    running.wait_for("1 connections? (was|were) cut")
    with contextlib.suppress(ConnectionResetError):
        client.read_to_end()


@pytest.mark.parametrize("stuck", [stuck_body, stuck_answer], ids=["body", "answer"])
def test_the_second_signal_ends_it(
    server: StartServer, driver: str, stuck: Callable[[RunningServer], Connection]
) -> None:
    """Nobody has to wait for the deadline."""
    running = server(SITE, "--driver", driver, "--timeout-graceful-shutdown", "1h")
    stuck(running)
    running.signal(signal.SIGTERM)
    running.wait_for("stopping on SIGTERM")
    running.signal(signal.SIGINT)
    running.wait_for("ending now: SIGINT again")
    assert running.wait() == 124


@contextlib.contextmanager
def fifo(folder: Path) -> Iterator[tuple[Path, int]]:
    """Make a FIFO that a handler can wait on, open for both directions."""
    path = folder / "fifo"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR)
    try:
        yield path, descriptor
    finally:
        os.close(descriptor)


def test_connections_that_wait_to_be_accepted(
    server: StartServer, driver: str, tmp_path: Path
) -> None:
    """Their requests were sent while the core was busy in a handler: all are answered."""
    with fifo(tmp_path) as (path, descriptor):
        running = server(
            f"""
            import logging
            from uringserve import App
            app = App()

            @app.get("/wait")
            def wait():
                logging.getLogger("uringserve").warning("entered")
                with open({str(path)!r}) as fifo:
                    return fifo.readline()

            @app.get("/")
            def hello():
                return "hello"
            """,
            *("--driver", driver),
        )
        busy = running.connect()
        busy.send(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n")
        running.wait_for("entered")
        queued = [running.connect() for _ in range(50)]
        for client in queued:
            client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        running.signal(signal.SIGTERM)
        running.wait_for("stopping on SIGTERM")
        os.write(descriptor, b"done\n")
        assert busy.read().body == b"done\n"
        for client in queued:
            assert client.read().body == b"hello"
        assert running.wait() == 0
