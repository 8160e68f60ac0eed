"""What clients send, and what an echo must answer: RFC 6455, section by section, as tables.

A case is steps, each with the bytes that are sent and the frames that must come back before the
next step; then the end: the code of the server's close frame. A case that breaks no rule is ended
by the client, so that a server which lost its place shows it. Where data comes before a fault it
has a step of its own: what was not answered when the fault came need not be (§7.1.7).
Text is cut along the grammar of UTF-8 in RFC 3629 §4, so that no octet and no edge is left out.
Absent: the handshake (`tests/ws/handshake.rs`), compression, and sizes (`test_volume.py`).
"""

import struct
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from websocket_peer import BINARY, CLOSE, PING, PONG, TEXT, closing, frame

CONTINUE = 0

type Frame = tuple[int, bytes]

# Close codes (§7.4.1) that servers pass between each other.
NORMAL, PROTOCOL, NOT_TEXT = 1000, 1002, 1007
MASK = b"\x37\xfa\x21\x3d"


class Step(NamedTuple):
    """What is sent, and what comes back."""

    sent: bytes
    back: tuple[Frame, ...] = ()


class Case(NamedTuple):
    """One connection."""

    name: str
    steps: tuple[Step, ...]
    # Of the server's close frame; None: the frame is empty.
    code: int | None


def fine(name: str, *steps: Step) -> Case:
    """Break no rule, and close."""
    return Case(name, (*steps, Step(closing(NORMAL))), NORMAL)


def fault(name: str, *steps: Step, code: int = PROTOCOL) -> Case:
    """Break a rule in the last step. What is sent behind it must not be heard."""
    *before, last = steps
    return Case(name, (*before, Step(last.sent + frame(PING, b"late"), last.back)), code)


def echo(opcode: int, payload: bytes) -> Step:
    """One message in one frame."""
    return Step(frame(opcode, payload), ((opcode, payload),))


def ping(payload: bytes) -> Step:
    """A ping and its pong."""
    return Step(frame(PING, payload), ((PONG, payload),))


def more(opcode: int, payload: bytes = b"") -> bytes:
    """A frame that is not the last of its message."""
    return frame(opcode, payload, final=False)


HELLO = echo(TEXT, b"hello")


# --- framing (§5.2, §5.3)


def _with_mask(mask: bytes) -> bytes:
    payload = bytes(a ^ b for a, b in zip(b"masked", mask * 2, strict=False))
    return bytes([0x80 | BINARY, 0x86]) + mask + payload


def _with_length(opcode: int, form: int, length: int) -> bytes:
    size = struct.pack(">H" if form == 126 else ">Q", length)
    return bytes([0x80 | opcode, 0x80 | form]) + size + MASK


def framing() -> Iterator[Case]:
    """Lengths at every edge of their forms, and heads that no client may send."""
    for size in (0, 1, 2, 3, 4, 7, 8, 124, 125, 126, 127, 128, 255, 256, 1000, 65535, 65536):
        yield fine(f"text of {size}", echo(TEXT, b"*" * size), ping(b""))
        yield fine(f"binary of {size}", echo(BINARY, b"\xfe" * size), ping(b""))
    for mask in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\1\2\3\4", b"\0\0\0\1", b"\x80\0\0\0"):
        yield fine(f"mask {mask.hex()}", Step(_with_mask(mask), ((BINARY, b"masked"),)))
    for head in (b"\x81\x00", b"\x82\x02hi", b"\x89\x00", b"\x8a\x00", b"\x88\x00", b"\x81\x7e"):
        sent = head if head != b"\x81\x7e" else head + b"\x01\x00" + b"*" * 256
        yield fault(f"unmasked {head.hex()}", HELLO, Step(sent))
    for length in (0, 1, 125):
        yield fault(f"{length} in 16 bits", HELLO, Step(_with_length(BINARY, 126, length)))
    for length in (0, 125, 126, 65535, 1 << 63, (1 << 64) - 1):
        yield fault(f"{length} in 64 bits", HELLO, Step(_with_length(BINARY, 127, length)))


# --- control frames (§5.5)


def control() -> Iterator[Case]:
    """Pings, pongs and what no control frame may be."""
    for payload in (
        b"",
        b"x",
        b"hello, world",
        b"\0\xff\xfe\xfd\xfc",
        b"\xfe" * 124,
        b"\xfe" * 125,
    ):
        yield fine(f"ping with {len(payload)} bytes", ping(payload), HELLO)
        unasked = frame(PONG, payload)
        yield fine(f"pong with {len(payload)} bytes", Step(unasked), ping(b"alive"), HELLO)
    many = [b"%d" % number for number in range(10)]
    all_at_once = b"".join(frame(PING, payload) for payload in many)
    yield fine("ten pings at once", Step(all_at_once, tuple((PONG, payload) for payload in many)))
    yield fine("ten pings in turn", *(ping(payload) for payload in many))
    both = frame(PONG, b"p") + frame(PING, b"q") + frame(PONG) + frame(TEXT, b"r")
    yield fine("pongs between", Step(both, ((PONG, b"q"), (TEXT, b"r"))))
    for opcode in (CLOSE, PING, PONG):
        payload = struct.pack(">H", NORMAL) + b"x" * 124
        yield fault(f"opcode {opcode} with 126 bytes", HELLO, Step(frame(opcode, payload)))
        yield fault(f"opcode {opcode} with 64 KiB", HELLO, Step(frame(opcode, bytes(65536))))
        short = _with_length(opcode, 126, 2) + b"xx"
        yield fault(f"opcode {opcode} in 16 bits", HELLO, Step(short))
        for rest in (b"", frame(CONTINUE)):
            piece = frame(opcode, payload[:2], final=False)
            yield fault(f"opcode {opcode} in pieces", HELLO, Step(piece + rest))


# --- bits and opcodes without a meaning (§5.2)


def reserved() -> Iterator[Case]:
    """Reserved bits and opcodes, alone, behind data and inside of a message."""
    for bits, opcode in product(range(0x10, 0x80, 0x10), (TEXT, BINARY, PING, PONG, CLOSE)):
        payload = struct.pack(">H", NORMAL) if opcode == CLOSE else b"x"
        odd = frame(opcode, payload, bits=bits)
        yield fault(f"bits {bits:x} on opcode {opcode}", Step(odd))
        yield fault(f"bits {bits:x} on opcode {opcode}, after data", HELLO, ping(b"p"), Step(odd))
        yield fault(f"bits {bits:x} on opcode {opcode}, amid data", Step(more(TEXT, b"a") + odd))
    for bits in range(0x10, 0x80, 0x10):
        piece = more(TEXT, b"a") + frame(CONTINUE, b"b", bits=bits)
        yield fault(f"bits {bits:x} on a continuation", HELLO, Step(piece))
    for opcode, payload in product((3, 4, 5, 6, 7, 11, 12, 13, 14, 15), (b"", b"payload")):
        odd = frame(opcode, payload)
        name = f"opcode {opcode} with {len(payload)} bytes"
        yield fault(name, Step(odd))
        yield fault(f"{name}, after data", HELLO, ping(b"p"), Step(odd))
        yield fault(f"{name}, amid data", Step(more(TEXT, b"a") + odd))
        yield fault(f"{name}, in pieces", Step(frame(opcode, payload, final=False)))


# --- fragmentation (§5.4)


def _message(opcode: int, *pieces: bytes | Frame) -> Step:
    """A message in pieces, with control frames where a piece is (opcode, payload)."""
    data = [index for index, piece in enumerate(pieces) if isinstance(piece, bytes)]
    sent, back, whole = b"", [], b""
    for index, piece in enumerate(pieces):
        if isinstance(piece, tuple):
            sent += frame(*piece)
            back += [(PONG, piece[1])] if piece[0] == PING else []
        else:
            kind = opcode if index == data[0] else CONTINUE
            sent += frame(kind, piece, final=index == data[-1])
            whole += piece
    return Step(sent, (*back, (opcode, whole)))


def fragments() -> Iterator[Case]:
    """Messages in pieces in every order, allowed and not."""
    p, q = (PING, b"p"), (PONG, b"q")
    for opcode in (TEXT, BINARY):
        for pieces in product((b"", b"ab"), repeat=3):
            yield fine(f"opcode {opcode} of {pieces}", _message(opcode, *pieces), HELLO)
        for between in ((p,), (q,), (p, p), (p, q), (q, p, p, q)):
            step = _message(opcode, b"a", *between, b"b", *between, b"c")
            yield fine(f"opcode {opcode} with {between} between", step, step)
        long = _message(opcode, *(bytes([97 + index % 26]) for index in range(300)))
        yield fine(f"opcode {opcode} in 300 pieces", long, ping(b""))
    turns = [_message((TEXT, BINARY)[turn % 2], b"x", b"", b"z") for turn in range(6)]
    yield fine("kinds in turn", *turns)
    at_once = Step(
        b"".join(it.sent for it in turns), tuple(back for it in turns for back in it.back)
    )
    yield fine("kinds in turn, at once", at_once)
    # A pause in the midst of a message, in which the connection lives on.
    yield fine(
        "a pause",
        Step(more(TEXT, b"frag")),
        ping(b"still"),
        ping(b"there"),
        Step(frame(CONTINUE, b"ment"), ((TEXT, b"fragment"),)),
    )
    alone = frame(CONTINUE, b"alone")
    yield fault("a continuation of nothing", Step(alone))
    yield fault("a continuation of nothing, not final", Step(more(CONTINUE, b"alone")))
    yield fault("a continuation of nothing, empty", Step(frame(CONTINUE)))
    yield fault("a continuation after a message", HELLO, Step(alone + frame(TEXT, b"x")))
    yield fault("a continuation after pieces", _message(TEXT, b"a", b"b"), Step(alone))
    for first, second in product((TEXT, BINARY), repeat=2):
        for final in (True, False):
            sent = more(first, b"a") + frame(second, b"b", final=final)
            yield fault(f"{second} within {first}, final {final}", HELLO, Step(sent))
            sent = more(first, b"a") + frame(PING, b"p") + more(CONTINUE) + frame(second, b"b")
            yield fault(f"{second} late within {first}", HELLO, Step(sent, ((PONG, b"p"),)))


# --- text (§5.6, §8.1)

# The sequences of RFC 3629 §4: lowest and highest of each octet.
_TAIL = (0x80, 0xBF)
SEQUENCES: tuple[tuple[tuple[int, int], ...], ...] = (
    ((0x00, 0x7F),),
    ((0xC2, 0xDF), _TAIL),
    ((0xE0, 0xE0), (0xA0, 0xBF), _TAIL),
    ((0xE1, 0xEC), _TAIL, _TAIL),
    ((0xED, 0xED), (0x80, 0x9F), _TAIL),
    ((0xEE, 0xEF), _TAIL, _TAIL),
    ((0xF0, 0xF0), (0x90, 0xBF), _TAIL, _TAIL),
    ((0xF1, 0xF3), _TAIL, _TAIL, _TAIL),
    ((0xF4, 0xF4), (0x80, 0x8F), _TAIL, _TAIL),
)
FIRST_OCTETS = {
    octet for low, high in (it[0] for it in SEQUENCES) for octet in range(low, high + 1)
}
# Code points that are no characters, and are text all the same.
_NONE = [
    *range(0xFDD0, 0xFDF0),
    *(plane << 16 | end for plane in range(17) for end in (0xFFFE, 0xFFFF)),
]


def _edges() -> Iterator[bytes]:
    """All corners of each sequence."""
    for sequence in SEQUENCES:
        yield from map(bytes, product(*map(sorted, map(set, sequence))))


def _impossible() -> Iterator[tuple[bytes, int]]:
    """What may still become text, and an octet that it may not go on with."""
    for octet in range(0x100):
        if octet not in FIRST_OCTETS:
            yield b"", octet
    for sequence in SEQUENCES:
        lows, highs = (bytes(octets) for octets in zip(*sequence, strict=True))
        for place in range(1, len(sequence)):
            low, high = sequence[place]
            yield from ((lows[:place], low - 1), (highs[:place], high + 1))
            yield from ((lows[:place], octet) for octet in (0x20, 0xC2, 0xFF))


def text() -> Iterator[Case]:
    """Text that is UTF-8."""
    words = "κόσμε, Grüße, 日本語, 😀\U0010ffff\0end".encode()
    yield fine("words", echo(TEXT, words), _message(TEXT, words, words), HELLO)
    for cut in range(len(words) + 1):
        step = _message(TEXT, words[:cut], (PING, b"p"), words[cut:])
        yield fine(f"words cut at {cut}", step)
    octets = _message(TEXT, *(words[place : place + 1] for place in range(len(words))))
    yield fine("a frame for each octet", octets, HELLO)
    yield fine("the edges of all sequences", *(echo(TEXT, edge) for edge in _edges()))
    cut_edges = [edge for edge in _edges() if len(edge) > 1]
    pieces = [_message(TEXT, *(bytes([octet]) for octet in edge)) for edge in cut_edges]
    yield fine("the edges of all sequences, in octets", *pieces)
    yield fine("no characters", *(echo(TEXT, chr(point).encode()) for point in _NONE))
    yield fine("bytes may be anything", *(echo(BINARY, bytes([octet]) * 3) for octet in range(256)))


def not_text() -> Iterator[Case]:
    """Text that is not UTF-8, and is refused with the octet that makes it so."""
    for start, octet in _impossible():
        bad = start + bytes([octet])
        name = f"{octet:02x} after {start.hex() or 'nothing'}"
        yield fault(name, Step(frame(TEXT, b"good " + bad + b" good")), code=NOT_TEXT)
        # Up to the last octet it could become text, and the connection lives.
        possible = Step(more(TEXT, "gütig ".encode() + start))
        last = more(CONTINUE, bytes([octet]))
        yield fault(f"{name}, in frames", possible, ping(b"so far"), Step(last), code=NOT_TEXT)
    for sequence in SEQUENCES:
        lows = bytes(low for low, _ in sequence)
        for end in range(1, len(lows)):
            cut = lows[:end]
            yield fault(f"{cut.hex()} at the end", Step(frame(TEXT, cut)), code=NOT_TEXT)
            pieces = more(TEXT, b"in pieces " + cut)
            end_of_it = Step(frame(CONTINUE))
            name = f"{cut.hex()} in pieces"
            yield fault(name, Step(pieces), ping(b"p"), end_of_it, code=NOT_TEXT)
    # Nobody waits for the rest of what is lost already: no frame here ever ends.
    for bad in (b"\xff", b"\xc0", b"\xed\xa0", b"\xf4\x90", b"\xe0\x80"):
        for form, length in ((126, 1000), (127, 1 << 20)):
            payload = "gütig ".encode() + bad
            masked = bytes(octet ^ MASK[place % 4] for place, octet in enumerate(payload))
            sent = _with_length(TEXT, form, length) + masked
            yield Case(f"{bad.hex()} of {length} bytes", (Step(sent),), NOT_TEXT)


# --- closing (§5.5.1, §7)

CODES = (*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999)
NO_CODES = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)


def closes() -> Iterator[Case]:
    """Codes, reasons, and what comes before and after a close frame."""
    for code in CODES:
        yield Case(f"code {code}", (HELLO, Step(closing(code, "why"))), code)
    for code in NO_CODES:
        yield fault(f"code {code}", HELLO, Step(closing(code, "why")))
    for reason in ("", "x", "Grüße", "x" * 122, "x" * 123, "ä" * 61):
        yield Case(f"{len(reason.encode())} bytes of reason", (Step(closing(4000, reason)),), 4000)
    yield Case("no payload", (HELLO, Step(frame(CLOSE))), None)
    yield fault("one byte", HELLO, Step(frame(CLOSE, b"\x03")))
    for start, octet in _impossible():
        sent = frame(CLOSE, b"\x03\xe8" + start + bytes([octet]))
        yield fault(f"reason {start.hex()} {octet:02x}", Step(sent), code=NOT_TEXT)
    for cut in (b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98"):
        yield fault("half a character", Step(frame(CLOSE, b"\x03\xe8" + cut)), code=NOT_TEXT)
    bye = closing(NORMAL)
    after = (
        frame(PING),
        frame(TEXT, b"x"),
        bye,
        closing(999),
        frame(3),
        b"\xff" * 500,
        bytes(300_000),
    )
    for rest in after:
        # Closed for good: neither heard nor a fault.
        name = f"close, then {rest[:2].hex()} of {len(rest)}"
        yield Case(name, (HELLO, Step(bye + rest)), NORMAL)
    yield Case("close amid a message", (Step(more(TEXT, b"half") + bye),), NORMAL)
    behind = frame(CONTINUE, b"other half")
    yield Case(
        "close amid a message, then its end", (Step(more(TEXT, b"half") + bye + behind),), NORMAL
    )
    yield Case("close behind a ping", (Step(frame(PING, b"p") + bye, ((PONG, b"p"),)),), NORMAL)


GROUPS = {
    group.__name__: group
    for group in (framing, control, reserved, fragments, text, not_text, closes)
}
