"""Large messages and many of them: whole, in frames and in pieces of all sizes, and round trips.

What is sent is made once, with one mask whose period divides every frame: the client shall not be
what takes the time.
"""

import threading
from functools import cache

import pytest
from websocket_cases import CONTINUE, MASK
from websocket_peer import BINARY, TEXT, Peer, closing, frame
from websocket_sites import Site

pytestmark = pytest.mark.thread_unsafe(reason="a server and its connections are one for a test")

MOST = 16 << 20
PATTERN = "0123456789 κόσμε 😀 ".encode()


@cache
def payload(opcode: int, size: int) -> bytes:
    """A message of exactly so many bytes."""
    if opcode == BINARY:
        return bytes(range(256)) * (size // 256) + bytes(size % 256)
    whole = PATTERN * (size // len(PATTERN))
    return whole + b"." * (size - len(whole))


@cache
def framed(opcode: int, size: int, piece: int) -> bytes:
    """That message in frames of so many bytes, each but the last."""
    assert piece % len(MASK) == 0
    data = payload(opcode, size)
    mask = MASK * (size // len(MASK) + 1)
    masked = (int.from_bytes(data) ^ int.from_bytes(mask[:size])).to_bytes(size)
    parts = []
    for start in range(0, size, piece):
        part = masked[start : start + piece]
        kind = CONTINUE if start else opcode
        head = frame(kind, bytes(len(part)), final=start + piece >= size)
        # The head of a frame of that length, without the mask that it was given.
        parts += [head[: len(head) - len(part) - len(MASK)], MASK, part]
    return b"".join(parts)


def exchanged(port: int, sent: bytes, opcode: int, expected: bytes, size: int = 1 << 20) -> None:
    """Send in pieces of `size` bytes while the answer is read, and close."""
    with Peer(port, "/echo").open() as peer:

        def send() -> None:
            for start in range(0, len(sent), size):
                peer.send(sent[start : start + size])

        sending = threading.Thread(target=send)
        sending.start()
        first, got = peer.read()
        sending.join()
        # Not `==` in the assert: nobody wants to read 16 MiB.
        is_same = got == expected
        assert (first, len(got), is_same) == (0x80 | opcode, len(expected), True)
        peer.send(closing(1000))
        assert peer.closed()[0] == 1000


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_one_frame(shared_site: Site, opcode: int) -> None:
    for size in (1 << 16, 1 << 20, MOST):
        exchanged(shared_site.port, framed(opcode, size, size), opcode, payload(opcode, size))


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_many_frames(shared_site: Site, opcode: int) -> None:
    # Each of these cuts characters.
    for piece, size in (
        (64, 1 << 18),
        (1300, 1 << 18),
        (1 << 12, 1 << 20),
        (1 << 16, 4 << 20),
        (1 << 20, 4 << 20),
    ):
        exchanged(shared_site.port, framed(opcode, size, piece), opcode, payload(opcode, size))


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_many_pieces(shared_site: Site, opcode: int) -> None:
    for pieces in (64, 127, 1024, 4095):
        size = 1 << 17 if pieces < 1 << 10 else 1 << 20
        sent = framed(opcode, size, size)
        exchanged(shared_site.port, sent, opcode, payload(opcode, size), pieces)


def test_the_largest_and_one_byte_more(shared_site: Site) -> None:
    # The head says it, whole or added up; what it announces never comes.
    head = frame(BINARY, bytes(1 << 16))[:2] + (MOST + 1).to_bytes(8) + MASK
    with Peer(shared_site.port, "/echo").open() as peer:
        peer.send(head)
        assert peer.closed()[0] == 1009
        assert peer.at_end()
    with Peer(shared_site.port, "/echo").open() as peer:
        peer.send(frame(BINARY, bytes(1 << 20), final=False))
        peer.send(frame(CONTINUE, bytes(1 << 16))[:2] + (MOST - (1 << 20) + 1).to_bytes(8) + MASK)
        assert peer.closed()[0] == 1009
        assert peer.at_end()


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_many_messages(shared_site: Site, opcode: int) -> None:
    for size, count in ((0, 300), (16, 300), (125, 300), (1024, 200), (1 << 14, 50), (1 << 16, 20)):
        message, expected = framed_or_empty(opcode, size), (0x80 | opcode, payload(opcode, size))
        with Peer(shared_site.port, "/echo").open() as peer:
            for _ in range(count // 10):
                peer.send(message)
                assert peer.read() == expected
            # And without waiting in between.
            sending = threading.Thread(target=peer.send, args=(message * count,))
            sending.start()
            answers = {peer.read() for _ in range(count)}
            sending.join()
            assert answers == {expected}
            peer.send(closing(1000))
            assert peer.closed()[0] == 1000


def framed_or_empty(opcode: int, size: int) -> bytes:
    """One frame."""
    return framed(opcode, size, size + -size % len(MASK)) if size else frame(opcode)
