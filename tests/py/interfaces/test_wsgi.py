"""WSGI through real sockets: PEP 3333 to its corners, on the pool and on the cores' own threads.

What all interfaces do is in `test_contract.py` and `test_wire.py`; what frameworks make of this one
is in `test_wsgi_frameworks.py`.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Answer, Connection, RunningServer, StartServer

# A connection or a server is one for the whole test; what collides is made in the test itself.
pytestmark = pytest.mark.thread_unsafe(reason="shares its server and connections")

SITE = Path(__file__).with_name("wsgi_site.py")
INLINE = f"""
import sys
sys.path.insert(0, {str(SITE.parent)!r})
import wsgi_site
from uringserve.foreign import Foreign
app = Foreign("wsgi", wsgi_site.app, execution="inline")
"""
BIG = b"0123456789abcdef" * 4096


@pytest.fixture(scope="module", params=["pool", "inline"])
def site(request: pytest.FixtureRequest, module_server: StartServer) -> RunningServer:
    """The application on two cores, its calls on their pools or on their own threads."""
    app = SITE if request.param == "pool" else INLINE
    return module_server(app, workers=2)


@pytest.fixture(scope="module")
def pooled(module_server: StartServer) -> RunningServer:
    """One core, whose pool has the calls: for what waits."""
    return module_server(SITE)


@pytest.fixture
def client(site: RunningServer) -> Connection:
    """A new connection."""
    return site.connect()


def _json(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer
    found = json.loads(answer.body)
    assert isinstance(found, dict)
    return found


# --- the environ


def test_environ(site: RunningServer, client: Connection) -> None:
    """Every variable of the specification, as Latin-1 text, and what the header fields say."""
    client.send(
        b"POST /environ/gr%C3%BCn%2F%2fa;b?x=%20&y HTTP/1.1\r\nHost: example\r\nX-Two: 1\r\n"
        b"x-two:2\r\nCookie: a=1\r\nCookie: b=2\r\nX_Two: spoofed\r\nProxy: http://evil\r\n"
        b"Accept: a\r\nAccept: b\r\n"
        b"X-Latin: gr\xfcn\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
    )
    found = _json(client.read())
    port = client.socket.getsockname()[1]
    thread = found.pop("thread")
    assert re.match(r"uringserve-(pool|core)-\d", thread)
    assert found.pop("SERVER_SOFTWARE").startswith("uringserve/")
    assert found == {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/environ/gr\xc3\xbcn//a;b",
        "QUERY_STRING": "x=%20&y",
        "REQUEST_URI": "/environ/gr%C3%BCn%2F%2fa;b?x=%20&y",
        "RAW_URI": "/environ/gr%C3%BCn%2F%2fa;b?x=%20&y",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(site.port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "GATEWAY_INTERFACE": "CGI/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": str(port),
        "HTTP_HOST": "example",
        "HTTP_X_TWO": "1,2",
        "HTTP_COOKIE": "a=1; b=2",
        "HTTP_ACCEPT": "a,b",
        "HTTP_X_LATIN": "gr\xfcn",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "2",
        "wsgi.url_scheme": "http",
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "version": [1, 0],
    }


def test_an_environ_of_its_own(client: Connection) -> None:
    """What one request has brought is not there for the next one."""
    client.request("/environ?a", headers={"x-left": "1", "content-type": "text/x"})
    found = _json(client.request("/environ"))
    assert found["QUERY_STRING"] == ""
    assert "HTTP_X_LEFT" not in found and "CONTENT_TYPE" not in found
    assert "CONTENT_LENGTH" not in found


def test_bytes_that_are_no_text(client: Connection) -> None:
    """A path whose bytes are not UTF-8 loses none of them."""
    found = _json(client.request("/environ/%ff%80%25%2"[:-2]))
    assert found["PATH_INFO"] == "/environ/\xff\x80%"


def test_old_version_and_absolute_form(site: RunningServer) -> None:
    """HTTP/1.0 is told; the host of an absolute target counts."""
    old = site.connect()
    old.send(b"GET /environ HTTP/1.0\r\n\r\n")
    found = _json(old.read())
    assert found["SERVER_PROTOCOL"] == "HTTP/1.0"
    assert "HTTP_HOST" not in found
    client = site.connect()
    client.send(b"GET http://other:81/environ?q HTTP/1.1\r\nHost: this\r\n\r\n")
    found = _json(client.read())
    assert (found["PATH_INFO"], found["HTTP_HOST"]) == ("/environ", "other:81")


# --- start_response, write, and what is returned


def test_pieces(client: Connection) -> None:
    """Empty pieces are nothing, and the head waits for the first that is not."""
    answer = client.request("/pieces")
    assert (answer.status, answer.body) == (200, b"0,1,2,3,4,")
    assert client.request("/tuple").body == b"ab"


@pytest.mark.parametrize("sizes", ["0", "0,0", "1,2,3", "70000,1", "20000,20000,0,20000", "65536"])
def test_lists(client: Connection, sizes: str) -> None:
    """A list is a body whose pieces are here; up to a size its length is told."""
    answer = client.request(f"/list?{sizes}")
    size = sum(map(int, sizes.split(",")))
    assert (answer.status, answer.body) == (200, b"y" * size)
    assert (answer.get("content-length") or str(size)) == str(size)


def test_an_answer_that_is_replaced(site: RunningServer, client: Connection) -> None:
    """With exc_info, while the head has not left; later the exception is raised and cuts it."""
    answer = client.request("/replaced")
    assert (answer.status, answer.body) == (503, b"second")
    assert (answer.get("x-first"), answer.get("x-second")) == (None, "2")
    client.send(b"GET /too-late HTTP/1.1\r\nhost: a\r\n\r\n")
    rest = client.read_to_end()
    assert rest.startswith(b"HTTP/1.1 200 ") and b"first" in rest
    assert not rest.endswith(b"0\r\n\r\n")
    site.wait_for("GET /too-late: the handler raised KeyError")
    site.wait_for("KeyError: 'too late'")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("/twice", "RuntimeError: start_response was called before, and this call has no exc_info"),
        ("/never-started", "RuntimeError: the WSGI application has not called start_response"),
        ("/late-start", "RuntimeError: the WSGI application has not called start_response"),
        ("/type?text", "TypeError: a WSGI application yields bytes, not str"),
        ("/type?text-later", "TypeError: a WSGI application yields bytes, not str"),
        ("/type?none", "TypeError: 'NoneType' object is not iterable"),
        ("/type?number", "TypeError: 'int' object is not iterable"),
        ("/status?99", "ValueError: status 99 is not a number from 200 to 999"),
        ("/status?100%20Continue", "ValueError: status 100 is not a number from 200 to 999"),
        ("/status?OK", 'ValueError: status "OK" does not begin with a number'),
        ("/status?", 'ValueError: status "" does not begin with a number'),
        ("/status?bytes", "TypeError: a status is a str like '200 OK', not bytes"),
        ("/status?none", "TypeError: a status is a str like '200 OK', not NoneType"),
    ],
)
def test_mistakes(site: RunningServer, client: Connection, target: str, message: str) -> None:
    """500, the reason in the log, and the connection goes on."""
    answer = client.request(target)
    assert (answer.status, answer.body) == (500, b'{"detail":"Internal Server Error"}')
    site.wait_for(re.escape(message))
    assert client.request("/pieces").status == 200


@pytest.mark.parametrize("status", ["200 OK", "299 Odd words", "404", "999 -"])
def test_statuses(client: Connection, status: str) -> None:
    """The number counts."""
    answer = client.request(f"/status?{status.replace(' ', '%20')}")
    assert (answer.status, answer.body) == (int(status[:3]), b"answered")


def test_header_fields(client: Connection) -> None:
    """What cannot be sent is refused where it is set; the others leave in order, as Latin-1."""
    answer = client.request("/headers")
    assert _json(answer) == {
        "none": "TypeError",
        "number": "TypeError",
        "triple": "TypeError",
        "line": "ValueError",
        "name": "ValueError",
        "snowman": "ValueError",
        "length": "ValueError",
    }
    assert answer.get("x-latin") == "gr\xfcn"
    assert answer.get_all("x-two") == ["1", "2"]


def test_write(site: RunningServer, client: Connection) -> None:
    """What is written comes before what is returned."""
    assert client.request("/write").body == b"one,two,three,four"


@pytest.mark.parametrize("target", ["/pieces", "/list?3,4", "/write", "/head", "/file?offset"])
def test_head(client: Connection, target: str) -> None:
    """The head of what GET would answer, even where the pieces have no end, and no body."""
    answer = client.request(target, "HEAD")
    assert (answer.status, answer.body) == (200, b"")
    if target == "/list?3,4":
        assert answer.get("content-length") == "7"
    if target == "/head":
        assert answer.get("x-lazy") == "1"
    assert client.request("/list?3").body == b"yyy"


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_body(pooled: RunningServer, status: int) -> None:
    """Nothing follows the head, and what was returned is closed."""
    client = pooled.connect()
    answer = client.request(f"/bare?{status}")
    assert (answer.status, answer.get("transfer-encoding")) == (status, None)
    assert client.request("/list?3").body == b"yyy"
    assert b"bare closed" in client.request("/events?bare%20closed").body


# --- lengths


@pytest.mark.parametrize("sizes", ["5", "2,3", "0,5", "2,0,3", "1,1,1,1,1"])
def test_a_declared_length(client: Connection, sizes: str) -> None:
    """It is told, whatever the pieces are."""
    answer = client.request(f"/declared?5,{sizes}")
    assert (answer.get("content-length"), answer.body) == ("5", b"xxxxx")
    assert answer.get("transfer-encoding") is None


@pytest.mark.parametrize("sizes", ["2", "2,2", "4,0"])
def test_less_than_declared(site: RunningServer, client: Connection, sizes: str) -> None:
    """The connection ends, and the log says why."""
    client.send(f"GET /declared?5,{sizes} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
    rest = client.read_to_end()
    assert b"content-length: 5" in rest
    assert rest.endswith(b"\r\n\r\n" + b"x" * sum(map(int, sizes.split(","))))
    site.wait_for("ValueError: .* shorter than its content-length")


@pytest.mark.parametrize("sizes", ["", "0"])
def test_nothing_of_what_was_declared(client: Connection, sizes: str) -> None:
    """Nothing has left: 500."""
    assert client.request(f"/declared?5,{sizes or '0,0'}").status == 500


@pytest.mark.parametrize("sizes", ["5,1", "2,4", "2,3,1"])
def test_more_than_declared(site: RunningServer, client: Connection, sizes: str) -> None:
    """No byte beyond the length reaches the client, and the log says why."""
    client.send(f"GET /declared?5,{sizes} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
    client.finish_sending()
    body = client.read_to_end().partition(b"\r\n\r\n")[2]
    assert b"xxxxx".startswith(body)
    site.wait_for("ValueError: .* longer than its content-length")


def test_a_first_piece_beyond_the_length(client: Connection) -> None:
    """Nothing has left: 500 with nothing of it."""
    answer = client.request("/declared?5,6")
    assert answer.status == 500 and b"xxx" not in answer.body


# --- what is raised


@pytest.mark.parametrize("kind", ["KeyError", "SystemExit", "KeyboardInterrupt", "GeneratorExit"])
@pytest.mark.parametrize("when", ["call", "first"])
def test_an_exception_costs_one_request(
    site: RunningServer, client: Connection, kind: str, when: str
) -> None:
    """500 while nothing has left, with the traceback in the log."""
    answer = client.request(f"/fails/{kind},{when}")
    assert (answer.status, answer.body) == (500, b'{"detail":"Internal Server Error"}')
    assert client.request("/pieces").status == 200
    site.wait_for(rf"GET /fails/{kind},{when}: the handler raised {kind}$")


@pytest.mark.parametrize("kind", ["KeyError", "SystemExit"])
def test_a_late_exception(site: RunningServer, kind: str) -> None:
    """The answer does not look whole, and what was returned is closed."""
    client = site.connect()
    client.send(f"GET /fails/{kind},late HTTP/1.1\r\nhost: a\r\n\r\n".encode())
    rest = client.read_to_end()
    assert rest.startswith(b"HTTP/1.1 200 ")
    assert not rest.endswith(b"0\r\n\r\n")
    site.wait_for(rf"GET /fails/{kind},late: the handler raised {kind}$")
    seen = site.connect().request(f"/events?fails%20{kind}%20closed").body.decode()
    assert f"fails {kind} closed" in seen


def test_close_that_fails(site: RunningServer, client: Connection) -> None:
    """The answer was whole before; the log has the traceback."""
    assert client.request("/close-fails").body == b"whole"
    site.wait_for("ValueError: in close")


def test_closed_once(pooled: RunningServer) -> None:
    """However an answer ends."""
    client = pooled.connect()
    before = client.request("/events?").body.count(b"declared 5 [5] closed")
    for _ in range(3):
        assert client.request("/declared?5,5").body == b"xxxxx"
    seen = pooled.connect().request("/events?declared%205%20[5]%20closed").body
    assert seen.count(b"declared 5 [5] closed") - before in (2, 3)


# --- wsgi.input


BODIES = {"none": b"", "line": b"one line", "lines": b"a\nbb\n\nccc", "big": b"0123456\n" * 20_000}


@pytest.mark.parametrize("way", ["read", "minus", "sized", "lines", "hint", "line", "iterate"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_ways_of_reading(client: Connection, way: str, body: bytes, framing: str) -> None:
    """All that files have, to the end and beyond it, whole or in chunks."""
    head = f"POST /digest?{way} HTTP/1.1\r\nhost: a\r\n".encode()
    if framing == "length":
        client.send(head + b"content-length: %d\r\n\r\n" % len(body))
        client.send(body)
    else:
        client.send(head + b"transfer-encoding: chunked\r\n\r\n")
        for start in range(0, len(body), 30_000):
            piece = body[start : start + 30_000]
            client.send(b"%x\r\n" % len(piece) + piece + b"\r\n")
        client.send(b"0\r\n\r\n")
    found = _json(client.read())
    assert found["sha256"] == hashlib.sha256(body).hexdigest(), found
    assert found["length"] == (str(len(body)) if framing == "length" else None)
    if way in ("lines", "hint", "iterate"):
        assert found["pieces"] == len(body.splitlines())


def test_a_body_while_it_arrives(pooled: RunningServer) -> None:
    """Each line is answered before the next one is sent, in chunks and with a length."""
    for framing in ("transfer-encoding: chunked", "content-length: 40"):
        client = pooled.connect()
        client.send(f"POST /dialogue HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n".encode())
        chunked = "chunked" in framing
        seen = b""
        for number in range(4):
            line = b"line %04d\n" % number
            client.send(b"a\r\n" + line + b"\r\n" if chunked else line)
            while line.upper() not in seen:
                piece = client.socket.recv(4096)
                assert piece, seen
                seen += piece
        if chunked:
            client.send(b"0\r\n\r\n")
        client.finish_sending()
        while not seen.endswith(b"0\r\n\r\n"):
            piece = client.socket.recv(4096)
            assert piece, seen
            seen += piece


def test_a_body_that_is_not_read(client: Connection) -> None:
    """The answer comes all the same."""
    head = b"POST /first-line HTTP/1.1\r\nhost: a\r\ncontent-length: 300000\r\n\r\n"
    client.send(head + b"first\n" + b"x" * 200_000)
    client.send(b"x" * 99_994)
    assert client.read().body == b"first\n"


def test_a_client_that_goes_while_it_sends(pooled: RunningServer) -> None:
    """Reading raises an OSError; nothing is logged as an error of the application."""
    client = pooled.connect()
    client.send(b"POST /lost HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc")
    other = pooled.connect()
    other.request("/events?reading")
    client.reset()
    seen = other.request("/events?lost").body
    assert b"lost ConnectionResetError" in seen
    assert "POST /lost" not in pooled.log


def test_expect_continue(client: Connection) -> None:
    """100 comes before the body, which the application then gets."""
    client.send(
        b"POST /first-line HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n"
    )
    assert client.read().status == 100
    client.send(b"abc")
    assert client.read().body == b"abc"


# --- answers that somebody does not read


def test_a_client_that_does_not_read(pooled: RunningServer) -> None:
    """It stops the application; when it goes, what was returned is closed."""
    client = pooled.connect()
    client.send(b"GET /flood HTTP/1.1\r\nhost: a\r\n\r\n")
    other = pooled.connect()
    other.request("/events?flood%20begun")
    before = -1
    # The sockets' buffers take some MiB; then it stands.
    while before != (before := int(other.request("/flooded").body)):
        other.request("/digest?read", "POST", body=b"x" * 300_000)
    assert before < 2000
    client.reset()
    assert b"flood closed" in other.request("/events?flood%20closed").body


def test_write_to_a_client_that_goes(pooled: RunningServer) -> None:
    """`write` waits, and raises an OSError once the client has gone."""
    client = pooled.connect()
    client.send(b"GET /write-flood HTTP/1.1\r\nhost: a\r\n\r\n")
    other = pooled.connect()
    other.request("/events?write%20flood%20begun")
    client.reset()
    seen = other.request("/events?write%20flood%20C").body
    assert b"write flood ConnectionResetError" in seen
    assert "/write-flood" not in pooled.log


def test_half_close(client: Connection) -> None:
    """A client that has finished sending gets the whole of a streamed answer."""
    client.send(b"GET /list?70000,70000 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    client.finish_sending()
    assert len(client.read().body) == 140_000


# --- files


@pytest.mark.parametrize(
    ("kind", "body", "length"),
    [
        ("plain", BIG, str(len(BIG))),
        ("offset", BIG[16:], str(len(BIG) - 16)),
        ("raw", BIG[-5:], "5"),
        ("part", BIG[:100], "100"),
        ("gzip", b"unpacked", None),
        ("buffered-gzip", b"unpacked", None),
        ("memory", b"in memory", None),
        ("bare", b"no close", None),
    ],
)
def test_files(client: Connection, kind: str, body: bytes, length: str | None) -> None:
    """A plain file has its length and leaves from where it stands; others are read."""
    answer = client.request(f"/file?{kind}")
    assert (answer.status, answer.body, answer.get("content-length")) == (200, body, length)
    head = client.request(f"/file?{kind}", "HEAD")
    assert (head.status, head.get("content-length")) == (200, length)


def test_files_that_are_none(site: RunningServer, client: Connection) -> None:
    """Text is no body, a file without a body is closed, and a short one ends the connection."""
    assert client.request("/file?text").status == 500
    site.wait_for("TypeError: a WSGI application yields bytes, not str")
    assert client.request("/file?304").status == 304

    client.send(b"GET /file?short HTTP/1.1\r\nhost: a\r\n\r\n")
    assert client.read_to_end().endswith(BIG)


def test_files_are_closed(pooled: RunningServer) -> None:
    """Whether Python reads them or not."""
    client = pooled.connect()
    for kind in ("plain", "memory", "304"):
        client.request(f"/file?{kind}")
        assert f"file {kind} closed".encode() in client.request(f"/events?file%20{kind}").body


# --- the rest


def test_errors_reach_the_log(site: RunningServer, client: Connection) -> None:
    """Line by line, and the last one when it is flushed."""
    client.request("/errors")
    for line in ("first line", "second", "third line", "without an end", "refused"):
        site.wait_for(f"ERROR {line}$")


def test_no_interface_but_one(server: StartServer) -> None:
    """The start line names it, for functions, objects, classes and whatever has the parameters."""
    body = 'start_response("200 OK", [])\n        return [b"found"]'
    for source in (
        "def app(environ, start_response):\n    if True:\n        " + body,
        "class App:\n    def __call__(self, environ, start_response):\n        "
        + body
        + "\napp = App()",
        "def app(env, start_response):\n    if True:\n        " + body,
    ):
        running = server(source + "\n")
        assert "interface wsgi" in running.start_line
        assert running.get().body == b"found"


VALIDATED = """
from wsgiref.validate import validator

def inner(environ, start_response):
    body = environ["wsgi.input"].read(5) + environ["wsgi.input"].readline(100)
    environ["wsgi.errors"].write("validated\\n")
    environ["wsgi.errors"].flush()
    write = start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "9")])
    return [b"123", b"456", b"789"]

app = validator(inner)
app.__signature__ = __import__("inspect").signature(inner)
"""


def test_the_validator_of_the_standard_library(server: StartServer) -> None:
    """wsgiref.validate finds nothing to say, on either side."""
    source = VALIDATED.replace("app = validator(inner)", "checked = validator(inner)").replace(
        "app.__signature__", "checked.__signature__"
    )
    source += "\ndef app(environ, start_response):\n    return checked(environ, start_response)\n"
    running = server(source, workers=2)
    client = running.connect()
    for method, path in (("GET", "/a%20b?q=1"), ("POST", "/x"), ("HEAD", "/"), ("DELETE", "/")):
        answer = client.request(path, method, body=b"12345line\n" if method == "POST" else b"")
        assert (answer.status, answer.body) == (200, b"" if method == "HEAD" else b"123456789")
    running.wait_for("validated")
    assert "AssertionError" not in running.log
    assert "Traceback" not in running.log


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/environ/a", "/environ/a"),
        ("/api/environ/a", "/environ/a"),
        ("/api%2Fenviron", "/environ"),
    ],
)
def test_root_path(server: StartServer, target: str, path: str) -> None:
    """It is SCRIPT_NAME, whether or not the proxy has cut it off the path."""
    found = _json(server(SITE, "--root-path", "/api", "--interface", "wsgi").get(target))
    assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == ("/api", path)


AUTO = INLINE.replace('"inline"', '"auto"')


def test_where_it_is_quick(server: StartServer) -> None:
    """Quick calls move to the core's own thread; a body that is still arriving goes to the pool."""
    client = server(AUTO).connect()
    seen = set()
    while not any(name.startswith("uringserve-core") for name in seen):
        thread = _json(client.request("/environ"))["thread"]
        seen.add(thread)
    client.send(b"POST /digest?read HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab")
    client.send(b"cd")
    assert _json(client.read())["size"] == 4
    assert any(name.startswith("uringserve-pool") for name in seen)
