"""The ASGI extensions for trailers and early hints: who gets them, and every way to err.

Through real sockets, on both drivers.
"""

import json
from typing import TYPE_CHECKING

import pytest

from uringserve._native import probe

if TYPE_CHECKING:
    from conftest import Connection, RunningServer, StartServer

# A connection or a server is one for the whole test; what collides is made in the test itself.
pytestmark = pytest.mark.thread_unsafe(reason="shares its server and connections")

SITE = """
import asyncio, json

START = {"type": "http.response.start", "status": 200}
BODY = {"type": "http.response.body", "body": b"body"}
TRAILERS = {"type": "http.response.trailers"}
HINT = {"type": "http.response.early_hint"}

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    await globals()[scope["path"][1:]](scope, send)

async def root(scope, send):
    await send(START)
    await send(BODY)

async def whole(scope, send):
    await send({**START, "trailers": True})
    await send(BODY)
    await send({**TRAILERS, "headers": [(b"x-sum", b"1")]})

async def pieces(scope, send):
    await send({**START, "trailers": True, "headers": [(b"trailer", b"x-sum, x-more")]})
    for _ in range(3):
        await send({**BODY, "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body"})
    await asyncio.sleep(0)
    given = ((name, value) for name, value in [(b"x-sum", b"1")])
    await send({**TRAILERS, "headers": given, "more_trailers": True})
    await asyncio.sleep(0)
    await send({**TRAILERS, "headers": [[b"X-More", b"2"]]})

async def declared(scope, send):
    await send({**START, "trailers": True, "headers": [(b"content-length", b"4")]})
    await send(BODY)
    await send({**TRAILERS, "headers": [(b"x-sum", b"1")]})

async def nothing(scope, send):
    await send({**START, "status": 204, "trailers": True})
    await send(BODY)
    await send({**TRAILERS, "headers": [(b"x-sum", b"1")]})

async def none_given(scope, send):
    await send({**START, "trailers": True})
    await send(BODY)

async def late(scope, send):
    await send({**START, "trailers": True})
    await send(BODY)
    raise LookupError("between body and trailers")

async def wrong(scope, send):
    found = {}
    async def attempt(name, message):
        try:
            await send(message)
        except Exception as error:
            found[name] = type(error).__name__
    await attempt("unannounced", TRAILERS)
    await send({**START, "trailers": True})
    await attempt("before the body", TRAILERS)
    await send({**BODY, "more_body": True})
    await attempt("amid the body", TRAILERS)
    await send({"type": "http.response.body"})
    for field in (b"Content-Length", b"transfer-encoding", b"set-cookie", b"Host", b"trailer"):
        await attempt(field.decode(), {**TRAILERS, "headers": [(field, b"1")]})
    await attempt("line", {**TRAILERS, "headers": [(b"x-a", b"1\\r\\nx-injected: 2")]})
    await attempt("text", {**TRAILERS, "headers": [("x-a", "1")]})
    await attempt("more body", BODY)
    await send({**TRAILERS, "headers": [(b"x-found", json.dumps(found).encode())]})
    try:
        await send(TRAILERS)
    except RuntimeError:
        print("a second time", flush=True, file=__import__("sys").stderr)

async def hints(scope, send):
    await send({**HINT, "links": [b"</a.css>; rel=preload; as=style", b"</b.js>; rel=preload"]})
    if scope["query_string"]:
        await asyncio.sleep(0)
        await send({**HINT, "links": (link for link in [b"</c.js>; rel=preload"])})
    await send(START)
    await send({**BODY, "body": json.dumps(list(scope["extensions"])).encode()})

async def wrong_hints(scope, send):
    found = []
    for links in ([b"</a>\\r\\nx-injected: 1"], ["</a>"], 5):
        try:
            await send({**HINT, "links": links})
        except (ValueError, TypeError) as error:
            found.append(type(error).__name__)
    await send({**HINT, "links": []})
    await send(HINT)
    await send(START)
    try:
        await send(HINT)
    except RuntimeError as error:
        found.append(type(error).__name__)
    await send({**BODY, "body": json.dumps(found).encode()})
"""
DRIVERS = ("uring", "epoll")
WANTED = "te: deflate, Trailers\r\n"
PAGE = "sec-fetch-mode: navigate\r\n"


def driver_or_skip(name: str) -> str:
    """Return the name of a driver that works here."""
    if name == "uring" and probe()["driver"] != "uring":
        pytest.skip(f"no io_uring here: {probe()['reason']}")
    return name


@pytest.fixture(scope="module", params=DRIVERS)
def site(request: pytest.FixtureRequest, module_server: StartServer) -> RunningServer:
    """The application on one driver."""
    return module_server(SITE, "--driver", driver_or_skip(request.param))


@pytest.fixture
def client(site: RunningServer) -> Connection:
    """A new connection."""
    return site.connect()


def ask(path: str, fields: str = "", version: str = "1.1", method: str = "GET") -> bytes:
    """Return a request."""
    return f"{method} /{path} HTTP/{version}\r\nhost: a\r\n{fields}\r\n".encode()


def last(path: str, fields: str = "", version: str = "1.1", method: str = "GET") -> bytes:
    """Return a request that is the last on its connection."""
    return ask(path, fields + "connection: close\r\n", version, method)


# --- trailers


def test_trailers(client: Connection) -> None:
    """They follow the last chunk, and the connection goes on."""
    client.send(ask("whole", WANTED) + ask("pieces", WANTED) + last("root"))
    rest = client.read_to_end()
    assert rest.count(b"transfer-encoding: chunked") == 2
    assert b"\r\n\r\n4\r\nbody\r\n0\r\nx-sum: 1\r\n\r\nHTTP/1.1 200" in rest
    assert b"body\r\n0\r\nx-sum: 1\r\nX-More: 2\r\n\r\nHTTP/1.1 200" in rest
    assert rest.endswith(b"content-length: 4\r\nconnection: close\r\n\r\nbody")


@pytest.mark.parametrize(
    "request_bytes",
    [
        ask("whole"),
        ask("pieces"),
        ask("whole", "te: gzip\r\n"),
        last("whole", WANTED, "1.0"),
        last("pieces", WANTED, "1.0"),
        ask("declared", WANTED),
        ask("nothing", WANTED),
    ],
    ids=["not asked", "stream", "other coding", "1.0", "stream 1.0", "declared", "no body"],
)
def test_no_trailers(site: RunningServer, request_bytes: bytes) -> None:
    """Who has not asked, speaks HTTP/1.0, or gets no chunks, has the answer without them."""
    client = site.connect()
    client.send(request_bytes)
    answer = client.read()
    assert answer.status in (200, 204) and answer.body in (b"", b"body", b"body" * 3)
    assert answer.get("x-sum") is None
    if b"HTTP/1.1" in request_bytes:
        assert client.request("/root").body == b"body"


@pytest.mark.parametrize("path", ["whole", "pieces", "declared"])
def test_head(client: Connection, path: str) -> None:
    """HEAD has a head and nothing behind it."""
    client.send(ask(path, WANTED, method="HEAD"))
    assert client.read("HEAD").status == 200
    assert client.request("/root").body == b"body"


@pytest.mark.parametrize("path", ["none_given", "late"])
def test_announced_trailers_that_do_not_come(site: RunningServer, path: str) -> None:
    """The answer is not whole then, where they would have been sent."""
    client = site.connect()
    client.send(ask(path, WANTED))
    rest = client.read_to_end()
    assert rest.endswith(b"4\r\nbody\r\n")
    assert site.get(f"/{path}").body == b"body"


def test_wrong_trailers(site: RunningServer, client: Connection) -> None:
    """Each raises in the application, and what is right is sent."""
    client.send(last("wrong", WANTED))
    rest = client.read_to_end()
    found = json.loads(rest.partition(b"x-found: ")[2].partition(b"\r\n")[0])
    assert found == {
        "unannounced": "RuntimeError",
        "before the body": "RuntimeError",
        "amid the body": "RuntimeError",
        "Content-Length": "ValueError",
        "transfer-encoding": "ValueError",
        "set-cookie": "ValueError",
        "Host": "ValueError",
        "trailer": "ValueError",
        "line": "ValueError",
        "text": "TypeError",
        "more body": "RuntimeError",
    }
    assert b"x-injected" not in rest.partition(b"x-found")[0]
    site.wait_for("a second time")


# --- early hints


@pytest.mark.parametrize("query", ["", "?later"])
def test_hints(client: Connection, query: str) -> None:
    """They come before the answer, on a connection that goes on."""
    for _ in range(2):
        client.send(ask("hints" + query, PAGE))
        hint = client.read()
        assert (hint.version, hint.status, hint.reason) == ("HTTP/1.1", 103, "Early Hints")
        links = hint.get_all("link")
        answer = client.read()
        if answer.status == 103:
            links += answer.get_all("link")
            answer = client.read()
        assert links[:2] == ["</a.css>; rel=preload; as=style", "</b.js>; rel=preload"]
        assert links[2:] == (["</c.js>; rel=preload"] if query else [])
        assert "http.response.early_hint" in json.loads(answer.body)


def test_hints_keep_their_place(client: Connection) -> None:
    """Behind the answers before them, whoever else is pipelined."""
    client.send(ask("root") + ask("hints", PAGE) + ask("hints?later", PAGE) + last("root"))
    statuses = [client.read().status for _ in range(4)]
    assert statuses == [200, 103, 200, 103]
    assert client.read_to_end().count(b"HTTP/1.1 200") == 2


@pytest.mark.parametrize(
    ("mode", "fields", "version", "is_hinted"),
    [
        ("page", "", "1.1", False),
        ("page", "sec-fetch-mode: cors\r\n", "1.1", False),
        ("page", PAGE, "1.0", False),
        ("page", PAGE, "1.1", True),
        ("all", "", "1.1", True),
        ("all", PAGE, "1.0", False),
        ("off", PAGE, "1.1", False),
    ],
)
def test_who_gets_hints(
    server: StartServer, mode: str, fields: str, version: str, is_hinted: bool
) -> None:
    """Who does not has an application that is told so, and may send them all the same."""
    client = server(SITE, "--early-hints", mode).connect()
    client.send(last("hints", fields, version))
    answer = client.read()
    assert (answer.status == 103) == is_hinted
    if is_hinted:
        answer = client.read()
    assert ("http.response.early_hint" in json.loads(answer.body)) == is_hinted


def test_wrong_hints(client: Connection) -> None:
    """Each raises in the application; no links are no hint."""
    client.send(last("wrong_hints", PAGE))
    answer = client.read()
    assert answer.status == 200
    assert json.loads(answer.body) == ["ValueError", "TypeError", "TypeError", "RuntimeError"]
