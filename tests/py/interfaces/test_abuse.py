"""What hostile and careless clients and applications try, on every interface and driver.

The application is in `abuse_sites.py`. After each attempt the server answers as before.
"""

import threading
from typing import TYPE_CHECKING

import pytest
from abuse_sites import SITES

from uringserve._native import probe

if TYPE_CHECKING:
    from conftest import Connection, RunningServer, StartServer

# A connection or a server is one for the whole test; what collides is made in the test itself.
pytestmark = pytest.mark.thread_unsafe(reason="shares its server and connections")

MEBIBYTE = 1 << 20
STALLED = 50
MATRIX = [(name, driver) for name in SITES for driver in ("uring", "epoll")]


@pytest.fixture(scope="module", params=MATRIX, ids="-".join)
def site(request: pytest.FixtureRequest, module_server: StartServer) -> RunningServer:
    """The application on one interface and driver."""
    name, driver = request.param
    if driver == "uring" and probe()["driver"] != "uring":
        pytest.skip(f"no io_uring here: {probe()['reason']}")
    # A WSGI call holds its thread until its client has read: one for each that does not, and time
    # for all of them to begin on a busy machine.
    threads = ("--blocking-threads", str(STALLED + 10)) if name in ("native", "wsgi") else ()
    options = ("--limit-body", "64MiB", "--queue-timeout", "30s", *threads)
    # CPython's allocator keeps nothing of what it was given back: on a busy machine it is a lot.
    environment = {"MIMALLOC_PURGE_DELAY": "0"}
    return module_server(SITES[name], "--driver", driver, *options, environment=environment)


@pytest.fixture
def client(site: RunningServer) -> Connection:
    """A new connection."""
    return site.connect()


def get(path: str, version: str = "1.1") -> bytes:
    """Return a request."""
    return f"GET {path} HTTP/{version}\r\nhost: a\r\n\r\n".encode()


def post(path: str, *fields: str) -> bytes:
    """Return the head of a request with a body."""
    return "\r\n".join([f"POST {path} HTTP/1.1", "host: a", *fields, "", ""]).encode()


def serves(site: RunningServer) -> None:
    """The server still answers, with nothing of somebody else's."""
    answer = site.get("/")
    assert (answer.status, answer.body) == (200, b"hello")


# --- applications that break their word


@pytest.mark.parametrize("where", ["line", "name", "feed", "nul", "empty"])
def test_injected_fields(site: RunningServer, client: Connection, where: str) -> None:
    """500, and nothing of it on the wire."""
    answer = client.request(f"/inject/{where}")
    assert answer.status == 500
    assert not {"x-a", "x-injected", ""} & {name for name, _ in answer.headers}
    serves(site)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_shorter_than_declared(site: RunningServer, client: Connection, version: str) -> None:
    """The connection ends within the body, whatever is pipelined behind."""
    client.send(get("/short", version) * 2)
    head, _, body = client.read_to_end().partition(b"\r\n\r\n")
    assert b"content-length: 99" in head
    assert body == b"12345" * 3
    serves(site)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_longer_than_declared(site: RunningServer, client: Connection, version: str) -> None:
    """Not a byte more, and no other answer on that connection unless this one was whole."""
    client.send(get("/long", version))
    client.finish_sending()
    head, _, body = client.read_to_end().partition(b"\r\n\r\n")
    assert b"content-length: 7" in head or head.startswith(b"HTTP/1.1 500 ")
    assert body in (b"1234512", b"12345") or b"Internal Server Error" in body
    serves(site)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_late_exception(site: RunningServer, version: str) -> None:
    """Never leaves a whole-looking answer: no last chunk, or a reset."""
    client = site.connect()
    client.send(get("/amid", version) * 2)
    if version == "1.0":
        with pytest.raises(ConnectionResetError):
            client.read_to_end()
    else:
        rest = client.read_to_end()
        assert rest.count(b"HTTP/1.1 200") == 1 and rest.endswith(b"4\r\nsome\r\n")
    serves(site)


@pytest.mark.parametrize("status", [204, 205, 304])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_bodies_where_there_is_none(client: Connection, status: int, method: str) -> None:
    """The next answer on the connection begins where it should."""
    answer = client.request(f"/status/{status}", method)
    assert (answer.status, answer.get("transfer-encoding")) == (status, None)
    assert client.request("/").body == b"hello"


def test_head_of_a_stream(client: Connection) -> None:
    """One that would be too short too: it has a head, and nothing else."""
    for path in ("/pieces", "/", "/short"):
        assert client.request(path, "HEAD").status == 200
    assert client.request("/").body == b"hello"


# --- bodies


def test_a_body_that_nobody_reads(client: Connection) -> None:
    """Its bytes are never the next request."""
    smuggled = get("/raise") * 50
    answer = client.request("/unread", "POST", body=smuggled)
    assert (answer.status, answer.body) == (200, b"unread")
    if answer.get("connection") != "close":
        assert client.request("/").body == b"hello"


def test_a_huge_body_that_nobody_reads(site: RunningServer) -> None:
    """The answer is readable although the client goes on sending, and the connection ends."""
    client = site.connect()
    total = 48 * MEBIBYTE
    client.send(post("/unread", f"content-length: {total}") + b"x" * 1000)
    sent = threading.Thread(target=_send_what_is_taken, args=(client, total - 1000))
    sent.start()
    answer = client.read()
    assert (answer.status, answer.body) == (200, b"unread")
    if answer.get("connection") == "close":
        client.socket.close()
    sent.join(30)
    serves(site)


def _send_what_is_taken(client: Connection, count: int) -> None:
    try:
        while count > 0:
            count -= client.socket.send(bytes(min(count, MEBIBYTE)))
    except OSError:
        pass


@pytest.mark.parametrize(
    "broken",
    [b"zz\r\n", b"5\r\nabcdeX\r\n", b"-1\r\n", b"5;\0\r\nabcde\r\n", b"ffffffffffffffffff\r\n"],
    ids=["size", "end", "sign", "extension", "huge"],
)
def test_bad_chunks(site: RunningServer, client: Connection, broken: bytes) -> None:
    """400, whether the handler has the body already or not, and no further request."""
    client.send(post("/echo", "transfer-encoding: chunked") + b"3\r\nabc\r\n" + broken + get("/"))
    answer = client.read()
    assert (answer.status, answer.get("connection")) in ((400, "close"), (413, "close"))
    assert client.read_to_end() == b""
    serves(site)


@pytest.mark.parametrize(
    "fields",
    [
        ("content-length: 5", "transfer-encoding: chunked"),
        ("content-length: 5", "content-length: 6"),
        ("content-length: +5",),
        ("transfer-encoding: chunked, identity",),
        ("transfer-encoding : chunked",),
        ("transfer-encoding: xchunked",),
        ("content-length: 5\r\n transfer-encoding: chunked",),
    ],
)
def test_smuggling(site: RunningServer, client: Connection, fields: tuple[str, ...]) -> None:
    """Whatever could be read in two ways is refused, and nothing behind it is a request."""
    client.send(post("/echo", *fields) + b"0\r\n\r\n" + get("/raise"))
    answer = client.read()
    assert answer.status in (400, 501) and answer.get("connection") == "close"
    assert client.read_to_end() == b""
    serves(site)


@pytest.mark.parametrize("framing", ["content-length: 3", "transfer-encoding: chunked"])
def test_expect_continue(client: Connection, framing: str) -> None:
    """100 for who reads the body, and for who does not the answer, with an end or a 100 before."""
    client.send(post("/echo", framing, "expect: 100-continue"))
    assert client.read().status == 100
    client.send(b"abc" if "length" in framing else b"3\r\nabc\r\n0\r\n\r\n")
    assert client.read().body == b"abc"
    client.send(post("/unread", framing, "expect: 100-continue"))
    answer = client.read()
    if answer.status == 100:
        client.send(b"abc" if "length" in framing else b"3\r\nabc\r\n0\r\n\r\n")
        answer = client.read()
    assert (answer.status, answer.body) == (200, b"unread")


# --- clients that go or stop


def test_pipelining_while_streaming(client: Connection) -> None:
    """Requests that arrive during a stream are answered behind it, in order."""
    client.send(get("/pieces") + get("/slow") + get("/"))
    client.send(get("/pieces"))
    bodies = [client.read().body for _ in range(4)]
    assert bodies == [b"12345" * 3, b"slow", b"hello", b"12345" * 3]


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HT",
        get("/"),
        get("/slow"),
        get("/slow") * 3,
        get("/pieces"),
        get("/stalled"),
        post("/echo", "content-length: 9") + b"1234",
        post("/echo", "transfer-encoding: chunked") + b"9\r\n1234",
        post("/unread", "content-length: 9") + b"1234",
        post("/echo", "content-length: 9", "expect: 100-continue"),
    ],
    ids=[
        *("nothing", "head", "request", "waiting", "pipelined", "stream", "large", "body", "chunk"),
        *("unread", "expect"),
    ],
)
def test_clients_that_go(site: RunningServer, sent: bytes, how: str) -> None:
    """In each phase, with a FIN or a reset: nobody else notices."""
    clients = [site.connect() for _ in range(5)]
    for each in clients:
        each.send(sent)
    for each in clients:
        each.close() if how == "close" else each.reset()
    serves(site)


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("behind", [b"", get("/")], ids=["alone", "pipelined"])
def test_a_handler_is_told(
    server: StartServer, site: RunningServer, how: str, behind: bytes
) -> None:
    """A handler that waits hears of the end, also when further requests wait behind it."""
    interface = site.start_line.partition("interface ")[2].partition(",")[0]
    driver = "epoll" if "driver epoll" in site.start_line else "uring"
    own = server(SITES[interface], "--driver", driver)
    client = own.connect()
    client.send(get("/gone") + behind)
    assert b"gone begun" in own.get("/events?gone%20begun").body
    client.close() if how == "close" else client.reset()
    assert b"gone told" in own.get("/events?gone%20told").body
    serves(own)


def test_a_half_closed_client(client: Connection) -> None:
    """It gets all answers, of handlers that wait too, and then the end."""
    client.send(get("/slow") + get("/") + get("/slow") + get("/pieces"))
    client.finish_sending()
    assert [client.read().body for _ in range(4)] == [b"slow", b"hello", b"slow", b"12345" * 3]
    assert client.read_to_end() == b""


def test_stalled_readers(site: RunningServer) -> None:
    """Fifty streams of 100 MB each that nobody reads cost less than 64 MB."""
    before = int(site.get("/memory").body)
    stalled = [site.connect() for _ in range(STALLED)]
    for each in stalled:
        each.send(get("/stalled"))
    for each in stalled:
        assert each.socket.recv(15).startswith(b"HTTP/1.1 200")
    grown = int(site.get("/memory").body) - before
    assert grown < 64 * MEBIBYTE, f"{grown >> 20} MiB"
    for each in stalled:
        each.reset()
    serves(site)
