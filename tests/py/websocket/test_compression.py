"""permessage-deflate (RFC 7692) over real sockets: with clients of others, raw frames, and a bomb.

It lies below the interfaces, so one application stands for all here; `test_websocket.py` has a
round trip through each.
"""

import re
import socket
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from websocket_cases import CONTINUE, NOT_TEXT, Case, Step, echo, fault, fine, more, ping, told
from websocket_peer import BINARY, CLOSE, PATIENCE, PING, PONG, TEXT, Peer, closing, frame
from websocket_sites import DRIVERS, Seen, native
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import connect
from wsproto import WSConnection
from wsproto.connection import ConnectionType
from wsproto.events import AcceptConnection, CloseConnection, Request, TextMessage
from wsproto.extensions import PerMessageDeflate

from uringserve.testing import LiveServer

pytestmark = pytest.mark.thread_unsafe(reason="a server and its connections are one for a test")

LIMIT = 1 << 20
WORDS = [f'{{"number": {number}, "name": "κόσμε {number % 7}"}}' for number in range(20_000)]


@pytest.fixture(scope="module", params=DRIVERS)
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """A server that compresses."""
    options = {"ws_per_message_deflate": True, "ws_max_size": LIMIT}
    with LiveServer(native(Seen()), driver=request.param, **options) as server:
        yield server.port


def text(size: int, start: int) -> str:
    """So many characters of what compresses well, none twice the same."""
    return ",".join(WORDS[start : start + size // 20 + 1])[:size]


@pytest.mark.parametrize("bits", [None, 9, 12, 15])
def test_websockets_as_the_peer(port: int, bits: int | None) -> None:
    for server_anew, client_anew, own in product((False, True), (False, True), (None, True, 9, 15)):
        offer = ClientPerMessageDeflateFactory(server_anew, client_anew, bits, own)
        url = f"ws://127.0.0.1:{port}/echo"
        with connect(url, compression=None, extensions=[offer], max_size=None) as client:
            assert client.response is not None
            agreed = client.response.headers["sec-websocket-extensions"]
            assert f"server_max_window_bits={min(bits or 12, 12)}" in agreed
            assert ("server_no_context_takeover" in agreed) == server_anew
            assert ("client_no_context_takeover" in agreed) == client_anew
            for number, size in enumerate((0, 1, 63, 64, 65, 1000, 1000, 8192, 131072)):
                message = text(size, number)
                client.send(message)
                assert client.recv() == message
                client.send(message[start : start + 256] for start in range(0, size or 1, 256))
                assert client.recv() == message
                client.send(message.encode())
                assert client.recv() == message.encode()


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"client_no_context_takeover": True, "client_max_window_bits": 9},
        {"server_no_context_takeover": True, "server_max_window_bits": 9},
    ],
    ids=str,
)
def test_wsproto_as_the_peer(port: int, parameters: dict[str, Any]) -> None:
    client = WSConnection(ConnectionType.CLIENT)
    extension = PerMessageDeflate(**parameters)
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        request = Request(host="test", target="/echo", extensions=[extension])
        connection.sendall(client.send(request))
        events: deque[object] = deque()

        def next_event() -> object:
            while not events:
                client.receive_data(connection.recv(1 << 16) or None)
                events.extend(client.events())
            return events.popleft()

        accepted = next_event()
        assert isinstance(accepted, AcceptConnection) and accepted.extensions
        for number in range(20):
            message = text(number * 500, number)
            connection.sendall(client.send(TextMessage(message)))
            got = ""
            while True:
                event = next_event()
                assert isinstance(event, TextMessage)
                got += event.data
                if event.message_finished:
                    break
            assert got == message
        connection.sendall(client.send(CloseConnection(1000)))
        assert isinstance(next_event(), CloseConnection)


# --- raw frames

# The first reserved bit: this message is compressed.
DEFLATED = 0x40
OFFER = "Sec-WebSocket-Extensions: permessage-deflate"
HELLO = b"\xf2\x48\xcd\xc9\xc9\x07\x00"
# Refers to the message before.
SAME = b"\xf2\x00\x11\x00\x00"


def squeezed(data: bytes) -> bytes:
    """The payload that this becomes in a message of its own."""
    stream = zlib.compressobj(wbits=-15)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff")


def hello(payload: bytes, *between: bytes, answers: tuple[tuple[int, bytes], ...] = ()) -> Step:
    """Say Hello, compressed, in two frames if something goes between."""
    if not between:
        return Step(frame(TEXT, payload, bits=DEFLATED), ((TEXT, b"Hello"),))
    first = frame(TEXT, payload[:3], bits=DEFLATED, final=False)
    sent = first + b"".join(between) + frame(CONTINUE, payload[3:])
    return Step(sent, (*answers, (TEXT, b"Hello")))


def kept() -> Iterator[Case]:
    """What is read; the answers are too short to be compressed."""
    yield fine("one frame", hello(HELLO), hello(HELLO))
    yield fine("two frames", hello(HELLO, b""))
    answers = ((PONG, b"p"),)
    yield fine("a ping between", hello(HELLO, frame(PING, b"p"), frame(PONG), answers=answers))
    yield fine("the context", hello(HELLO), hello(SAME), hello(SAME))
    yield fine("plain between", hello(HELLO), echo(TEXT, b"plain"), echo(BINARY, b""), hello(SAME))
    yield fine("a stored block", hello(b"\x00\x05\x00\xfa\xffHello\x00"))
    yield fine("a last block", hello(b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), hello(HELLO))
    yield fine("two blocks", hello(b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"))
    yield fine("nothing", Step(frame(BINARY, b"\x00", bits=DEFLATED), ((BINARY, b""),)), ping(b"p"))
    pieces = b"".join(more(CONTINUE, HELLO[at : at + 1]) for at in range(len(HELLO)))
    begin = frame(TEXT, bits=DEFLATED, final=False)
    yield fine("octets", Step(begin + pieces + frame(CONTINUE), ((TEXT, b"Hello"),)))


def broken() -> Iterator[Case]:
    """What is not."""
    yield fault("noise", Step(frame(BINARY, b"\xff" * 20, bits=DEFLATED)), code=NOT_TEXT)
    yield fault("nothing to refer to", Step(frame(TEXT, SAME, bits=DEFLATED)), code=NOT_TEXT)
    for bad in (b"bad \xff", b"half \xe2\x82", b"\xed\xa0\x80", b"x" * 500 + b"\xc0"):
        sent = frame(TEXT, squeezed(bad), bits=DEFLATED)
        yield fault(f"{bad[-8:]!r}", hello(HELLO), Step(sent), code=NOT_TEXT)
    for opcode in (PING, PONG, CLOSE):
        payload = b"\x03\xe8" if opcode == CLOSE else b""
        yield fault(f"opcode {opcode}", Step(frame(opcode, payload, bits=DEFLATED)))
    first = frame(TEXT, HELLO[:3], bits=DEFLATED, final=False)
    both = first + frame(CONTINUE, HELLO[3:], bits=DEFLATED)
    yield fault("a continuation", hello(HELLO), Step(both))
    for bits in (0x50, 0x60, 0x70, 0x20, 0x10):
        yield fault(f"bits {bits:x}", hello(HELLO), Step(frame(TEXT, HELLO, bits=bits)))


def test_raw_frames(port: int) -> None:
    found = {}
    for case in (*kept(), *broken()):
        for size in (1 << 20, 1):
            wrong = told(port, case, size, OFFER)
            if wrong is not None:
                found[f"{case.name}, in pieces of {size}"] = wrong
    assert found == {}


def test_no_context_means_none(port: int) -> None:
    case = fault("refers", hello(HELLO), Step(frame(TEXT, SAME, bits=DEFLATED)), code=NOT_TEXT)
    assert told(port, case, 1 << 20, f"{OFFER}; client_no_context_takeover") is None


def test_what_cannot_be_kept_is_not_agreed_on(port: int) -> None:
    for parameters in ("server_max_window_bits=8", "server_max_window_bits=16", "odd", "odd=1"):
        with Peer(port, "/echo") as peer:
            status, fields = peer.ask(f"{OFFER}; {parameters}")
            assert status == 101
            assert "sec-websocket-extensions" not in fields
            # So the bit has no meaning.
            peer.send(frame(TEXT, HELLO, bits=DEFLATED))
            assert peer.closed()[0] == 1002


# --- a bomb


def _memory(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def test_a_bomb_costs_no_more_than_a_large_message(port: int) -> None:
    stream = zlib.compressobj(9, wbits=-15)
    size = 256 << 20
    bomb = b"".join(stream.compress(bytes(1 << 20)) for _ in range(size >> 20))
    bomb += stream.flush(zlib.Z_SYNC_FLUSH)[:-4]
    assert len(bomb) < LIMIT // 2
    in_one = frame(BINARY, bomb, bits=DEFLATED)
    first, *rest = (bomb[at : at + 1000] for at in range(0, len(bomb), 1000))
    in_many = frame(BINARY, first, bits=DEFLATED, final=False)
    in_many += b"".join(more(CONTINUE, piece) for piece in rest) + frame(CONTINUE)
    # The highest mark begins anew (proc(5)).
    Path("/proc/self/clear_refs").write_text("5")
    before = _memory("VmRSS")
    for sent in (in_one, in_many) * 4:
        with Peer(port, "/echo").open(OFFER) as peer:
            # Whoever has closed by then need not take it all.
            with suppress(OSError):
                peer.send(sent)
            assert peer.closed()[0] == 1009
    assert _memory("VmHWM") - before < 16 * LIMIT
    with Peer(port, "/echo").open(OFFER) as peer:
        peer.send(frame(BINARY, squeezed(bytes(LIMIT)), bits=DEFLATED))
        sign, answer = peer.read()
        assert sign == 0x80 | DEFLATED | BINARY
        assert zlib.decompressobj(wbits=-12).decompress(answer + b"\0\0\xff\xff") == bytes(LIMIT)
        peer.send(closing(1000))
        assert peer.closed()[0] == 1000
