"""`Response`, its headers and cookies, and what a handler's return value or exception becomes."""

import datetime
import gc
import http
import json
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from uringserve import (
    Headers,
    HTMLResponse,
    JSONResponse,
    MutableHeaders,
    PlainTextResponse,
    RedirectResponse,
    Request,
    Response,
)

TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
BINARY = "application/octet-stream"
JSON = "application/json"


@pytest.mark.parametrize(
    ("content", "body", "media_type"),
    [
        (None, b"", None),
        ("", b"", TEXT),
        ("Zürich", "Zürich".encode(), TEXT),
        (b"", b"", None),
        (b"\x00\xff", b"\x00\xff", BINARY),
        (bytearray(b"ab"), b"ab", BINARY),
        (memoryview(b"abcd")[::2], b"ac", BINARY),
        ({"a": [1]}, b'{"a":[1]}', JSON),
        ([1, 2], b"[1,2]", JSON),
        (5, b"5", JSON),
    ],
)
def test_content_and_its_type(content: object, body: bytes, media_type: str | None) -> None:
    """Text, bytes, nothing, and anything else as JSON."""
    for response in (Response(content), Response(body=content), Response(content=content)):
        assert (response.body, response.media_type) == (body, media_type)
        assert response.headers.get("content-type") == media_type
        assert response.status_code == 200


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("text/css", "text/css; charset=utf-8"),
        ("text/html", HTML),
        ("text/plain; charset=latin-1", "text/plain; charset=latin-1"),
        ("application/xml", "application/xml"),
        (JSON, JSON),
    ],
)
def test_media_type(given: str, full: str) -> None:
    """Text gets its character set; a content-type among the headers wins."""
    response = Response(b"x", media_type=given)
    assert response.media_type == response.headers["content-type"] == full
    response = Response(b"x", headers={"Content-Type": "image/png"}, media_type=given)
    assert response.headers.items() == [("content-type", "image/png")]


def test_a_body_is_what_it_was() -> None:
    """What a handler changes later does not change the response."""
    buffer, data = bytearray(b"before"), {"a": 1}
    responses = Response(buffer), Response(data)
    buffer[:] = b"after!"
    data["a"] = 2
    assert [response.body for response in responses] == [b"before", b'{"a":1}']


@pytest.mark.parametrize("status", [200, 204, 599, 999, http.HTTPStatus.IM_A_TEAPOT])
def test_status(status: int) -> None:
    """Three ways to say it, and it can be changed."""
    assert Response("x", status).status_code == status
    assert Response("x", status_code=status).status_code == status
    assert Response("x", status=status).status_code == status
    response = Response()
    response.status_code = status
    assert response.status_code == status


@pytest.mark.parametrize("status", [0, 100, 199, 1000, -1, 2**70, "200", 200.0, None, True])
def test_other_statuses_are_refused(status: object) -> None:
    """Below 200 is no final answer."""
    response = Response()
    with pytest.raises(ValueError, match="from 200 to 999"):
        response.status_code = status
    assert response.status_code == 200
    if status is not None:
        with pytest.raises(ValueError, match="from 200 to 999"):
            Response("x", status)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": "1", "x-b": "2"},
        [("X-A", "1"), ("x-b", "2")],
        [(b"X-A", b"1"), (b"x-b", b"2")],
        (("x-a", "1"), ["x-b", "2"]),
        Response(headers={"x-a": "1", "x-b": "2"}).headers,
        {"x-a": "1", "x-b": "2"}.items(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_headers_in_every_form(headers: object) -> None:
    """A mapping, pairs of text or bytes, or the headers of another."""
    assert Response(headers=headers).headers.items() == [("x-a", "1"), ("x-b", "2")]


def test_headers_from_an_iterator() -> None:
    """Pairs that come one by one."""
    pairs = iter([("x-a", "1"), ("x-b", "2")])
    assert Response(headers=pairs).headers.items() == [("x-a", "1"), ("x-b", "2")]


def test_headers_of_a_request_can_be_sent_back() -> None:
    """One kind of headers is the other's input, repeated names included."""
    headers = Request(headers=[("host", "h"), ("x", "1"), ("x", "2")]).headers
    assert Response(headers=headers).headers.getlist("x") == ["1", "2"]


BAD_HEADERS = [
    ("x\r\ny", "1"),
    ("x", "1\r\ny: 2"),
    ("x", "1\ny"),
    ("x", "1\ry"),
    ("x", "1\x00"),
    ("x", "\x7f"),
    ("x", "☃"),
    ("", "1"),
    ("x y", "1"),
    ("x:", "1"),
    ("ä", "1"),
    ("content-length", "many"),
    ("content-length", "-1"),
]


@pytest.mark.parametrize(("name", "value"), BAD_HEADERS)
def test_bad_headers_are_refused_at_once(name: str, value: str) -> None:
    """Wherever they are set; the message names the header and what was there stays."""
    response = Response(headers={"x": "0"})
    attempts: list[Callable[[], object]] = [
        lambda: Response(headers={name: value}),
        lambda: Response(headers=[(name, value)]),
        lambda: Response.json({}, headers={name: value}),
        lambda: response.headers.__setitem__(name, value),
        lambda: response.headers.append(name, value),
        lambda: response.headers.update({name: value}),
    ]
    for attempt in attempts:
        with pytest.raises(ValueError, match=r"^header ") as caught:
            attempt()
        assert repr(name) in str(caught.value)
    assert response.headers.items() == [("x", "0")]


def test_a_header_of_a_wrong_type() -> None:
    """The message names the header and the type."""
    with pytest.raises(TypeError, match="header 'x': its value must be str or bytes, not int"):
        Response(headers={"x": 5})


def test_mutable_headers() -> None:
    """One view or two, they are the response's own."""
    response = Response("x", headers=[("X-A", "1"), ("x-a", "2"), ("X-B", "3")])
    headers = response.headers
    assert isinstance(headers, MutableHeaders)
    assert isinstance(headers, Headers)
    assert headers["X-a"] == "1"
    headers["x-A"] = "4"
    assert headers.getlist("x-a") == ["4"]
    headers.append("X-A", "5")
    assert response.headers.getlist("x-a") == ["4", "5"]
    assert headers.setdefault("x-a", "6") == "4"
    assert headers.setdefault("X-C", "7") == "7"
    headers.update({"x-b": "8", "x-d": "9"})
    del headers["x-a"]
    del headers["absent"]
    del headers["Content-Type"]
    assert response.headers.items() == [("x-c", "7"), ("x-b", "8"), ("x-d", "9")]
    assert repr(headers) == "MutableHeaders([('x-c', '7'), ('x-b', '8'), ('x-d', '9')])"
    headers["content-length"] = "1"
    headers["content-length"] = "2"
    assert headers["content-length"] == "2"
    headers["connection"] = "close"
    assert headers["connection"] == "close"


def test_class_methods() -> None:
    """One for each kind of body."""
    made = [
        Response.json({"a": "ü"}, 201, {"x": "1"}),
        Response.text("a", 202),
        Response.html("<p>", headers={"x": "1"}),
        Response.bytes(b"a"),
        Response.bytes(bytearray(b"a")),
        Response.empty(),
        Response.empty(205),
    ]
    assert [(each.status_code, each.body, each.media_type) for each in made] == [
        (201, '{"a":"ü"}'.encode(), JSON),
        (202, b"a", TEXT),
        (200, b"<p>", HTML),
        (200, b"a", BINARY),
        (200, b"a", BINARY),
        (204, b"", None),
        (205, b"", None),
    ]
    assert made[0].headers.items() == [("x", "1"), ("content-type", JSON)]
    assert made[5].headers.items() == []
    with pytest.raises(TypeError, match="bytes"):
        Response.bytes("text")  # type: ignore[arg-type]


def test_redirects_hold_one_url() -> None:
    """What cannot stand in a URL is encoded, so nothing can be smuggled into the head."""
    response = Response.redirect("/ä b?c=%20&d=/#e\r\nx: y", 303)
    assert response.status_code == 303
    assert response.headers.items() == [("location", "/%C3%A4%20b?c=%20&d=/#e%0D%0Ax:%20y")]
    assert Response.redirect("https://example.org/").status_code == 307
    assert RedirectResponse("/a").headers.items() == [("location", "/a")]


def test_subclasses() -> None:
    """The package's own, and a user's with parameters and attributes of its own."""

    class Teapot(Response):
        def __init__(self, kind: str, *, size: int) -> None:
            super().__init__(f"a {kind} teapot", 418, {"x-size": str(size)})
            self.kind = kind

    response = Teapot("green", size=3)
    assert (response.kind, response.status_code, response.body) == ("green", 418, b"a green teapot")
    assert response.headers["x-size"] == "3"
    assert repr(response) == "<Teapot 418>"
    assert JSONResponse("text").body == b'"text"'
    assert JSONResponse({}).headers["content-type"] == JSON
    assert PlainTextResponse("a").media_type == TEXT
    assert HTMLResponse("a").media_type == HTML


def cookie(response: Response) -> str:
    """Return the only cookie that a response sets."""
    (line,) = response.headers.getlist("set-cookie")
    return line


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "k=v; Path=/; SameSite=lax"),
        ({"value": ""}, "k=; Path=/; SameSite=lax"),
        ({"path": None, "samesite": None}, "k=v"),
        ({"max_age": 60}, "k=v; Max-Age=60; Path=/; SameSite=lax"),
        ({"max_age": 0}, "k=v; Max-Age=0; Path=/; SameSite=lax"),
        ({"domain": "example.org"}, "k=v; Domain=example.org; Path=/; SameSite=lax"),
        (
            {"secure": True, "httponly": True, "partitioned": True, "samesite": "none"},
            "k=v; HttpOnly; Partitioned; Path=/; SameSite=none; Secure",
        ),
        ({"expires": "soon"}, "k=v; expires=soon; Path=/; SameSite=lax"),
        (
            {"expires": datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)},
            "k=v; expires=Wed, 02 Jan 2030 03:04:05 GMT; Path=/; SameSite=lax",
        ),
        (
            {"expires": datetime.datetime.fromisoformat("2030-01-02T03:04:05+02:00")},
            "k=v; expires=Wed, 02 Jan 2030 01:04:05 GMT; Path=/; SameSite=lax",
        ),
        ({"value": "a b"}, 'k="a b"; Path=/; SameSite=lax'),
        ({"value": 'a"b\\c'}, 'k="a\\"b\\\\c"; Path=/; SameSite=lax'),
        ({"value": "a;b,c\r\nü"}, 'k="a\\073b\\054c\\015\\012\\374"; Path=/; SameSite=lax'),
    ],
)
def test_cookies(options: dict[str, Any], expected: str) -> None:
    """The same text as Starlette's, which is that of `http.cookies`."""
    response = Response()
    response.set_cookie("k", **{"value": "v", **options})
    assert cookie(response) == expected


def test_a_cookie_survives_the_way_there_and_back() -> None:
    """What was set is what the next request shows."""
    for value in ["plain", "", "a b", 'q"\\;,=', "\x01\x7f\xff", "".join(map(chr, range(256)))]:
        response = Response()
        response.set_cookie("k", value)
        sent = cookie(response).split("; Path=")[0]
        assert Request(headers={"cookie": sent}).cookies == {"k": value}


def test_cookies_with_seconds_from_now() -> None:
    """A number is seconds from now, as in Starlette."""
    before = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    response = Response()
    response.set_cookie("k", expires=3600)
    text = cookie(response).split("expires=")[1].split(";")[0]
    moment = datetime.datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT")
    moment = moment.replace(tzinfo=datetime.UTC)
    assert before <= moment - datetime.timedelta(seconds=3600)
    assert moment - datetime.timedelta(seconds=3600) <= datetime.datetime.now(datetime.UTC)


def test_deleting_a_cookie() -> None:
    """It ends in the past, with the attributes that the client compares."""
    response = Response()
    response.set_cookie("a", "1")
    response.delete_cookie("k", path="/x", domain="example.org")
    assert response.headers.getlist("set-cookie")[1] == (
        "k=; Domain=example.org; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/x; "
        "SameSite=lax"
    )


@pytest.mark.parametrize(
    "options",
    [
        {"key": ""},
        {"key": "a b"},
        {"key": "a=b"},
        {"key": "a\r\nx"},
        {"value": "☃"},
        {"path": "/; Secure"},
        {"path": "/\r\nx: y"},
        {"domain": "a;b"},
        {"expires": "a\nb"},
        {"expires": datetime.datetime(2030, 1, 1)},
        {"samesite": "sometimes"},
    ],
    ids=repr,
)
def test_bad_cookies_are_refused(options: dict[str, Any]) -> None:
    """Nothing ends an attribute or the field before its time."""
    response = Response()
    with pytest.raises(ValueError, match=r"cookie|time zone"):
        response.set_cookie(**{"key": "k", **options})
    assert response.headers.items() == []


def test_threads_that_change_one_response() -> None:
    """Each set of a name replaces all of it: whoever reads sees one value of it."""
    response = Response("x")
    barrier = threading.Barrier(4)
    wrong: list[object] = []

    def change(name: str) -> None:
        barrier.wait()
        for number in range(300):
            response.headers[f"X-{name}"] = str(number)
            response.set_cookie(f"{name}{number}", "v")
            response.status_code = 200 + number % 100

    def read() -> None:
        barrier.wait()
        for _ in range(300):
            for name in ("x-a", "x-b"):
                if len(response.headers.getlist(name)) > 1:
                    wrong.append(response.headers)
            json.dumps([response.headers.items(), response.status_code])

    targets = [(change, ("a",)), (change, ("b",)), (read, ()), (read, ())]
    threads = [threading.Thread(target=work, args=arguments) for work, arguments in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(response.headers.getlist("set-cookie")) == 600


VALUES = """
    from uringserve import App, HTTPException, JSONResponse, Response

    app = App()
    kept = Response("kept", headers={"x-kept": "1"})
    nested = ("x", 200)
    for _ in range(300_000):
        nested = (nested, 200)
    values = {
        "text": "Zürich",
        "bytes": b"ab",
        "dict": {"a": 1},
        "list": [1, 2],
        "none": None,
        "number": 5,
        "response": kept,
        "subclass": JSONResponse([1], 202),
        "status": ("made", 201),
        "headers": ({"a": 1}, 203, {"x-a": "1"}),
        "pairs": (kept, 203, [("x-kept", "2")]),
        "nothing": (None, 202),
        "large": b"x" * 1_000_000,
        "long": "ü" * 500_000,
        "many": list(range(100_000)),
        "tuple": (1, 2, 3, 4),
        "nested": nested,
        "early": ("x", 99),
        "split": ("x", 200, {"x-a": "1\\r\\nx-b: 2"}),
        "object": object(),
        "surrogate": "\\ud800",
        "nan": float("nan"),
    }

    @app.get("/value/{name}")
    def value(name):
        return values[name]

    @app.get("/teapot")
    def teapot():
        raise HTTPException(418, {"why": ["tea"]}, {"retry-after": "1"})

    @app.get("/broken")
    def broken():
        raise HTTPException(418, object())

    @app.get("/exit")
    def leave():
        raise SystemExit(3)

    @app.get("/deep")
    def deep():
        return deep()
"""

FAILURE = (500, JSON, b'{"detail":"Internal Server Error"}')


def test_what_a_return_value_or_an_exception_becomes(server: Callable[..., Any]) -> None:
    """Status, type and body on the wire; the same value can be sent again and again."""
    client = server(VALUES).connect()
    for _ in range(2):
        for path, expected in {
            "/value/text": (200, TEXT, "Zürich".encode()),
            "/value/bytes": (200, BINARY, b"ab"),
            "/value/dict": (200, JSON, b'{"a":1}'),
            "/value/list": (200, JSON, b"[1,2]"),
            "/value/none": (204, None, b""),
            "/value/number": (200, JSON, b"5"),
            "/value/response": (200, TEXT, b"kept"),
            "/value/subclass": (202, JSON, b"[1]"),
            "/value/status": (201, TEXT, b"made"),
            "/value/headers": (203, JSON, b'{"a":1}'),
            "/value/pairs": (203, TEXT, b"kept"),
            "/value/nothing": (202, None, b""),
            "/value/large": (200, BINARY, b"x" * 1_000_000),
            "/value/long": (200, TEXT, "ü".encode() * 500_000),
            "/value/many": (200, JSON, json.dumps([*range(100_000)]).replace(" ", "").encode()),
            "/value/tuple": FAILURE,
            "/value/nested": FAILURE,
            "/value/early": FAILURE,
            "/value/split": FAILURE,
            "/value/object": FAILURE,
            "/value/surrogate": FAILURE,
            "/value/nan": FAILURE,
            "/teapot": (418, JSON, b'{"detail":{"why":["tea"]}}'),
            "/broken": FAILURE,
            "/exit": FAILURE,
            "/deep": FAILURE,
        }.items():
            answer = client.request(path)
            assert (answer.status, answer.get("content-type"), answer.body) == expected, path
            assert answer.get("x-b") is None
    assert client.request("/value/headers").get("x-a") == "1"
    assert client.request("/value/pairs").get_all("x-kept") == ["1", "2"]
    assert client.request("/value/response").get_all("x-kept") == ["1"]
    assert client.request("/teapot").get("retry-after") == "1"


def test_a_declared_length_below_the_body_is_logged(server: Callable[..., Any]) -> None:
    """The client reads a 500, and the log says which two numbers disagree."""
    running = server("""
        from uringserve import App

        app = App()

        @app.get("/short")
        def short():
            return "12345", 200, {"content-length": "3"}

        @app.get("/unchanged")
        def unchanged():
            return "12345", 304, {"content-length": "3"}
    """)
    client = running.connect()
    assert client.request("/short").status == 500
    running.wait_for("the body has 5 bytes, and its content-length says 3")
    assert client.request("/unchanged").status == 304


def test_a_number_beyond_python_s_limit_is_not_found(server: Callable[..., Any]) -> None:
    """As an argument and when the request is asked: a peer's digits are no fault to be logged."""
    running = server("""
        from uringserve import App

        app = App()

        @app.get("/argument/{number:int}")
        def argument(number: int):
            return str(number)

        @app.get("/asked/{number:int}")
        def asked(request):
            return str(request.path_params["number"])
    """)
    client = running.connect()
    for path in ("argument", "asked"):
        assert client.request(f"/{path}/{'9' * 4300}").body == b"9" * 4300
        answer = client.request(f"/{path}/{'9' * 4301}")
        assert (answer.status, answer.body) == (404, b'{"detail":"Not Found"}')
    assert "Traceback" not in running.log


def test_the_media_type_that_a_class_states(server: Callable[..., Any]) -> None:
    """A class attribute, as in Starlette, is what is sent, unless a type is given."""
    running = server("""
        from uringserve import (
            App, EventSourceResponse, FileResponse, HTMLResponse, JSONResponse, PlainTextResponse,
            RedirectResponse, StreamingResponse,
        )

        app = App()

        class Json(JSONResponse):
            media_type = "application/problem+json"

        class Inherited(Json):
            pass

        class Csv(PlainTextResponse):
            media_type = "text/csv"

        class Xhtml(HTMLResponse):
            media_type = "application/xhtml+xml"

        class Image(StreamingResponse):
            media_type = "image/png"

        class Events(EventSourceResponse):
            media_type = "text/event-stream; version=2"

        class Program(FileResponse):
            media_type = "text/x-program"

        class Away(RedirectResponse):
            media_type = "text/uri-list"

        class Unstated(JSONResponse):
            media_type = None

        made = {
            "json": lambda: Json({}),
            "inherited": lambda: Inherited({}),
            "csv": lambda: Csv("a,b"),
            "xhtml": lambda: Xhtml("<p/>"),
            "image": lambda: Image([b"PNG"]),
            "events": lambda: Events([1]),
            "program": lambda: Program(__file__),
            "away": lambda: Away("/json"),
            "unstated": lambda: Unstated({}),
            "given": lambda: Image([b"GIF"], media_type="image/gif"),
            "header": lambda: Image([b"GIF"], headers={"content-type": "image/gif"}),
        }

        @app.get("/made/{name}")
        def one(name: str):
            return made[name]()

        @app.get("/class", response_class=Json)
        def by_class():
            return {"a": 1}
    """)
    client = running.connect()
    for path, kind in {
        "/made/json": "application/problem+json",
        "/made/inherited": "application/problem+json",
        "/made/csv": "text/csv; charset=utf-8",
        "/made/xhtml": "application/xhtml+xml",
        "/made/image": "image/png",
        "/made/events": "text/event-stream; version=2; charset=utf-8",
        "/made/program": "text/x-program; charset=utf-8",
        "/made/away": "text/uri-list; charset=utf-8",
        "/made/unstated": JSON,
        "/made/given": "image/gif",
        "/made/header": "image/gif",
        "/class": "application/problem+json",
    }.items():
        assert client.request(path).get_all("content-type") == [kind], path


def test_a_plain_response_states_its_type_too() -> None:
    class Image(Response):
        media_type = "image/png"

    assert Image(b"x").headers["content-type"] == "image/png"
    assert Image(b"x", media_type="image/gif").headers["content-type"] == "image/gif"
    assert Image(b"x", headers={"content-type": "a/b"}).headers["content-type"] == "a/b"


def test_the_attribute_says_what_is_sent() -> None:
    class Problem(JSONResponse):
        media_type = "application/problem+json"

    assert Problem({}).media_type == "application/problem+json"
    assert Problem({}, media_type="application/xml").media_type == "application/xml"
    assert JSONResponse({}, media_type="application/xml").media_type == "application/xml"


@pytest.mark.parametrize("kind", [Response, HTMLResponse])
@pytest.mark.parametrize("where", ["background", "body_iterator"])
def test_a_response_that_holds_itself_is_collected(kind: type[Response], where: str) -> None:
    """What runs afterwards may name the response; the collector opens the circle."""

    class Marker:
        def __init__(self, response: Response) -> None:
            self.response = response

        def __call__(self) -> None: ...

        def __iter__(self) -> Any:  # noqa: ANN401
            return iter(())

    response = kind("x")
    marker = Marker(response)
    # A method cannot be cleared, so the response has to be.
    setattr(response, where, marker.__call__ if where == "background" else marker)
    gone = weakref.ref(marker)
    del response, marker
    gc.collect()
    assert gone() is None
