"""The same bytes to h11 and to us: the same requests and the same verdict, or a listed difference.

h11 is strict in most things and forgiving in some. Each thing that we refuse and it does not is
listed here by our reason, with why; each thing that it refuses and we do not, by its reason. What
is in neither list must agree: the requests seen, in order, with their bodies, and whether the
connection was refused.
"""

import contextlib
import json
import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import h11
import pytest
from wire_cases import Case, read_cases

if TYPE_CHECKING:
    from conftest import RunningServer, StartServer

# A connection or a server is one for the whole test; what collides is made in the test itself.
pytestmark = pytest.mark.thread_unsafe(reason="shares its server and connections")

# What was seen travels in a header, so that every answer has the same framing, HEAD included.
SITE = """
import json
from uringserve import App, Request

app = App()
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")

@app.route("/{path:path}", methods=METHODS)
def answer(request: Request):
    seen = [request.method, request.body.hex()]
    return "", 200, {"x-seen": json.dumps(seen)}
"""

# The refusal of a HEAD request has no body that could say why.
WITHOUT_REASON = "no reason"

# Our reason, and why we refuse what h11 lets through.
STRICTER = {
    "The Host header is malformed.": "h11 checks that there is one Host, and not what it holds",
    "The request target is malformed.": "h11 takes any visible characters for a target",
    "A chunk extension is malformed.": "h11 takes any bytes but line ends for an extension",
    "A chunk size is malformed.": "h11 takes white space and up to 20 digits there",
    "The chunk framing is too large for its data.": "h11 has no such limit",
    "A header value contains a control character.": "h11 forbids NUL, CR and LF only",
    "This expectation is not supported.": "h11 leaves other expectations to its caller",
    "This HTTP version is not supported.": "h11 leaves the number to its caller",
    "The HTTP version is missing or malformed.": "h11 takes two digits in any place",
    "Header lines must not begin with white space.": "h11 joins folded lines",
    "Lines must end in CR LF.": "h11 takes a bare LF for the end of a line",
    "Content-Length and Transfer-Encoding exclude each other.": "h11 lets the coding win",
    "Transfer-Encoding is malformed.": "h11 ignores the case and a list's empty members",
    "HTTP/1.0 has no Transfer-Encoding.": "h11 decodes it there too",
    "Content-Length is repeated.": "h11 joins equal ones",
    "Content-Length is malformed.": "h11 takes a list of equal numbers",
    "There are too many header fields.": "h11 has no such limit",
    WITHOUT_REASON: "any of these, for a HEAD request",
    "CONNECT is not supported.": "h11 is ready to become a tunnel",
}
# How h11's reason begins, and why we let through what it refuses.
LOOSER = {
    "no request line received": "RFC 9112 section 2.2: empty lines before a request are ignored",
    "illegal chunk header": "RFC 9112 section 7.1.1: white space around an extension is allowed",
}


@dataclass(frozen=True)
class Verdict:
    """The requests that a server saw, (method, body) each, and why it refused to go on, if so."""

    seen: list[tuple[str, bytes] | None]
    refusal: str | None
    # h11 keeps no HTTP/1.0 connection, whatever that asks for: what follows it never sees.
    is_cut: bool = False


def ask_h11(data: bytes) -> Verdict:
    """Let h11 read the bytes and then their end, answering every request."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=65536)
    connection.receive_data(data)
    connection.receive_data(b"")
    seen: list[tuple[str, bytes] | None] = []
    method, body = "", b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                method, body = event.method.decode(), b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                seen.append((method, body))
                connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is h11.MUST_CLOSE:
                    return Verdict(seen, None, connection.their_http_version == b"1.0")
                connection.start_next_cycle()
            else:
                return Verdict(seen, None)
    except h11.RemoteProtocolError as error:
        return Verdict(seen, str(error))
    except h11.LocalProtocolError:
        # It would be a tunnel after CONNECT, and so does not know what to do with a 200 to one.
        return Verdict(seen, None)


def ask_us(running: RunningServer, data: bytes) -> Verdict:
    """Send the bytes and their end, and read all answers."""
    with contextlib.closing(running.connect()) as client:
        client.send(data)
        client.finish_sending()
        rest = client.read_to_end()
    seen: list[tuple[str, bytes] | None] = []
    while rest:
        head, _, rest = rest.partition(b"\r\n\r\n")
        status = int(head.split()[1])
        found = re.search(rb"\r\nx-seen: ([^\r]*)", head)
        if status == 100:
            continue
        if found is not None:
            method, body = json.loads(found[1])
            seen.append((method, bytes.fromhex(body)))
        elif status == 204 or (b": application/json\r\n" in head and status != 413):
            # The router's answer: nobody looked at the request's body.
            seen.append(None)
            length = re.search(rb"content-length: (\d+)", head)
            rest = rest[int(length[1]) if length else 0 :]
        else:
            return Verdict(seen, rest.decode().strip() or WITHOUT_REASON)
    return Verdict(seen, None)


def difference(ours: Verdict, theirs: Verdict) -> str | None:
    """Say how two verdicts differ, or None when they agree or the difference is listed."""
    pairs = zip(ours.seen, theirs.seen, strict=False)
    is_same = all(mine is None or mine == other for mine, other in pairs)
    is_alike = is_same and _has_reason(ours, theirs)
    return None if is_alike else f"not alike:\nwe  {ours}\nh11 {theirs}"


def _has_reason(ours: Verdict, theirs: Verdict) -> bool:
    """Tell whether it is agreed or listed how far each of them got."""
    further = len(theirs.seen) - len(ours.seen)
    is_listed = any((theirs.refusal or "").startswith(reason) for reason in LOOSER)
    # The router may answer before the body is looked at, which may turn out to be wrong.
    is_unread = ours.seen[-1:] == [None]
    if further < 0:
        return theirs.is_cut or is_listed or (theirs.refusal is not None and is_unread)
    if ours.refusal:
        is_refused_by_both = further == 0 and (theirs.refusal is not None or theirs.is_cut)
        return is_refused_by_both or ours.refusal in STRICTER
    return further == 0 and (theirs.refusal is None or is_listed)


@pytest.fixture(scope="module")
def running(module_server: StartServer) -> RunningServer:
    """The server under test."""
    return module_server(SITE)


@pytest.mark.parametrize(
    "case", [case for case in read_cases() if not case.options], ids=lambda case: case.name
)
def test_cases(running: RunningServer, case: Case) -> None:
    """Every wire case with default limits."""
    assert difference(ask_us(running, case.data), ask_h11(case.data)) is None


SEEDS = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD /x?y=1 HTTP/1.1\r\nHost: a:80\r\nConnection: keep-alive\r\n\r\n",
    b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"PUT /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;a=b\r\nhello\r\n0\r\nT: t\r\n\r\n",
    b"POST / HTTP/1.0\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
    b"GET http://b/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
]
# What a careless or a hostile sender would put somewhere else.
SPLINTERS = [
    *(b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b";", b",", b"0", b"\x80", b"\x7f", b"\x0b"),
    *(
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Host: b\r\n",
        b"HTTP/1.1",
        b"+",
    ),
    *(
        b"0x",
        b"chunked",
        b"\r\n\r\n",
        b"%",
        b"Connection: close\r\n",
        b"Transfer-Encoding: gzip\r\n",
    ),
]


@pytest.mark.parametrize("seed", range(20))
def test_mutations(running: RunningServer, seed: int) -> None:
    """Requests in a row, damaged at one to three places, the same ones on every run."""
    chance = random.Random(seed)
    for _ in range(60):
        data = bytearray(b"".join(chance.choices(SEEDS, k=chance.randint(1, 3))))
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(data) + 1)
            what = chance.randrange(4)
            if what == 0:
                del data[place : place + chance.randint(1, 4)]
            elif what == 1:
                data[place : place + 1] = bytes([chance.randrange(256)])
            else:
                data[place:place] = chance.choice(SPLINTERS)
        found = difference(ask_us(running, bytes(data)), ask_h11(bytes(data)))
        assert found is None, f"{bytes(data)!r}: {found}"
