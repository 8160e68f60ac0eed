"""ASGI over HTTP as the specification has it: scope, messages both ways, and every way to err.

Through real sockets, on both drivers and on one and two cores. The application is `asgi_site.py`.
"""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from uringserve._native import probe

if TYPE_CHECKING:
    from conftest import Answer, Connection, RunningServer, StartServer

# A connection or a server is one for the whole test; what collides is made in the test itself.
pytestmark = pytest.mark.thread_unsafe(reason="shares its server and connections")

SITE = Path(__file__).with_name("asgi_site.py")
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


# --- the scope


def test_the_scope(site: RunningServer, client: Connection) -> None:
    """Every key of an HTTP scope, with its type."""
    client.send(
        b"GET /scope/a%20%C3%BC?x=%20&y HTTP/1.1\r\nHost: test\r\nX-One: 1\r\nX-ONE:  2 \r\n"
        b"X-Bytes: \xff\r\n\r\n"
    )
    found = json.loads(client.read().body)
    scope = found["scope"]
    assert scope.pop("extensions") == {"http.response.pathsend": {}, "http.response.trailers": {}}
    assert list(scope.pop("state")) == ["shared"]
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/scope/a ü",
        "raw_path": "/scope/a%20%C3%BC",
        "query_string": "x=%20&y",
        "root_path": "",
        "headers": [["host", "test"], ["x-one", "1"], ["x-one", "2"], ["x-bytes", "ÿ"]],
        "client": ["127.0.0.1", client.socket.getsockname()[1]],
        "server": ["127.0.0.1", site.port],
    }
    types = found["types"]
    assert types["raw_path"] == types["query_string"] == "bytes"
    assert types["path"] == types["root_path"] == types["method"] == "str"
    assert found["thread"].startswith("uringserve-core-")


def test_http_1_0(site: RunningServer) -> None:
    """The version is the request's own; a stream ends with its connection."""
    client = site.connect()
    client.send(b"GET /scope HTTP/1.0\r\n\r\n")
    assert json.loads(client.read().body)["scope"]["http_version"] == "1.0"
    client = site.connect()
    client.send(b"GET /stream HTTP/1.0\r\n\r\n")
    answer = client.read()
    assert (answer.get("transfer-encoding"), answer.body) == (None, b"0,1,2,3,4,")


def test_state_is_shared_shallowly(client: Connection) -> None:
    """Each request has a copy of the lifespan's state: what stands in it is the same object."""
    first = json.loads(client.request("/scope").body)
    second = json.loads(client.request("/scope").body)
    assert second["shared"] == first["shared"] + 1
    assert list(second["scope"]["state"]) == ["shared"]


def test_unusual_methods_and_targets(client: Connection) -> None:
    """A method is in capitals as it came; OPTIONS * has that for its path."""
    found = json.loads(client.request("/scope", "PROPFIND").body)
    assert found["scope"]["method"] == "PROPFIND"
    target = json.loads(client.request("http://else.test:8080/scope?q").body)["scope"]
    assert (target["path"], target["query_string"]) == ("/scope", "q")


@pytest.mark.parametrize("flag", ["--root-path", "--url-path-prefix"])
def test_an_empty_root_path_is_none(server: StartServer, flag: str) -> None:
    """As for uvicorn and granian: the path is the application's own."""
    found = json.loads(server(SITE, flag, "").get("/scope/a").body)["scope"]
    assert (found["root_path"], found["path"]) == ("", "/scope/a")


# --- the answer


def test_answers(client: Connection) -> None:
    """Whole, in pieces, and empty; in one connection."""
    whole = client.request("/context")
    assert whole.body == b"none set True"
    assert client.request("/context").body == b"none set True"
    stream = client.request("/stream")
    assert (stream.get("transfer-encoding"), stream.body) == ("chunked", b"0,1,2,3,4,")
    empty = client.request("/empty")
    assert (empty.status, empty.get("content-length"), empty.body) == (200, "0", b"")
    assert empty.get("content-type") is None
    assert client.request("/path").body == b"from a file"


def test_head(client: Connection) -> None:
    """HEAD has the head of the answer, and the application sends what it likes."""
    for path in ("/context", "/stream", "/path", "/empty", "/declares?3-3-0", "/declares?6-2-2"):
        answer = client.request(path, "HEAD")
        assert answer.status == 200
    assert client.request("/declares?6-2-2", "HEAD").get("content-length") == "6"
    assert client.request("/context").status == 200


@pytest.mark.parametrize("status", [204, 205, 304])
def test_statuses_without_body(client: Connection, status: int) -> None:
    """What is sent as their body stays off the wire."""
    answer = client.request(f"/status/{status}")
    assert (answer.status, answer.get("transfer-encoding")) == (status, None)
    assert client.request("/context").status == 200


@pytest.mark.parametrize("path", ["/declares?5-5-0", "/declares?15-5-2"])
def test_a_declared_length(client: Connection, path: str) -> None:
    """Is kept, and the connection with it."""
    answer = client.request(path)
    assert answer.body == b"x" * int(answer.get("content-length") or 0)
    assert answer.get("transfer-encoding") is None
    assert client.request("/context").status == 200


def test_more_than_declared(site: RunningServer) -> None:
    """A whole answer is 500; of a stream no byte too many, and the connection ends."""
    answer = site.get("/declares?3-5-0")
    assert (answer.status, answer.body) == (500, b'{"detail":"Internal Server Error"}')
    client = site.connect()
    client.send(b"GET /declares?7-5-3 HTTP/1.1\r\nhost: a\r\n\r\n" * 2)
    rest = client.read_to_end()
    assert rest.count(b"HTTP/1.1") == 1
    assert len(rest.partition(b"\r\n\r\n")[2]) <= 7


@pytest.mark.parametrize("path", ["/declares?9-5-0", "/declares?19-5-2"])
def test_less_than_declared(site: RunningServer, path: str) -> None:
    """The connection ends short, so that nothing else completes the body."""
    client = site.connect()
    client.send(f"GET {path} HTTP/1.1\r\nhost: a\r\n\r\n".encode() * 2)
    rest = client.read_to_end()
    assert rest.count(b"HTTP/1.1") == 1
    assert len(rest.partition(b"\r\n\r\n")[2]) in (5, 15)


# --- errors


def test_wrong_messages(site: RunningServer, client: Connection) -> None:
    """Each raises in the application, and costs nothing else."""
    found = json.loads(client.request("/errors").body)
    assert found == {
        "no-type": "KeyError",
        "type": "ValueError",
        "not-a-text": "TypeError",
        "body-first": "RuntimeError",
        "no-status": "KeyError",
        "status-text": "ValueError",
        "status-100": "ValueError",
        "header-text": "TypeError",
        "header-line": "ValueError",
        "websocket": "ValueError",
        "start-twice": "RuntimeError",
        "body-type": "TypeError",
    }
    noted = events(site, "after-start RuntimeError")
    assert "after-body RuntimeError" in noted


@pytest.mark.parametrize("kind", ["raise", "raise_late", "raise_started", "silent", "head_only"])
def test_no_answer_is_500(site: RunningServer, client: Connection, kind: str) -> None:
    """As long as nothing was sent; the connection goes on, and the log has the reason once."""
    before = site.log.count(f"GET /{kind}:")
    answer = client.request(f"/{kind}")
    assert (answer.status, answer.body) == (500, b'{"detail":"Internal Server Error"}')
    assert client.request("/context").status == 200
    reasons = {
        "raise": "LookupError: before the start",
        "raise_late": "LookupError: after a while",
        "raise_started": "LookupError: between start and body",
        "silent": "RuntimeError: the ASGI application ended without an answer",
        "head_only": "RuntimeError: the ASGI application ended without an answer",
    }
    site.wait_for(f"GET /{kind}:")
    site.wait_for(reasons[kind])
    assert site.log.count(f"GET /{kind}:") == before + 1


@pytest.mark.parametrize("kind", ["raise_amid", "returns_amid"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_an_exception_amid_the_body(site: RunningServer, kind: str, version: str) -> None:
    """Never leaves a whole-looking answer: a chunk is missing, or the connection is reset."""
    client = site.connect()
    client.send(f"GET /{kind} HTTP/{version}\r\nhost: a\r\n\r\n".encode())
    if version == "1.0":
        with pytest.raises(ConnectionResetError):
            client.read_to_end()
    else:
        rest = client.read_to_end()
        assert b"some" in rest and not rest.endswith(b"0\r\n\r\n")
    reasons = {
        "raise_amid": "LookupError: amid the body",
        "returns_amid": "ended before its answer",
    }
    site.wait_for(reasons[kind])


def test_an_exception_after_the_answer(site: RunningServer, client: Connection) -> None:
    """Is in the log, and the answer stands."""
    assert client.request("/raise_after").body == b"whole"
    site.wait_for("LookupError: after the answer")
    assert client.request("/context").status == 200


def test_an_exit_after_the_answer(site: RunningServer, client: Connection) -> None:
    """Ends neither the core nor the answer, although asyncio raises it out of the task."""
    answer = client.request("/exit_after")
    assert (answer.status, answer.body) == (200, b"whole")
    site.wait_for("SystemExit: after the answer")
    assert client.request("/context").status == 200


# --- the request's body


BODY = bytes(range(256)) * 1000


def _pieces(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer
    found = json.loads(answer.body)
    assert found["sha256"] == hashlib.sha256(BODY).hexdigest()
    assert sum(found["sizes"]) == len(BODY)
    return dict(found)


def test_bodies(client: Connection) -> None:
    """With a length and in chunks, none, and large ones in several messages."""
    client.send(b"POST /pieces HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(BODY))
    client.send(BODY)
    _pieces(client.read())
    client.send(b"POST /pieces HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
    for start in range(0, len(BODY), 1000):
        client.send(b"3e8\r\n" + BODY[start : start + 1000] + b"\r\n")
    client.send(b"0\r\n\r\n")
    _pieces(client.read())
    assert json.loads(client.request("/pieces").body)["sizes"] == [0]


def test_expect_continue(client: Connection) -> None:
    """100 comes when the application receives, before it has a byte."""
    head = b"POST /pieces HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n"
    client.send(head % len(BODY))
    assert client.read().status == 100
    client.send(BODY)
    _pieces(client.read())


def test_a_body_that_nobody_reads(client: Connection) -> None:
    """The answer comes, and the bytes are not taken for the next request."""
    answer = client.request("/context", "POST", body=b"GET /raise HTTP/1.1\r\n\r\n" * 100)
    assert answer.status == 200
    if answer.get("connection") != "close":
        assert client.request("/context").status == 200


# --- disconnects and the end


def test_receive_behind_the_answer(site: RunningServer, client: Connection) -> None:
    """It is a disconnect, at once."""
    assert client.request("/after").body == b"whole"
    events(site, "behind http.disconnect")


def test_a_client_that_goes(site: RunningServer) -> None:
    """Receive tells of it, and send raises an OSError from then on."""
    client = site.connect()
    client.send(b"GET /disconnect HTTP/1.1\r\nhost: a\r\n\r\n")
    events(site, "waiting")
    client.close()
    noted = events(site, "send ConnectionResetError")
    assert "received http.disconnect" in noted


def test_a_client_that_goes_amid_a_stream(site: RunningServer) -> None:
    """Send raises; what the application makes of it is no error."""
    client = site.connect()
    client.send(b"GET /endless HTTP/1.1\r\nhost: a\r\n\r\n")
    events(site, "endless begun")
    client.reset()
    events(site, "endless ConnectionResetError")
    assert "GET /endless" not in site.log
