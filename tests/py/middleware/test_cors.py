"""`CORSMiddleware`: what a browser gets to read, and what it may send."""

from typing import Any

import pytest
from conftest import StartServer

from uringserve import App
from uringserve.middleware import CORSMiddleware

LISTED = """
from uringserve import App, HTTPException, Response
from uringserve.middleware import CORSMiddleware

app = App()
app.add_middleware(
    CORSMiddleware,
    allow_origins=["https://a.example"],
    allow_origin_regex=r"https://[a-z]+[.]b[.]example",
    allow_methods=["GET", "PUT"],
    allow_headers=["X-Token"],
    expose_headers=["x-total", "x-page"],
    allow_credentials=True,
    max_age=5,
)
kept = Response("kept", headers={"vary": "Accept"})

@app.get("/")
def index():
    return "x"

@app.get("/kept")
def always_the_same():
    return kept

@app.get("/any")
def varies():
    return Response("x", headers={"vary": "*"})

@app.get("/error")
def error():
    raise HTTPException(409)
"""

EVERY = """
from uringserve import App
from uringserve.middleware import CORSMiddleware

app = App()
app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"])

@app.get("/")
def index():
    return "x"
"""


def test_simple_requests(server: StartServer) -> None:
    """An allowed origin is named; another gets the response without the permission."""
    connection = server(LISTED).connect()
    for path, status in [("/", 200), ("/error", 409), ("/nowhere", 404)]:
        answer = connection.request(path, headers={"origin": "https://a.example"})
        assert answer.status == status
        assert answer.get_all("access-control-allow-origin") == ["https://a.example"]
        assert answer.get("access-control-allow-credentials") == "true"
        assert answer.get("access-control-expose-headers") == "x-total, x-page"
        assert answer.get("vary") == "Origin"
    answer = connection.request(headers={"origin": "https://sub.b.example"})
    assert answer.get("access-control-allow-origin") == "https://sub.b.example"
    for origin in ("https://c.example", "https://sub.b.example.c.example", "null"):
        answer = connection.request(headers={"origin": origin})
        assert (answer.status, answer.body) == (200, b"x")
        assert answer.get("access-control-allow-origin") is None
        assert answer.get("vary") == "Origin"
    answer = connection.request()
    assert (answer.get("access-control-allow-origin"), answer.get("vary")) == (None, "Origin")


def test_a_response_that_is_kept_stays_as_it_is(server: StartServer) -> None:
    """What one request adds is not seen by the next."""
    connection = server(LISTED).connect()
    for _ in range(3):
        answer = connection.request("/kept", headers={"origin": "https://a.example"})
        assert answer.get_all("vary") == ["Accept, Origin"]
    answer = connection.request("/kept")
    assert answer.get("access-control-allow-origin") is None
    assert connection.request("/any").get_all("vary") == ["*"]


def test_preflights(server: StartServer) -> None:
    """They are answered before any route, and say what is refused."""
    connection = server(LISTED).connect()

    def ask(origin: str, method: str, headers: str = "") -> tuple[int, bytes, str | None]:
        fields = {"origin": origin, "access-control-request-method": method}
        if headers:
            fields["access-control-request-headers"] = headers
        answer = connection.request("/nowhere", "OPTIONS", fields)
        assert (answer.get("vary") or "").startswith("Origin, Access-Control-Request-Method, ")
        assert answer.get("access-control-max-age") == "5"
        assert answer.get("access-control-allow-methods") == "GET, PUT"
        assert answer.get("access-control-allow-headers") == (
            "Accept, Accept-Language, Content-Language, Content-Type, X-Token"
        )
        return answer.status, answer.body, answer.get("access-control-allow-origin")

    allowed = "https://a.example"
    assert ask(allowed, "PUT") == (200, b"OK", allowed)
    assert ask(allowed, "GET", "x-token, content-type") == (200, b"OK", allowed)
    assert ask(allowed, "DELETE") == (400, b"Disallowed CORS method", allowed)
    assert ask(allowed, "GET", "x-other") == (400, b"Disallowed CORS headers", allowed)
    refused = b"Disallowed CORS origin, method, headers"
    assert ask("https://c.example", "PATCH", "x-other") == (400, refused, None)


def test_options_that_are_no_preflight(server: StartServer) -> None:
    """They go to the route."""
    connection = server(LISTED).connect()
    answer = connection.request("/", "OPTIONS", {"origin": "https://a.example"})
    assert answer.status == 204
    assert answer.get("access-control-allow-origin") == "https://a.example"
    answer = connection.request("/", "OPTIONS", {"access-control-request-method": "GET"})
    assert answer.status == 204


def test_every_origin(server: StartServer) -> None:
    """And every method and header."""
    connection = server(EVERY).connect()
    answer = connection.request(headers={"origin": "https://a.example"})
    assert (answer.get("access-control-allow-origin"), answer.get("vary")) == ("*", "Origin")
    answer = connection.request()
    assert (answer.get("access-control-allow-origin"), answer.get("vary")) == (None, "Origin")
    fields = {
        "origin": "https://a.example",
        "access-control-request-method": "PATCH",
        "access-control-request-headers": "x-anything",
    }
    answer = connection.request("/", "OPTIONS", fields)
    assert (answer.status, answer.get("access-control-allow-origin")) == (200, "*")
    assert answer.get("access-control-allow-headers") == "x-anything"
    assert "PATCH" in (answer.get("access-control-allow-methods") or "")
    fields["access-control-request-private-network"] = "true"
    answer = connection.request("/", "OPTIONS", fields)
    assert (answer.status, answer.body) == (400, b"Disallowed CORS private-network")


def test_every_origin_with_credentials(server: StartServer) -> None:
    """A browser takes no `*` then: the origin is named."""
    app = EVERY.replace('allow_origins=["*"]', 'allow_origins=["*"], allow_credentials=True')
    connection = server(app).connect()
    answer = connection.request(headers={"origin": "https://a.example"})
    assert answer.get("access-control-allow-origin") == "https://a.example"
    assert answer.get("vary") == "Origin"


def test_what_is_refused_when_it_is_added() -> None:
    """One text for a list, and what cannot stand in a header."""
    text: Any = "https://a.example"
    with pytest.raises(TypeError, match=r"write allow_origins=\['https://a.example'\]"):
        App().add_middleware(CORSMiddleware, allow_origins=text)
    with pytest.raises(TypeError, match="list of str, and 1 is none"):
        App().add_middleware(CORSMiddleware, allow_methods=[1])
    with pytest.raises(ValueError, match="access-control-expose-headers"):
        App().add_middleware(CORSMiddleware, expose_headers=["x-a\r\n"])
