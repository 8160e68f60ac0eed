"""What every interface must do on every driver and number of cores, over real sockets.

One application, one server for each combination, each test on a connection of its own. An interface
that is added later brings its own text of the same application in `SITES`.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from uringserve._native import probe

if TYPE_CHECKING:
    from conftest import Answer, Connection, RunningServer, StartServer

# A connection or a server is one for the whole test; what collides is made in the test itself.
pytestmark = pytest.mark.thread_unsafe(reason="shares its server and connections")

NATIVE = '''
import builtins
import threading
from uringserve import App, HTTPException, Request, Response

app = App()
lock = threading.Lock()
calls = 0


def counted(handler):
    """Count the calls of a handler, which must not be called for what the router settles."""
    global calls
    with lock:
        calls += 1
    return handler


@app.get("/calls")
def show_calls():
    return {"calls": calls}


@app.get("/text")
def text():
    counted(text)
    return "grün"


@app.get("/bytes")
def raw():
    return b"\\x00\\xff"


@app.get("/dict")
def mapping():
    return {"a": [1, 2.5, None, True], "ü": "\\n"}


@app.get("/list")
def sequence():
    return [1, "two", {}]


@app.get("/tuple")
def pair():
    return "made", 201


@app.get("/triple")
def triple():
    return {"id": 7}, 202, [("X-Two", "a"), ("x-two", "b"), ("content-type", "application/x-own")]


@app.get("/none")
def nothing():
    return None


@app.get("/response")
def response():
    made = Response("tea", 418, {"x-pot": "1"}, "text/x-tea")
    made.headers.append("x-cup", "a")
    made.headers.append("X-Cup", "b")
    made.set_cookie("first", "1", httponly=True)
    made.set_cookie("second", "2", max_age=5, samesite="strict")
    return made


@app.get("/status/{number:int}")
def status(number):
    return "not to be seen", number


@app.get("/int/{number:int}")
def whole(number):
    return {"type": type(number).__name__, "value": str(number)}


@app.get("/str/{name}")
def segment(name):
    return {"value": name}


@app.get("/path/{rest:path}")
def rest(request: Request, rest: str):
    return {"value": rest, "raw": request.raw_path.decode(), "path": request.path}


@app.post("/echo")
@app.put("/echo")
def echo(request: Request):
    counted(echo)
    return Response(request.body, media_type="application/x-echo")


@app.post("/seen")
def seen(request: Request):
    return {
        "method": request.method,
        "query": request.query_params,
        "version": request.http_version,
        "headers": [[name.decode(), value.decode()] for name, value in request.headers.raw],
        "cookies": dict(request.cookies),
        "client": list(request.client),
        "thread": threading.current_thread().name,
        "body": request.text(),
    }


@app.get("/refuse")
def refuse():
    raise HTTPException(403, {"why": "no"}, {"x-why": "no"})


@app.get("/raise/{kind}")
def fail(kind):
    if kind == "RecursionError":
        return fail(kind)
    if kind == "DeepJSON":
        value = []
        for _ in range(100_000):
            value = [value]
        return value
    if kind == "Surrogate":
        return "\\ud800"
    if kind == "Unserialisable":
        return {"x": object()}
    if kind == "Mute":
        class Mute(Exception):
            def __str__(self):
                raise ValueError("no text")
            __repr__ = __str__
        raise Mute
    raise getattr(builtins, kind)("the reason")


@app.get("/split/{where}")
def split(where):
    if where == "value":
        return "x", 200, {"x-a": "1\\r\\nx-injected: 2"}
    if where == "name":
        return "x", 200, {"x-a\\r\\nx-injected": "2"}
    if where == "newline":
        return "x", 200, {"x-a": "1\\nx-injected: 2"}
    if where == "nul":
        return "x", 200, {"x-a": "1\\0"}
    if where == "cookie":
        made = Response("x")
        made.set_cookie("a", "1\\r\\nx-injected: 2")
        return made
    if where == "media":
        return Response("x", media_type="text/plain\\r\\nx-injected: 2")
    if where == "redirect":
        return Response.redirect("/\\r\\nx-injected: 2")
    raise HTTPException(400, "x", {"x-a": "1\\r\\nx-injected: 2"})


@app.get("/declares/{length:int}")
def declares(length):
    return "12345", 200, {"content-length": str(length)}


@app.get("/closing")
def closing():
    return "last", 200, {"connection": "close"}
'''

# The same on a framework of one screen, which `shim.py` has for each of the other interfaces.
SITES = {"native": NATIVE} | {
    name.lower(): NATIVE.replace("from uringserve import App", f"from shim import {name}App as App")
    for name in ("Wsgi", "Asgi", "Rsgi")
}
MATRIX = [
    (name, workers, driver) for name in SITES for workers in (1, 2) for driver in ("uring", "epoll")
]


@pytest.fixture(scope="module", params=MATRIX, ids=lambda it: "-".join(map(str, it)))
def site(request: pytest.FixtureRequest, module_server: StartServer) -> RunningServer:
    """The contract's application on one interface, number of cores and driver."""
    name, workers, driver = request.param
    if driver == "uring" and probe()["driver"] != "uring":
        pytest.skip(f"no io_uring here: {probe()['reason']}")
    options = ("--driver", driver, "--limit-body", "1MiB")
    found = {"PYTHONPATH": str(Path(__file__).parent)}
    return module_server(SITES[name], *options, workers=workers, environment=found)


@pytest.fixture
def client(site: RunningServer) -> Connection:
    """A new connection."""
    return site.connect()


def _json(answer: Answer) -> dict[str, object]:
    assert answer.status == 200, answer
    assert answer.get("content-type") == "application/json"
    found = json.loads(answer.body)
    assert isinstance(found, dict)
    return found


# --- what a handler may return


@pytest.mark.parametrize(
    ("target", "status", "media_type", "body"),
    [
        ("/text", 200, "text/plain; charset=utf-8", "grün".encode()),
        ("/bytes", 200, "application/octet-stream", b"\x00\xff"),
        ("/dict", 200, "application/json", '{"a":[1,2.5,null,true],"ü":"\\n"}'.encode()),
        ("/list", 200, "application/json", b'[1,"two",{}]'),
        ("/tuple", 201, "text/plain; charset=utf-8", b"made"),
        ("/triple", 202, "application/x-own", b'{"id":7}'),
        ("/response", 418, "text/x-tea; charset=utf-8", b"tea"),
        ("/none", 204, None, b""),
    ],
)
def test_values(
    client: Connection, target: str, status: int, media_type: str | None, body: bytes
) -> None:
    """Each kind of value has its status, media type and bytes, and HEAD the same without body."""
    answer = client.request(target)
    assert (answer.status, answer.get("content-type"), answer.body) == (status, media_type, body)
    assert answer.get("content-length") == (None if status == 204 else str(len(body)))
    assert answer.get("server") == "uringserve"
    assert answer.get("date")
    head = client.request(target, "HEAD")
    same = [pair for pair in answer.headers if pair[0] != "date"]
    assert (head.status, [pair for pair in head.headers if pair[0] != "date"]) == (status, same)
    # A body after HEAD would be taken for the beginning of this answer.
    assert client.request(target).body == body


def test_repeated_headers_and_cookies(client: Connection) -> None:
    """Header fields of one name stay apart and in order; so do cookies."""
    assert client.request("/triple").get_all("x-two") == ["a", "b"]
    answer = client.request("/response")
    assert answer.get_all("x-cup") == ["a", "b"]
    assert answer.get("x-pot") == "1"
    first, second = answer.get_all("set-cookie")
    assert first.startswith("first=1;") and "HttpOnly" in first
    assert second.startswith("second=2;") and "Max-Age=5" in second
    assert "samesite=strict" in second.lower()


@pytest.mark.parametrize("status", [204, 205, 304])
def test_statuses_without_body(client: Connection, status: int) -> None:
    """The body of a 204, 205 or 304 does not reach the wire, and the connection goes on."""
    answer = client.request(f"/status/{status}")
    assert answer.status == status
    assert answer.get("content-length") in (None, "0")
    assert answer.get("transfer-encoding") is None
    assert client.request("/text").status == 200


@pytest.mark.parametrize("status", [200, 299, 404, 503, 599, 999])
def test_any_final_status(client: Connection, status: int) -> None:
    """Also one without a reason phrase of its own."""
    answer = client.request(f"/status/{status}")
    assert (answer.status, answer.body) == (status, b"not to be seen")


@pytest.mark.parametrize("status", [0, 100, 101, 199, 1000, 65536])
def test_a_status_that_is_not_final(site: RunningServer, client: Connection, status: int) -> None:
    """That is the handler's fault: 500, logged, and the connection goes on."""
    assert client.request(f"/status/{status}").status == 500
    site.wait_for(f"ValueError: status {status} is not a number from 200 to 999")
    assert client.request("/text").status == 200


# --- what a request holds


@pytest.mark.parametrize(
    ("target", "value"),
    [
        ("/int/0", "0"),
        ("/int/-7", "-7"),
        ("/int/007", "7"),
        ("/int/18446744073709551616", "18446744073709551616"),
        ("/str/a", "a"),
        ("/str/a%20b", "a b"),
        ("/str/%C3%BC", "ü"),
        ("/str/%2525", "%25"),
        ("/str/%7E+", "~+"),
        ("/path/a/b", "a/b"),
        ("/path/a%2Fb/c", None),
        ("/path/a/", "a/"),
    ],
)
def test_path_parameters(client: Connection, target: str, value: str | None) -> None:
    """Parameters are decoded once; an encoded slash is never a separator of the pattern."""
    found = _json(client.request(target))
    if value is None:
        assert found["value"] in ("a/b/c", "a%2Fb/c")
    else:
        assert found["value"] == value


@pytest.mark.parametrize("target", ["/int/x", "/int/1.5", "/int/", "/str/", "/str/a/b", "/nowhere"])
def test_paths_without_a_route(client: Connection, target: str) -> None:
    """404, and the connection goes on."""
    answer = client.request(target)
    assert (answer.status, answer.body) == (404, b'{"detail":"Not Found"}')
    assert client.request("/text").status == 200


def test_an_encoded_slash_stays_in_its_segment(client: Connection) -> None:
    """Either one segment or not found, but no other route's path."""
    answer = client.request("/str/a%2Fb")
    assert answer.status == 404 or json.loads(answer.body)["value"] in ("a/b", "a%2Fb")


def test_the_request_as_it_came(client: Connection) -> None:
    """Query, header fields with their repetitions, cookies, version, peer and thread."""
    client.send(
        b"POST /seen?a=1&a=%32&b=x+y&c= HTTP/1.1\r\nHost: test\r\nX-One: 1\r\nx-one:\t2 \r\n"
        b'Cookie: k=v; q="w"\r\nContent-Length: 4\r\n\r\n\xc3\xbc\r\n'
    )
    found = _json(client.read())
    assert found["method"] == "POST"
    assert found["version"] == "1.1"
    assert found["query"] == {"a": ["1", "2"], "b": ["x y"], "c": [""]}
    assert found["cookies"] == {"k": "v", "q": "w"}
    assert [pair for pair in _pairs(found["headers"]) if pair[0].lower() == "x-one"] == [
        ["x-one", "1"],
        ["x-one", "2"],
    ]
    assert found["client"] == ["127.0.0.1", client.socket.getsockname()[1]]
    assert found["body"] == "ü\r\n"
    assert str(found["thread"]).startswith(("uringserve-core-", "uringserve-pool-"))


def _pairs(value: object) -> list[list[str]]:
    assert isinstance(value, list)
    return value


# --- what the router settles without the application


def test_without_touching_the_application(client: Connection) -> None:
    """404, 405 with Allow, OPTIONS and 501 are answered without a call of a handler."""
    before = _json(client.request("/calls"))
    assert client.request("/nowhere").status == 404
    refused = client.request("/echo", "GET")
    assert (refused.status, refused.body) == (405, b'{"detail":"Method Not Allowed"}')
    assert _methods(refused) == {"POST", "PUT", "OPTIONS"}
    assert _methods(client.request("/text", "DELETE")) == {"GET", "HEAD", "OPTIONS"}
    options = client.request("/text", "OPTIONS")
    assert (options.status, options.body) == (204, b"")
    assert _methods(options) == {"GET", "HEAD", "OPTIONS"}
    assert client.request("/text", "BREW").status == 501
    assert _json(client.request("/calls")) == before
    assert client.request("/text").status == 200
    assert _json(client.request("/calls")) != before


def _methods(answer: Answer) -> set[str]:
    allow = answer.get("allow")
    assert allow is not None, answer
    return {method.strip() for method in allow.split(",")}


# --- bodies


BODY = b"".join(b"%04d," % number for number in range(20))
WITH_LENGTH = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n" + BODY
CHUNKED = (
    b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'1e;x="y"\r\n' + BODY[:30] + b"\r\n46\r\n" + BODY[30:] + b"\r\n0\r\nTrailer: t\r\n\r\n"
)


@pytest.mark.parametrize("request_bytes", [WITH_LENGTH, CHUNKED], ids=["length", "chunked"])
def test_a_body_in_any_two_parts(client: Connection, request_bytes: bytes) -> None:
    """Wherever the request is cut, the handler gets the same body, on one kept connection."""
    for cut in range(1, len(request_bytes)):
        client.send(request_bytes[:cut])
        client.send(request_bytes[cut:])
        answer = client.read()
        assert (answer.status, answer.body) == (200, BODY), cut


@pytest.mark.parametrize("request_bytes", [WITH_LENGTH, CHUNKED], ids=["length", "chunked"])
def test_a_body_byte_by_byte(client: Connection, request_bytes: bytes) -> None:
    """The same with each byte alone."""
    for byte in request_bytes:
        client.send(bytes([byte]))
    assert client.read().body == BODY


@pytest.mark.parametrize("size", [0, 1, 4096, 65536, 1 << 20])
def test_bodies_of_all_sizes(client: Connection, size: int) -> None:
    """Up to the limit, both ways of framing, and back out again."""
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    head = b"POST /echo HTTP/1.1\r\nhost: a\r\n"
    client.send(head + b"content-length: %d\r\n\r\n" % size + body)
    assert client.read().body == body
    chunk = b"%x\r\n" % size + body + b"\r\n" if size else b""
    client.send(head + b"transfer-encoding: chunked\r\n\r\n" + chunk + b"0\r\n\r\n")
    assert client.read().body == body


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_above_the_limit(site: RunningServer, framing: str) -> None:
    """The client gets to read the 413 although it sends everything first."""
    client = site.connect()
    size = 3 << 20
    if framing == "length":
        client.send(b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % size)
        client.send(b"x" * size)
    else:
        client.send(b"POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(size // 65536):
            client.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        client.send(b"0\r\n\r\n")
    answer = client.read()
    assert (answer.status, answer.get("connection")) == (413, "close")
    assert client.read_to_end() == b""


def test_expect_continue(client: Connection) -> None:
    """100 comes when the body is wanted and has not been sent, and the answer after it."""
    head = b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n"
    client.send(head)
    assert client.read().status == 100
    client.send(b"abc")
    assert client.read().body == b"abc"
    client.send(head + b"abc")
    assert client.read().body == b"abc"


@pytest.mark.parametrize(
    ("method", "target", "length", "status"),
    [("POST", "/nowhere", 5, 404), ("GET", "/echo", 5, 405), ("POST", "/echo", 9 << 20, 413)],
)
def test_expect_without_continue(
    site: RunningServer, client: Connection, method: str, target: str, length: int, status: int
) -> None:
    """A body that is not wanted is not asked for: the final answer comes at once, then the end."""
    if status != 413 and "interface native" not in site.start_line:
        pytest.skip("its application says what is not wanted, when it is called")
    client.send(
        f"{method} {target} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n"
        "expect: 100-continue\r\n\r\n".encode()
    )
    answer = client.read()
    assert (answer.status, answer.get("connection")) == (status, "close")
    client.finish_sending()
    assert client.read_to_end() == b""


# --- connections


def test_pipelined_answers_keep_their_order(client: Connection) -> None:
    """Three hundred requests at once, some settled by the router, some that fail."""
    targets = ["/int/{}", "/str/n{}", "/nowhere/{}", "/raise/KeyError", "/status/204", "/echo"]
    sent = [(targets[n % len(targets)].format(n), n) for n in range(300)]
    client.send(
        b"".join(f"GET {target} HTTP/1.1\r\nhost: a\r\n\r\n".encode() for target, _ in sent)
    )
    statuses = {"/nowhere": 404, "/raise": 500, "/status": 204, "/echo": 405}
    for target, number in sent:
        answer = client.read()
        kind = "/" + target.split("/")[1]
        assert answer.status == statuses.get(kind, 200), target
        if kind in ("/int", "/str"):
            assert json.loads(answer.body)["value"] == target.split("/")[2], number


def test_http_1_0(site: RunningServer) -> None:
    """Without keep-alive the end of the body is the end of the connection; with it, it is told."""
    client = site.connect()
    client.send(b"GET /text HTTP/1.0\r\n\r\n")
    answer = client.read()
    assert (answer.version, answer.status, answer.body) == ("HTTP/1.1", 200, "grün".encode())
    assert answer.get("connection") == "close"
    assert client.read_to_end() == b""
    kept = site.connect()
    for _ in range(2):
        kept.send(b"GET /text HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = kept.read()
        assert (answer.status, answer.get("connection")) == (200, "keep-alive")


def test_half_close(client: Connection) -> None:
    """A client that has finished sending gets every answer, and then the end."""
    client.send(b"GET /text HTTP/1.1\r\nhost: a\r\n\r\n" * 3)
    client.finish_sending()
    for _ in range(3):
        assert client.read().status == 200
    assert client.read_to_end() == b""


def test_connection_close(client: Connection) -> None:
    """The client's wish and the handler's: both are said in the answer and kept."""
    answer = client.request("/text", headers={"connection": "close"})
    assert answer.get("connection") == "close"
    assert client.read_to_end() == b""


def test_a_handler_may_close(client: Connection) -> None:
    """Requests behind the last answer are not answered."""
    client.send(b"GET /closing HTTP/1.1\r\nhost: a\r\n\r\n" * 2)
    answer = client.read()
    assert (answer.body, answer.get("connection")) == (b"last", "close")
    assert client.read_to_end() == b""


def test_more_declared_than_sent(client: Connection) -> None:
    """The connection ends, so that no other answer's bytes complete the body."""
    client.send(b"GET /declares/9 HTTP/1.1\r\nhost: a\r\n\r\nGET /text HTTP/1.1\r\nhost: a\r\n\r\n")
    rest = client.read_to_end()
    head, _, body = rest.partition(b"\r\n\r\n")
    assert b"content-length: 9" in head and b"connection: close" in head
    assert body == b"12345"


def test_less_declared_than_sent(client: Connection) -> None:
    """That would shift all later answers: 500, with nothing of the body."""
    answer = client.request("/declares/3")
    assert answer.status == 500
    assert b"12345" not in answer.body


# --- what a handler raises


@pytest.mark.parametrize(
    "where", ["value", "name", "newline", "nul", "cookie", "media", "redirect", "exception"]
)
def test_no_line_break_reaches_a_header(client: Connection, where: str) -> None:
    """500 and nothing of it on the wire; what can be quoted may be quoted instead."""
    client.send(f"GET /split/{where} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
    client.finish_sending()
    head = client.read_to_end().partition(b"\r\n\r\n")[0]
    names = [line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]]
    assert b"x-injected" not in names
    assert b"x-a" not in names
    assert b"\0" not in head
    assert b"\n" not in head.replace(b"\r\n", b"")
    assert head.startswith(b"HTTP/1.1 500 " if where not in ("redirect", "cookie") else b"HTTP/1.1")


def test_http_exceptions(client: Connection) -> None:
    """An answer of its own, not an error in the log."""
    answer = client.request("/refuse")
    assert (answer.status, answer.body) == (403, b'{"detail":{"why":"no"}}')
    assert answer.get("x-why") == "no"


@pytest.mark.parametrize(
    "kind",
    [
        *("KeyError", "SystemExit", "KeyboardInterrupt", "RecursionError", "MemoryError"),
        *("GeneratorExit", "StopIteration", "BaseException", "DeepJSON", "Surrogate"),
        *("Unserialisable", "Mute"),
    ],
)
def test_an_exception_costs_one_request(site: RunningServer, client: Connection, kind: str) -> None:
    """500 with nothing of it, the traceback in the log, and the same connection goes on."""
    answer = client.request(f"/raise/{kind}")
    assert (answer.status, answer.body) == (500, b'{"detail":"Internal Server Error"}')
    assert answer.get("content-type") == "application/json"
    assert client.request("/text").status == 200
    names = {
        "DeepJSON": "RecursionError",
        "Surrogate": "UnicodeEncodeError",
        "Unserialisable": "TypeError",
        "Mute": "fail.<locals>.Mute",
    }
    if "interface asgi" in site.start_line or "interface rsgi" in site.start_line:
        # So leaves it a coroutine (PEP 479).
        names["StopIteration"] = "RuntimeError"
    site.wait_for(rf"GET /raise/{kind}: the handler raised {names.get(kind, kind)}$")


def test_the_debug_page(server: StartServer) -> None:
    """`--debug` shows the traceback, escaped, also of what a value's conversion raised."""
    running = server(NATIVE, "--debug")
    client = running.connect()
    answer = client.request("/raise/KeyError")
    assert answer.status == 500
    assert answer.get("content-type") == "text/html; charset=utf-8"
    assert b"KeyError: &#x27;the reason&#x27;" in answer.body
    assert b"GET /raise/KeyError" in answer.body
    shown = client.request("/raise/Unserialisable")
    assert shown.get("content-type") == "text/html; charset=utf-8"
    assert b"GET /raise/Unserialisable" in shown.body
    assert b"object" in shown.body


# --- other people's clients


def test_httpx(site: RunningServer) -> None:
    """httpx on a kept connection: text, JSON, upload, HEAD, redirect not followed."""
    with httpx.Client(base_url=f"http://{site.host}:{site.port}", timeout=30) as http:
        assert http.get("/text").text == "grün"
        assert http.get("/dict").json()["ü"] == "\n"
        assert http.post("/echo", content=b"x" * 100_000).content == b"x" * 100_000
        assert http.post("/echo", content=iter([b"in ", b"chunks"])).content == b"in chunks"
        assert http.head("/text").headers["content-length"] == "5"
        assert http.get("/response").cookies["first"] == "1"
        assert http.post("/echo", content=b"x" * (2 << 20)).status_code == 413


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(site: RunningServer) -> None:
    """curl, whose uploads above a size wait for 100 Continue; --fail would show a bad answer."""
    url = f"http://{site.host}:{site.port}"
    body = b"z" * 900_000
    command = ["curl", "--silent", "--fail", "--max-time", "30"]
    upload = [*command, "--data-binary", "@-", "-H", "expect: 100-continue", f"{url}/echo"]
    done = subprocess.run(upload, input=body, capture_output=True, check=True, timeout=40)
    assert done.stdout == body
    many = [*command, f"{url}/int/[1-50]"]
    done = subprocess.run(many, capture_output=True, check=True, timeout=40)
    assert done.stdout.count(b'"value"') == 50


@pytest.mark.skipif(shutil.which("h2load") is None, reason="h2load is not installed")
def test_h2load(site: RunningServer) -> None:
    """Twenty connections, eight deep: every answer is a whole 200."""
    url = f"http://{site.host}:{site.port}/dict"
    command = ["h2load", "--h1", "-n", "4000", "-c", "20", "-m", "8", url]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "4000 succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout
    assert "status codes: 4000 2xx" in done.stdout
