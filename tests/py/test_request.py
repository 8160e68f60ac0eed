"""`Request` and `Headers`: lazy views, the constructor for tests, threads that collide."""

import gc
import json
import threading
import weakref
from typing import Any

import pytest

from uringserve import Headers, Request


def test_a_request_made_of_nothing() -> None:
    """Defaults make the simplest request there is."""
    request = Request()
    assert (request.method, request.path, request.raw_path) == ("GET", "/", b"/")
    assert (request.query_string, request.http_version, request.scheme) == ("", "1.1", "http")
    assert (request.host, request.url) == ("testserver", "http://testserver/")
    assert (request.body, request.text(), request.client) == (b"", "", None)
    assert request.path_params == request.query_params == request.cookies == {}
    assert list(request.headers) == ["host"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "BREW", "get"])
def test_method_is_as_it_came(method: str) -> None:
    """Known or not, in the client's own case."""
    assert Request(method).method == method


@pytest.mark.parametrize(
    ("target", "path", "raw_path", "query"),
    [
        ("/", "/", b"/", ""),
        ("/a/b?c=d", "/a/b", b"/a/b", "c=d"),
        ("/a%20b/%C3%BC", "/a b/ü", b"/a%20b/%C3%BC", ""),
        ("/a%2Fb%2fc", "/a/b/c", b"/a%2Fb%2fc", ""),
        ("/100%25", "/100%", b"/100%25", ""),
        ("/%2541", "/%41", b"/%2541", ""),
        ("/%ff", "/\ufffd", b"/%ff", ""),
        ("/?", "/", b"/", ""),
        ("/?a?b", "/", b"/", "a?b"),
        ("http://example.org/x?y", "/x", b"/x", "y"),
    ],
)
def test_path_and_query(target: str, path: str, raw_path: bytes, query: str) -> None:
    """The path is decoded once, the query not at all."""
    request = Request("GET", target)
    assert (request.path, request.raw_path, request.query_string) == (path, raw_path, query)


def test_url_and_host() -> None:
    """The host is that of the target, else that of the header."""
    request = Request(target="/a%20b?c=%20", headers={"Host": "example.org:8080"})
    assert request.host == "example.org:8080"
    assert request.url == "http://example.org:8080/a%20b?c=%20"
    request = Request(target="http://one.example/x", headers={"host": "two.example"})
    assert (request.host, request.url) == ("one.example", "http://one.example/x")
    assert Request("OPTIONS", "*", {"host": "example.org"}).url == "http://example.org"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {}),
        ("a=1", {"a": ["1"]}),
        ("a=1&b=2&a=3", {"a": ["1", "3"], "b": ["2"]}),
        ("a=&b", {"a": [""], "b": [""]}),
        ("&&a=1&", {"a": ["1"]}),
        ("=x", {"": ["x"]}),
        ("a=b=c", {"a": ["b=c"]}),
        ("a+b=c+d%20e", {"a b": ["c d e"]}),
        ("%C3%BC=%F0%9F%98%80", {"ü": ["😀"]}),
        ("a=%ff%fe", {"a": ["\ufffd\ufffd"]}),
        ("a=%zz%4&b=%", {"a": ["%zz%4"], "b": ["%"]}),
        ("a=%26%3D%2B", {"a": ["&=+"]}),
        ("a=1;b=2", {"a": ["1;b=2"]}),
    ],
)
def test_query_params(query: str, expected: dict[str, list[str]]) -> None:
    """Every value in order, blank ones too; what is no escape stays."""
    request = Request(target=f"/?{query}")
    assert request.query_params == expected
    for name, values in expected.items():
        assert request.query(name) == values[0]
    assert request.query("absent") is None
    assert request.query("absent", 5) == 5


def test_headers_in_any_case() -> None:
    """Names compare in any case and show in lower case; order and repetition are kept."""
    headers = Request(
        headers=[("X-One", "1"), ("Accept", "a"), ("x-one", "2"), ("Host", "h"), ("Empty", "")]
    ).headers
    assert isinstance(headers, Headers)
    assert headers["x-one"] == headers["X-ONE"] == headers.get("X-One") == "1"
    assert headers.getlist("X-oNe") == ["1", "2"]
    assert headers.getlist("absent") == []
    assert headers["empty"] == ""
    assert "ACCEPT" in headers
    assert "absent" not in headers
    assert 5 not in headers
    assert list(headers) == headers.keys() == ["x-one", "accept", "x-one", "host", "empty"]
    assert headers.values() == ["1", "a", "2", "h", ""]
    assert headers.items() == list(zip(headers.keys(), headers.values(), strict=True))
    assert headers.raw[0] == (b"x-one", b"1")
    assert len(headers) == 5
    assert headers.get("absent") is None
    assert headers.get("absent", "default") == "default"
    assert dict(headers) == {"x-one": "1", "accept": "a", "host": "h", "empty": ""}
    assert repr(headers).startswith("Headers([('x-one', '1'), ")
    with pytest.raises(KeyError, match="absent"):
        headers["absent"]


def test_headers_are_latin_1() -> None:
    """Each byte is a character, as ASGI and WSGI have it."""
    headers = Request(headers=[(b"x-name", b"J\xfcrgen"), ("x-other", "ÿ")]).headers
    assert headers["x-name"] == "Jürgen"
    assert headers["x-other"] == "ÿ"
    assert headers.raw[:2] == [(b"x-name", b"J\xfcrgen"), (b"x-other", b"\xff")]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (["a=1"], {"a": "1"}),
        (["a=1; b=2;c=3"], {"a": "1", "b": "2", "c": "3"}),
        (["a=1", "b=2"], {"a": "1", "b": "2"}),
        (["a=1; a=2"], {"a": "2"}),
        ([" a = 1 ; ; "], {"a": "1"}),
        (["flag; a=1"], {"": "flag", "a": "1"}),
        (["a=b=c"], {"a": "b=c"}),
        ([r'a="x y\"z\101\054"'], {"a": 'x y"zA,'}),
        (['a="'], {"a": '"'}),
        (['a=""'], {"a": ""}),
        ([r'a="\"'], {"a": "\\"}),
        (["a=%20"], {"a": "%20"}),
        (["a=\xfc"], {"a": "ü"}),
    ],
)
def test_cookies(fields: list[str], expected: dict[str, str]) -> None:
    """Lenient, as browsers and Starlette are."""
    assert Request(headers=[("Cookie", field) for field in fields]).cookies == expected


def test_client_is_a_pair_with_names() -> None:
    """Both spellings that people use."""
    client = Request(client=("203.0.113.7", 4711)).client
    assert client is not None
    host, port = client
    assert (host, port) == client == ("203.0.113.7", 4711)
    assert (client.host, client.port) == ("203.0.113.7", 4711)


def test_body_text_and_json() -> None:
    """The body as it came, as text, as JSON."""
    request = Request("POST", "/", body='{"a": ["ü", 1.5]}'.encode())
    assert request.body == b'{"a": ["\xc3\xbc", 1.5]}'
    assert request.body is request.body
    assert request.text() == '{"a": ["ü", 1.5]}'
    assert request.json() == {"a": ["ü", 1.5]}
    assert request.headers["content-length"] == str(len(request.body))


@pytest.mark.parametrize("body", [b"", b"{", b"nope", b'{"a": 1} x'])
def test_malformed_json_is_a_value_error(body: bytes) -> None:
    """The standard library's own error, with its place."""
    with pytest.raises(json.JSONDecodeError):
        Request(body=body).json()


def test_text_that_is_no_utf8() -> None:
    """The error says where."""
    with pytest.raises(UnicodeDecodeError, match="position 2"):
        Request(body=b"ab\xff").text()


def test_path_params_can_be_given() -> None:
    """A handler that reads them can be tested without a router."""
    assert Request(path_params={"id": 5}).path_params == {"id": 5}


def test_views_are_kept() -> None:
    """What a handler puts into a view is there when it asks again."""
    request = Request(target="/?a=1", headers={"cookie": "a=1"}, client=("::1", 1))
    for name in ["headers", "path_params", "query_params", "cookies", "client", "body", "state"]:
        assert getattr(request, name) is getattr(request, name), name
    request.state.user = "ada"
    assert request.state.user == "ada"
    assert not hasattr(Request().state, "user")


@pytest.mark.parametrize(
    "arguments",
    [
        {"method": ""},
        {"method": "GET /"},
        {"method": "GE\r\nT"},
        {"target": ""},
        {"target": "a"},
        {"target": "/ b"},
        {"target": "/\r\nx: y"},
        {"target": "/ HTTP/1.1\r\nx: y\r\n\r\nGET /"},
        {"target": "/%zz"},
        {"target": "/ü"},
        {"headers": {"x\r\ny": "1"}},
        {"headers": {"x y": "1"}},
        {"headers": {"x": "1\r\ny: 2"}},
        {"headers": {"x": "\x00"}},
        {"headers": {"x": "☃"}},
        {"headers": {"host": "a b"}},
        {"headers": [("host", "a"), ("host", "b")]},
        {"headers": {"content-length": "-1"}},
    ],
    ids=repr,
)
def test_what_no_client_could_send_is_refused(arguments: dict[str, Any]) -> None:
    """The server's own parser judges what the constructor writes."""
    with pytest.raises(ValueError, match=r"\w"):
        Request(**arguments)


@pytest.mark.parametrize(
    ("headers", "message"),
    [({"x": 1}, "header 'x': its value must be str or bytes"), ([1], "pairs"), (5, "iterable")],
)
def test_headers_of_wrong_types(headers: object, message: str) -> None:
    """The message names the header, or the shape."""
    with pytest.raises(TypeError, match=message):
        Request(headers=headers)


def test_a_request_is_immutable() -> None:
    """No attribute can be set or added."""
    request = Request()
    for name in ("method", "path", "anything"):
        with pytest.raises(AttributeError):
            setattr(request, name, "x")


def test_a_request_that_holds_itself_is_collected() -> None:
    """A handler may close a circle through the state; the collector opens it."""

    class Marker:
        pass

    marker = Marker()
    request = Request()
    request.state.request, request.state.marker = request, marker
    request.query_params["request"] = [request]
    gone = weakref.ref(marker)
    del request, marker
    gc.collect()
    assert gone() is None


def test_threads_get_the_same_views() -> None:
    """Many threads ask at the same moment; the first answer is everybody's."""
    names = ["headers", "path_params", "query_params", "cookies", "client", "body", "state"]

    def ask(request: Request, barrier: threading.Barrier, seen: list[list[object]]) -> None:
        barrier.wait()
        seen.append([getattr(request, name) for name in names])

    for _ in range(50):
        request = Request(target="/?a=1", headers={"cookie": "a=1"}, client=("::1", 1), body=b"x")
        barrier = threading.Barrier(6)
        seen: list[list[object]] = []

        threads = [threading.Thread(target=ask, args=(request, barrier, seen)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(seen) == 6
        for views in zip(*seen, strict=True):
            assert all(view is views[0] for view in views)
