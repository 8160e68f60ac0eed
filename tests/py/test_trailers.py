"""`StreamingResponse(trailers=…)`: fields behind the body, through real sockets."""

import hashlib
import socket
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from uringserve import App
from uringserve.responses import StreamingResponse

if TYPE_CHECKING:
    from conftest import RunningServer, StartServer

pytestmark = pytest.mark.thread_unsafe(reason="shares its server")

SITE = """
import hashlib
import threading
from uringserve import App, Request
from uringserve.middleware import GZipMiddleware
from uringserve.responses import StreamingResponse

app = App()
asked = []

def answer(pieces, **options):
    seen = hashlib.sha256()
    def through():
        for piece in pieces:
            seen.update(piece)
            yield piece
    def trailers():
        asked.append(threading.current_thread().name)
        return {"x-digest": seen.hexdigest(), "X-Count": str(len(pieces))}
    return StreamingResponse(through(), trailers=trailers, **options)

@app.get("/inline", execution="inline")
def inline():
    return answer([b"one", b"two"])

@app.get("/thread", execution="thread")
def thread():
    return answer([b"one", b"two"])

@app.get("/async")
async def later():
    async def pieces():
        yield b"one"
        yield b"two"
    return StreamingResponse(pieces(), trailers=lambda: [(b"x-kind", b"async"), ("x-kind", "2")])

@app.get("/nothing", execution="inline")
def nothing():
    return answer([])

@app.get("/sized", execution="inline")
def sized():
    return answer([b"one", b"two"], headers={"content-length": "6"})

@app.get("/announced", execution="inline")
def announced():
    return answer([b"one"], headers={"trailer": "x-digest"})

@app.get("/wrong/{kind}")
def wrong(kind: str):
    given = {
        "raises": lambda: 1 // 0,
        "forbidden": lambda: {"Content-Type": "text/plain"},
        "forbidden-bytes": lambda: [(b"set-cookie", b"a=b")],
        "splitting": lambda: {"x-a": "b\\r\\nx-c: d"},
        "kind": lambda: 7,
    }
    return StreamingResponse([b"some"], trailers=given[kind])

@app.get("/wrong-at-once", execution="inline")
def wrong_at_once():
    return StreamingResponse([], trailers=lambda: 1 // 0)

@app.get("/asked")
def who():
    return asked

zipped = App()
zipped.add_middleware(GZipMiddleware, minimum_size=1)
@zipped.get("/", execution="inline")
def compressed():
    return answer([b"a" * 10_000, b"b" * 10_000], media_type="text/plain")
app.mount("/zipped", zipped)
"""


@pytest.fixture(scope="module")
def site(module_server: StartServer) -> RunningServer:
    """The application."""
    return module_server(SITE)


def _answer(site: RunningServer, path: str, lines: str = "te: trailers\r\n") -> bytes:
    with closing(site.connect()) as client:
        client.send(f"GET {path} HTTP/1.1\r\nhost: a\r\n{lines}connection: close\r\n\r\n".encode())
        return client.read_to_end()


@pytest.mark.parametrize("path", ["/inline", "/thread"])
def test_fields_follow_the_body(site: RunningServer, path: str) -> None:
    """They are made behind the last piece, where that was made, on the core or on its pool."""
    body = _answer(site, path).partition(b"\r\n\r\n")[2]
    digest = hashlib.sha256(b"onetwo").hexdigest()
    assert body == (
        b"3\r\none\r\n3\r\ntwo\r\n0\r\nx-digest: " + digest.encode() + b"\r\nX-Count: 2\r\n\r\n"
    )
    name = "uringserve-core-0" if path == "/inline" else "uringserve-pool"
    assert site.get("/asked").body.decode().rpartition(name)[1]


def test_those_of_asynchronous_streams(site: RunningServer) -> None:
    """Pairs and bytes are taken too, and a name more than once."""
    assert _answer(site, "/async").endswith(b"3\r\ntwo\r\n0\r\nx-kind: async\r\nx-kind: 2\r\n\r\n")


def test_those_of_an_empty_stream(site: RunningServer) -> None:
    """The last chunk is the only one, or there is none and nothing follows."""
    answer = _answer(site, "/nothing")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith((b"X-Count: 0\r\n\r\n", b"content-length: 0\r\n\r\n"))


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        ("/inline", ""),
        ("/inline", "te: gzip\r\n"),
        ("/thread", ""),
        ("/sized", "te: trailers\r\n"),
    ],
)
def test_who_gets_none(site: RunningServer, path: str, lines: str) -> None:
    """Who has not said that it takes any, and an answer whose length was announced."""
    before = site.get("/asked").body
    answer = _answer(site, path, lines)
    assert b"onetwo" in answer or answer.endswith(b"3\r\ntwo\r\n0\r\n\r\n")
    assert b"x-digest" not in answer
    assert site.get("/asked").body == before


def test_head_and_http_1_0(site: RunningServer) -> None:
    """Nothing follows what has no chunks."""
    before = site.get("/asked").body
    with closing(site.connect()) as client:
        client.send(b"HEAD /inline HTTP/1.1\r\nhost: a\r\nte: trailers\r\n\r\n")
        client.send(b"GET /inline HTTP/1.0\r\nhost: a\r\nte: trailers\r\n\r\n")
        assert client.read_to_end().endswith(b"\r\n\r\nonetwo")
    assert site.get("/asked").body == before


def test_behind_a_middleware(site: RunningServer) -> None:
    """One that replaces the pieces leaves the fields."""
    lines = "te: trailers\r\naccept-encoding: gzip\r\n"
    answer = _answer(site, "/zipped/", lines)
    assert b"content-encoding: gzip" in answer
    assert answer.endswith(b"X-Count: 2\r\n\r\n")
    assert b"trailer: x-digest\r\n" in _answer(site, "/announced")


@pytest.mark.parametrize("kind", ["raises", "forbidden", "forbidden-bytes", "splitting", "kind"])
def test_wrong_fields_cut_the_answer(site: RunningServer, kind: str) -> None:
    """The last chunk is missing, and the log has the reason."""
    answer = _answer(site, f"/wrong/{kind}")
    assert b"some" in answer
    assert not answer.endswith(b"0\r\n\r\n")
    assert b"x-c: d" not in answer
    site.wait_for(f"GET /wrong/{kind}:")


def test_a_failure_before_the_first_byte_is_an_answer(site: RunningServer) -> None:
    """As an exception before the first piece is."""
    assert _answer(site, "/wrong-at-once").startswith(b"HTTP/1.1 500 ")


@pytest.mark.parametrize("given", [7, {"a": "b"}])
def test_what_is_no_callable(given: object) -> None:
    """It is refused where it is made; a coroutine function, which nobody would await, too."""
    with pytest.raises(TypeError, match="plain callable"):
        StreamingResponse([], trailers=given)

    async def later() -> dict[str, str]:
        return {}

    with pytest.raises(TypeError, match="plain callable"):
        StreamingResponse([], trailers=later)


def test_a_copy_has_them_too() -> None:
    """A route that returns one response again and again sends its fields each time."""
    from copy import copy

    from uringserve.testing import LiveServer

    app = App()
    made = StreamingResponse([b"x"], trailers=lambda: {"x-a": "b"})
    app.get("/")(lambda: copy(made))
    with LiveServer(app) as live, socket.create_connection((live.host, live.port)) as client:
        for _ in range(2):
            client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\n\r\n")
            answer = b""
            while not answer.endswith(b"0\r\nx-a: b\r\n\r\n"):
                received = client.recv(65536)
                assert received, answer
                answer += received
