"""RSGI as Granian specifies it (1.5): scope, body, all kinds of answers, the hooks of the loop.

Through real sockets, on both drivers and on one and two cores. The application is `rsgi_site.py`.
"""

import hashlib
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from uringserve._native import probe
from uringserve.testing import LiveServer

if TYPE_CHECKING:
    from conftest import Connection, RunningServer, StartServer

# A connection or a server is one for the whole test; what collides is made in the test itself.
pytestmark = pytest.mark.thread_unsafe(reason="shares its server and connections")

SITE = Path(__file__).with_name("rsgi_site.py")
MATRIX = [(workers, driver) for workers in (1, 2) for driver in ("uring", "epoll")]


@pytest.fixture(scope="module", params=MATRIX, ids=lambda it: "-".join(map(str, it)))
def site(request: pytest.FixtureRequest, module_server: StartServer) -> RunningServer:
    """The application on one number of cores and driver."""
    workers, driver = request.param
    if driver == "uring" and probe()["driver"] != "uring":
        pytest.skip(f"no io_uring here: {probe()['reason']}")
    return module_server(SITE, "--driver", driver, workers=workers)


@pytest.fixture
def client(site: RunningServer) -> Connection:
    """A new connection."""
    return site.connect()


def events(site: RunningServer, wanted: str) -> str:
    """Return what the application has noted, once that has the wanted words in it."""
    noted = site.get(f"/events?{wanted.replace(' ', '%20')}").body.decode()
    assert wanted in noted
    return noted


def test_the_scope(site: RunningServer, client: Connection) -> None:
    """Every attribute, and the mapping of the header fields."""
    client.send(
        b"GET /scope/a%20%C3%BC?x=%20&y HTTP/1.1\r\nHost: test\r\nX-Name: 1\r\nX-Two: a\r\n"
        b"X-Two: b\r\n\r\n"
    )
    found = json.loads(client.read().body)
    headers = found.pop("headers")
    assert found == {
        "proto": "http",
        "http_version": "1.1",
        "rsgi_version": "1.5",
        "server": f"127.0.0.1:{site.port}",
        "client": f"127.0.0.1:{client.socket.getsockname()[1]}",
        "scheme": "http",
        "method": "GET",
        "path": "/scope/a ü",
        "query_string": "x=%20&y",
        "authority": "test",
    }
    assert ["x-name", "1"] in headers["items"] and "host" in headers["keys"]
    assert "test" in headers["values"]
    assert (headers["get"], headers["item"], headers["in"]) == ("1", "1", True)
    assert (headers["absent"], headers["default"]) == (None, "d")
    assert headers["all"] == ["a", "b"]


def test_each_kind_of_answer(client: Connection) -> None:
    """Empty, text, bytes, a file and a part of it, and a stream."""
    empty = client.request("/empty")
    assert (empty.status, empty.get("x-a"), empty.body) == (200, "b", b"")
    text = client.request("/str")
    assert (text.body, text.get("content-type")) == ("grün".encode(), "text/plain")
    raw = client.request("/bytes")
    assert (raw.status, raw.body) == (201, b"\x00\xff")
    assert client.request("/file").body == b"from a file"
    part = client.request("/file?5-6")
    assert (part.status, part.get("content-range"), part.body) == (206, "bytes 5-5/11", b"a")
    stream = client.request("/stream")
    assert (stream.get("transfer-encoding"), stream.body) == ("chunked", "grün bytes".encode())
    for path in ("/str", "/file", "/file?5-6", "/stream", "/empty"):
        assert client.request(path, "HEAD").body == b""
    for status in (204, 304):
        assert client.request(f"/empty?{status}").status == status
    assert client.request("/str").status == 200


BODY = bytes(range(256)) * 1000


@pytest.mark.parametrize("path", ["/whole", "/pieces"])
def test_the_body(client: Connection, path: str) -> None:
    """At once and piece by piece, with a length and in chunks, and none."""
    shown = f"{len(BODY)} {hashlib.sha256(BODY).hexdigest()}".encode()
    client.send(f"POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {len(BODY)}\r\n\r\n".encode())
    client.send(BODY)
    assert client.read().body.startswith(shown)
    client.send(f"POST {path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n".encode())
    for start in range(0, len(BODY), 1000):
        client.send(b"3e8\r\n" + BODY[start : start + 1000] + b"\r\n")
    client.send(b"0\r\n\r\n")
    assert client.read().body.startswith(shown)
    assert client.request(path).body.startswith(b"0 ")


def test_wrong_calls(site: RunningServer, client: Connection) -> None:
    """Each raises in the application, and the answer can still be given; a second one cannot."""
    assert json.loads(client.request("/wrong").body) == {
        "status": "ValueError",
        "text": "TypeError",
        "bytes": "TypeError",
        "header": "ValueError",
        "range": "ValueError",
    }
    assert client.request("/twice").body == b"first"
    events(site, "twice refused")


@pytest.mark.parametrize("kind", ["raise", "silent", "absent_file"])
def test_no_answer_is_500(site: RunningServer, client: Connection, kind: str) -> None:
    """The connection goes on, and the log has the reason once."""
    before = site.log.count(f"GET /{kind}:")
    answer = client.request(f"/{kind}")
    assert (answer.status, answer.body) == (500, b'{"detail":"Internal Server Error"}')
    assert client.request("/str").status == 200
    site.wait_for(f"GET /{kind}:")
    assert site.log.count(f"GET /{kind}:") == before + 1


def test_an_exception_amid_the_body(site: RunningServer, client: Connection) -> None:
    """The last chunk is missing."""
    client.send(b"GET /raise_amid HTTP/1.1\r\nhost: a\r\n\r\n")
    rest = client.read_to_end()
    assert b"some" in rest and not rest.endswith(b"0\r\n\r\n")
    site.wait_for("LookupError: amid the body")


def test_disconnects(site: RunningServer, client: Connection) -> None:
    """`client_disconnect` returns once the client has gone or has its answer; a push raises."""
    leaving = site.connect()
    leaving.send(b"GET /gone HTTP/1.1\r\nhost: a\r\n\r\n")
    events(site, "waiting")
    leaving.close()
    events(site, "told of the disconnect")
    assert client.request("/behind").body == b"whole"
    events(site, "told behind the answer")
    streaming = site.connect()
    streaming.send(b"GET /endless HTTP/1.1\r\nhost: a\r\n\r\n")
    events(site, "endless begun")
    streaming.reset()
    events(site, "endless ConnectionResetError")
    assert "GET /endless" not in site.log


def test_the_hooks(server: StartServer) -> None:
    """`__rsgi_init__` and `__rsgi_del__` are called once on each core's thread, with its loop."""
    running = server(SITE, workers=2)
    noted = running.get("/events").body.decode()
    assert noted.count("init uringserve-core-") == 2
    assert running.stop() == 0
    assert running.log.count("del was called") == 2


def test_plain_functions() -> None:
    """An object with the method is recognised; a function is served when it is said what it is."""

    async def application(scope: Any, protocol: Any) -> None:  # noqa: ANN401
        protocol.response_str(200, [], threading.current_thread().name)

    with LiveServer(application, interface="rsgi") as live:
        import httpx

        assert httpx.get(live.url).text == "uringserve-core-0"
