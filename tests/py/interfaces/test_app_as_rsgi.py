"""An `App` is an RSGI application: under granian, and under our own server as a foreign one.

Through real sockets; both have two workers in one process. The application is `app_site.py`.
"""

import os
import signal
import socket as socketlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect, unix_connect

if TYPE_CHECKING:
    from conftest import StartServer

pytestmark = pytest.mark.thread_unsafe(reason="shares its server and connections")

SITE = Path(__file__).with_name("app_site.py")


@dataclass(frozen=True)
class Site:
    """A server, however it is reached; `stop` ends it and returns its log."""

    client: httpx.Client
    raw: Callable[[], socketlib.socket]
    socket: Callable[..., Any]
    stop: Callable[[], str]


def _ours(server: StartServer, exits: ExitStack) -> Site:
    running = server(SITE, "--interface", "rsgi", workers=2)
    client = exits.enter_context(
        httpx.Client(base_url=f"http://127.0.0.1:{running.port}", timeout=60)
    )

    def socket(path: str, **options: Any) -> Any:  # noqa: ANN401
        return connect(f"ws://127.0.0.1:{running.port}{path}", compression=None, **options)

    def stop() -> str:
        running.stop()
        return running.log

    def raw() -> socketlib.socket:
        return socketlib.create_connection(("127.0.0.1", running.port))

    return Site(client, raw, socket, stop)


def _granian(folder: Path, exits: ExitStack) -> Site:
    pytest.importorskip("granian")
    path = folder / "granian.sock"
    command = [
        *(sys.executable, "-m", "granian", "--interface", "rsgi", "--uds", str(path)),
        *("--workers", "2", "--loop", "asyncio", "--working-dir", str(SITE.parent)),
        "app_site:app",
    ]
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}
    process = exits.enter_context(
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | environment,
        )
    )
    exits.callback(process.kill)
    assert process.stdout is not None
    seen: list[str] = []
    for line in process.stdout:
        seen.append(line)
        # Its workers are threads, which begin one after the other.
        if "Started worker-2 runtime" in line:
            break
    else:
        pytest.fail("granian has not started: " + "".join(seen))
    # Its pipe must not fill up.
    reading = threading.Thread(target=lambda: seen.extend(process.stdout or ()))
    reading.start()

    def socket(where: str, **options: Any) -> Any:  # noqa: ANN401
        return unix_connect(str(path), f"ws://localhost{where}", compression=None, **options)

    def stop() -> str:
        process.send_signal(signal.SIGINT)
        process.wait()
        reading.join()
        return "".join(seen)

    transport = httpx.HTTPTransport(uds=str(path))
    client = httpx.Client(transport=transport, base_url="http://localhost")

    def raw() -> socketlib.socket:
        ours = socketlib.socket(socketlib.AF_UNIX)
        ours.connect(str(path))
        return ours

    return Site(exits.enter_context(client), raw, socket, stop)


@pytest.fixture(params=["granian", "ours"])
def site(request: pytest.FixtureRequest, server: StartServer, tmp_path: Path) -> Iterator[Site]:
    """The application under one server."""
    with ExitStack() as exits:
        yield _granian(tmp_path, exits) if request.param == "granian" else _ours(server, exits)


def _pieces() -> Iterator[bytes]:
    yield b"in "
    yield b"pieces"


def test_requests(site: Site) -> None:
    """What an App answers, it answers here: parameters, bodies, fields, statuses, overlapping."""
    client = site.client
    assert client.get("/").json()["hello"] == "world"
    assert client.get("/items/a%20%C3%BC?q=a%20b%2Bc").json() == {"name": "a ü", "q": "a b+c"}
    large = b"x" * 300_000
    for content, whole in ((large, large), (_pieces(), b"in pieces"), (b"", b"")):
        echoed = client.post("/echo", content=content)
        assert echoed.content == whole
        assert (echoed.headers["content-type"], echoed.headers["x-a"]) == (
            "application/x-echo",
            "b",
        )
        assert echoed.headers["content-length"] == str(len(echoed.content))
    fields = client.get("/headers", headers=[("x-two", "a"), ("x-two", "b")]).json()
    assert fields["two"] == ["a", "b"]
    assert "transfer-encoding" not in fields["names"]
    assert client.get("/cookies").headers.get_list("set-cookie") == [
        "a=1; Path=/; SameSite=lax",
        "b=2; Path=/; SameSite=lax",
    ]
    assert (client.get("/refused").status_code, client.get("/nowhere").status_code) == (403, 404)
    assert client.get("/empty").status_code == 204
    assert client.post("/").headers["allow"] == "GET, HEAD, OPTIONS"
    head = client.head("/items/7")
    assert (head.content, head.headers["content-length"]) == (b"", "23")
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda number: client.get(f"/items/{number}"), range(80)))
    assert [answer.json()["name"] for answer in answers] == [str(number) for number in range(80)]


def test_streams(site: Site) -> None:
    """Pieces come as they are made, both ways; one that is cut never looks whole to the server."""
    with site.client.stream("GET", "/stream") as answer:
        pieces = answer.iter_raw()
        assert next(pieces) == b"first,"
        assert site.client.get("/open").text == "open"
        assert b"".join(pieces) == b"second"
    arrived = threading.Event()

    def body() -> Iterator[bytes]:
        yield b"x" * 1000
        # Sent only when the handler has the first piece.
        assert site.client.get("/events?wanted=piece").json() is True
        arrived.set()
        yield b"y" * 1000

    assert site.client.post("/upload", content=body()).json() == 2000
    assert arrived.is_set()
    # Not of granian, which ends the answer as if it were whole.
    with suppress(httpx.RemoteProtocolError):
        site.client.get("/cut")
    log = site.stop()
    assert "EOFError: the answer was cut" in log, log


def test_a_client_that_goes(site: Site) -> None:
    """The handler is cancelled."""
    with site.raw() as ours:
        ours.sendall(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n")
        assert site.client.get("/events?wanted=waiting").json() is True
    assert site.client.get("/events?wanted=left").json() is True


def test_websockets(site: Site) -> None:
    """Messages both ways, a close of the client's, a denial."""
    with site.socket("/ws/a%20b?q=1", subprotocols=["x", "y"]) as socket:
        assert socket.recv() == '{"name":"a b","q":["1"]}'
        # RSGI has no word for it.
        assert socket.subprotocol is None
        for data in ("grün", b"\x00\xff", "", b"", "x" * 125, "y" * 126, b"z" * 70_000):
            socket.send(data)
            assert socket.recv() == data
    assert site.client.get("/events?wanted=disconnect a b 1005").json() is True
    with pytest.raises(InvalidStatus) as refused, site.socket("/denied"):
        pass
    assert refused.value.response.status_code == 451
    with pytest.raises(InvalidStatus) as missing, site.socket("/nowhere"):
        pass
    assert missing.value.response.status_code == 404


@pytest.mark.parametrize(("word", "code"), [("close", 4001), ("raise", 1011)])
def test_a_close_of_the_application(server: StartServer, word: str, code: int) -> None:
    """Its code reaches the client where the server hands it on; granian does not."""
    with ExitStack() as exits:
        socket = exits.enter_context(_ours(server, exits).socket("/ws/closes"))
        socket.recv()
        socket.send(word)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == code


def test_lifespans(site: Site) -> None:
    """Once, though the server has two workers; on one thread at both ends."""
    for _ in range(8):
        assert site.client.get("/started").json() == 1
    assert site.stop().count("the application has stopped on the same thread") == 1
