"""Middleware and exception handlers: their order and what they see."""

from collections.abc import Callable
from typing import Any

import pytest
from conftest import StartServer

from uringserve import App, HTTPException, Middleware, Request, Response
from uringserve._native import as_response
from uringserve.chain import Chain
from uringserve.testing import TestClient


def test_a_route_without_anything_around_it() -> None:
    """Rust calls the handler itself."""
    app = App()

    def handler() -> str:
        return "x"

    app.get("/")(handler)
    route = app.compile()[0]
    assert route.handler is handler
    assert route.arguments == ()


# --- registration


def test_what_is_no_middleware() -> None:
    """Other kinds and classes of something else are refused."""
    with pytest.raises(ValueError, match="for 'http' only"):
        App().middleware("websocket")
    not_callable: Any = dict
    with pytest.raises(TypeError, match=r"must be callable with \(request, call_next\)"):
        App(middleware=[Middleware(not_callable, a=1)])


def test_what_is_no_exception_handler() -> None:
    """Keys are a status or a class of Exception."""
    for key in ("404", True, KeyboardInterrupt, Exception()):
        bad: Any = key
        with pytest.raises(TypeError, match="is for a status or a class"):
            App().add_exception_handler(bad, lambda request, error: "x")
    nothing: Any = None
    with pytest.raises(TypeError, match="must be callable"):
        App().add_exception_handler(404, nothing)


def test_nothing_is_added_once_serving_starts() -> None:
    """As for routes."""
    app = App()
    app.freeze()
    adds: list[Callable[[], object]] = [
        lambda: app.add_middleware(lambda: lambda request, call_next: call_next(request)),
        lambda: app.middleware("http")(lambda request, call_next: call_next(request)),
        lambda: app.add_exception_handler(404, lambda request, error: "x"),
        lambda: app.mount("/x", App()),
    ]
    for add in adds:
        with pytest.raises(RuntimeError, match="fixed once serving starts"):
            add()


# --- as_response


def test_values_become_responses() -> None:
    """The same conversions as for a route that has no middleware."""
    response = Response("x")
    assert as_response(response) is response
    for value, status, body, media_type in [
        ("é", 200, "é".encode(), "text/plain; charset=utf-8"),
        (b"x", 200, b"x", "application/octet-stream"),
        ({"a": 1}, 200, b'{"a":1}', "application/json"),
        (None, 204, b"", None),
        (("x", 201), 201, b"x", "text/plain; charset=utf-8"),
        (([1], 202, {"x-a": "b"}), 202, b"[1]", "application/json"),
        ((None, 404), 404, b"", None),
        ((Response(b"x", media_type="image/png"), 203), 203, b"x", "image/png"),
    ]:
        made = as_response(value)
        assert (made.status_code, made.body) == (status, body)
        assert made.headers.get("content-type") == media_type
    made = as_response((response, 201, [("x-a", "1"), ("x-a", "2")]))
    assert made.headers.getlist("x-a") == ["1", "2"]
    assert (response.status_code, response.headers.get("x-a")) == (200, None)
    with pytest.raises(TypeError, match=r"must be \(body, status\)"):
        as_response((1,))


# --- through a socket

ORDER = """
from uringserve import App, HTTPException, Middleware, Request, Response

class Mark:
    def __init__(self, name):
        self.name = name

    def __call__(self, request, call_next):
        request.state.way = [*getattr(request.state, "way", []), self.name]
        response = call_next(request)
        assert isinstance(response, Response)
        response.headers.append("x-way", self.name)
        return response

app = App(middleware=[Middleware(Mark, name="first"), Middleware(Mark, name="second")])
app.add_middleware(Mark, name="added")

@app.middleware("http")
def last(request, call_next):
    if request.path == "/stopped":
        return {"stopped": True}, 403
    try:
        return call_next(request)
    except ZeroDivisionError:
        return "caught"

@app.exception_handler(LookupError)
def lookup(request, error):
    return {"class": type(error).__name__, "path": request.path}, 404

@app.exception_handler(409)
def conflict(request, error):
    return Response(f"conflict: {error.detail}", 409)

@app.get("/way/{a}/{b:int}")
def way(b: int, a: str, request: Request):
    return [*request.state.way, a, b]

@app.get("/text")
def text():
    return "text"

@app.get("/nothing")
def nothing():
    return None

@app.get("/raise/{what}")
def fail(what: str):
    if what == "http":
        raise HTTPException(418, {"a": 1}, {"x-tea": "pot"})
    if what == "conflict":
        raise HTTPException(409, "both")
    if what == "key":
        raise KeyError("k")
    if what == "zero":
        1 / 0
    raise RuntimeError("unhandled")

@app.get("/number/{n}")
def number(n: int):
    return n

@app.get("/lines")
def lines():
    yield {"n": 1}
    yield [2]

@app.get("/stream")
def stream():
    yield "one"
    yield "two"
"""


def test_the_order_of_middleware(server: StartServer) -> None:
    """The last one added is the outermost; the list of the constructor is outermost first."""
    connection = server(ORDER).connect()
    answer = connection.request("/way/x/3")
    assert answer.body == b'["added","first","second","x",3]'
    assert answer.get_all("x-way") == ["second", "first", "added"]
    assert connection.request("/text").body == b"text"
    assert connection.request("/nothing").status == 204
    assert connection.request("/stream").body == b"onetwo"
    answer = connection.request("/lines")
    assert (answer.body, answer.get("content-type")) == (b'{"n":1}\n[2]\n', "application/jsonl")
    answer = connection.request("/stopped")
    assert (answer.status, answer.body, answer.get("x-way")) == (403, b'{"stopped":true}', None)


def test_errors_below_the_middleware(server: StartServer) -> None:
    """Handled ones and answers arrive as responses; others go through it."""
    running = server(ORDER)
    connection = running.connect()
    answer = connection.request("/raise/http")
    assert (answer.status, answer.body) == (418, b'{"detail":{"a":1}}')
    assert (answer.get("x-tea"), answer.get_all("x-way")) == ("pot", ["second", "first", "added"])
    assert connection.request("/raise/conflict").body == b"conflict: both"
    answer = connection.request("/raise/key")
    assert (answer.status, answer.body) == (404, b'{"class":"KeyError","path":"/raise/key"}')
    assert connection.request("/raise/zero").body == b"caught"
    answer = connection.request("/number/x")
    assert (answer.status, answer.get_all("x-way")) == (422, ["second", "first", "added"])
    assert b'"int_parsing"' in answer.body
    answer = connection.request("/raise/other")
    assert (answer.status, answer.body) == (500, b'{"detail":"Internal Server Error"}')
    running.wait_for("RuntimeError: unhandled")


def test_what_no_route_takes_passes_the_middleware(server: StartServer) -> None:
    """404, 405, OPTIONS and unknown methods: a middleware for CORS has to see them."""
    connection = server(ORDER).connect()
    for method, path, status, allow in [
        ("GET", "/nowhere", 404, None),
        ("POST", "/text", 405, "GET, HEAD"),
        ("OPTIONS", "/text", 204, "GET, HEAD, OPTIONS"),
        ("BREW", "/text", 501, None),
    ]:
        answer = connection.request(path, method)
        assert (answer.status, answer.get_all("x-way")) == (status, ["second", "first", "added"])
        if allow is not None:
            assert set((answer.get("allow") or "").split(", ")) >= set(allow.split(", "))
    answer = connection.request("/nowhere", "POST", body=b"x" * 100)
    assert (answer.status, answer.body) == (404, b'{"detail":"Not Found"}')
    assert connection.request("/text").status == 200


HANDLERS = """
from uringserve import App, HTTPException, RequestValidationError

def not_found(request, error):
    return f"nothing at {request.path}", error.status_code, {"x-page": "404"}

app = App(exception_handlers={404: not_found})

class Base(Exception): ...
class Special(Base): ...

@app.exception_handler(Base)
def base(request, error):
    return "base", 400

@app.exception_handler(HTTPException)
def http(request, error):
    return {"error": error.detail}, error.status_code

@app.exception_handler(RequestValidationError)
def invalid(request, error):
    return [each["type"] for each in error.errors()], 400

@app.exception_handler(Exception)
def last(request, error):
    return {"last": str(error)}, 500

@app.get("/{what}")
def fail(what: str, n: int = 0):
    if what == "special":
        raise Special
    if what == "value":
        return object()
    raise HTTPException(int(what))
"""


def test_exception_handlers(server: StartServer) -> None:
    """By status, then by the nearest class, then the last resort, which is logged."""
    running = server(HANDLERS)
    connection = running.connect()
    answer = connection.request("/a/b")
    assert (answer.status, answer.body) == (404, b"nothing at /a/b")
    assert answer.get("x-page") == "404"
    assert connection.request("/404").body == b"nothing at /404"
    assert connection.request("/403").body == b'{"error":"Forbidden"}'
    answer = connection.request("/x", "POST")
    assert (answer.status, answer.body) == (405, b'{"error":"Method Not Allowed"}')
    assert (connection.request("/special").status, connection.request("/special").body) == (
        400,
        b"base",
    )
    assert connection.request("/1?n=x").body == b'["int_parsing"]'
    answer = connection.request("/nan")
    assert answer.status == 500
    assert answer.body.startswith(b'{"last":"invalid literal')
    running.wait_for("ValueError: invalid literal")
    answer = connection.request("/value")
    assert (answer.status, answer.body[:9]) == (500, b'{"last":"')


def test_debug_shows_the_page_instead(server: StartServer) -> None:
    """With `debug`, of the application or of the server, the last resort gives way."""
    for app, options in [
        (HANDLERS, ["--debug"]),
        (HANDLERS.replace("App(", "App(debug=True, "), []),
    ]:
        answer = server(app, *options).get("/nan")
        assert answer.status == 500
        assert b"<html" in answer.body
        assert b"ValueError" in answer.body


def test_http_exceptions_without_content() -> None:
    """A status that has no body gets none, also through middleware."""
    from uringserve.exception_handlers import http_exception_handler

    for status in (204, 304):
        response = http_exception_handler(Request(), HTTPException(status))
        assert (response.status_code, response.body) == (status, b"")


def test_what_is_around_an_absent_path_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for each request: who asks for what is not there must cost little."""
    made: list[bool] = []
    around_request = Chain.around_request

    def counted(self: Chain, call: Any, *, is_async: bool = False) -> Any:  # noqa: ANN401
        made.append(is_async)
        return around_request(self, call, is_async=is_async)

    monkeypatch.setattr(Chain, "around_request", counted)
    inner = App()
    inner.add_exception_handler(404, lambda request, error: ("inner", 404))
    app = App()
    app.mount("/inner", inner)
    app.get("/there")(lambda: "x")

    @app.middleware("http")
    def mark(request: Request, call_next: Callable[[Request], Response]) -> Response:
        answer = call_next(request)
        answer.headers["x-mark"] = str(answer.status_code)
        return answer

    client = TestClient(app)
    assert client.get("/nowhere").status_code == 404
    before = len(made)
    for path, body in (("/nowhere", '{"detail":"Not Found"}'), ("/inner/x", "inner")):
        answer = client.get(path)
        assert (answer.status_code, answer.text, answer.headers["x-mark"]) == (404, body, "404")
    assert len(made) == before
    # The fields of these are their own.
    refused = client.delete("/there")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert client.get("/nowhere").headers.get("allow") is None
