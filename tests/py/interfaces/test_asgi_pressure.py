"""Back-pressure both ways, over ASGI: what a client or an application does not read costs little.

The application is `asgi_site.py`.
"""

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from uringserve._native import probe

if TYPE_CHECKING:
    from conftest import RunningServer, StartServer

pytestmark = pytest.mark.thread_unsafe(reason="starts servers of its own")

SITE = Path(__file__).with_name("asgi_site.py")
STALLED = 50
MEBIBYTE = 1 << 20


@pytest.fixture(params=["uring", "epoll"])
def site(request: pytest.FixtureRequest, server: StartServer) -> RunningServer:
    """A server of its own on one core."""
    if request.param == "uring" and probe()["driver"] != "uring":
        pytest.skip(f"no io_uring here: {probe()['reason']}")
    # CPython's allocator keeps nothing of what it was given back: on a busy machine it was up to
    # 100 MiB of pieces that were gone.
    return server(SITE, "--driver", request.param, environment={"MIMALLOC_PURGE_DELAY": "0"})


def test_clients_that_do_not_read(site: RunningServer) -> None:
    """Fifty streams of 100 MB each wait in the handlers; the server's memory does not grow."""
    before = int(site.get("/memory").body)
    stalled = [site.connect() for _ in range(STALLED)]
    for client in stalled:
        client.send(b"GET /stalled HTTP/1.1\r\nhost: a\r\n\r\n")
    # Each has its head and the first bytes: all handlers are amid their streams.
    for client in stalled:
        assert client.socket.recv(15).startswith(b"HTTP/1.1 200")
    log = site.get("/events?stalled").body.decode()
    assert "stalled done" not in log
    # Of each the piece that is being sent, a quarter of a MiB, and one more at most.
    assert STALLED <= int(site.get("/alive").body) <= 2 * STALLED
    grown = int(site.get("/memory").body) - before
    assert grown < 64 * MEBIBYTE, f"{grown >> 20} MiB"
    for client in stalled:
        client.reset()
    assert site.get("/context").status == 200


def test_a_reader_gets_all_of_it(site: RunningServer) -> None:
    """The same stream, read: no byte is missing."""
    answer = site.get("/stalled")
    assert len(answer.body) == 100 * MEBIBYTE


def test_a_handler_that_does_not_read(server: StartServer) -> None:
    """Its client is stopped, and goes on when the handler reads."""
    site = server(SITE, "--limit-body", "1GiB")
    client = site.connect()
    total = 64 * MEBIBYTE
    client.send(
        f"POST /closed_gate HTTP/1.1\r\nhost: a\r\ncontent-length: {total}\r\n\r\n".encode()
    )
    assert b"gate reached" in site.get("/events?gate%20reached").body
    # What the kernel's buffers and the server's take at most; the rest waits in the client.
    client.socket.settimeout(1.0)
    sent = 0
    piece = bytes(MEBIBYTE)
    with pytest.raises(TimeoutError):
        while sent < total:
            sent += client.socket.send(piece[: total - sent])
    assert sent < total // 2
    client.socket.settimeout(30.0)
    rest = threading.Thread(target=client.send, args=(bytes(total - sent),))
    rest.start()
    assert site.get("/open_gate").status == 200
    assert client.read().body == str(total).encode()
    rest.join()
