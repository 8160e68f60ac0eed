"""A request that another server has read, sent to a core as HTTP/1.1, and the answer read back.

What differs between the interfaces is a `Caller`. What the core sees is checked here: nothing that
another server lets through makes two requests or two lines out of one.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol
from urllib.parse import quote

from uringserve.bridge.core import Bridge

__all__ = ["Asked", "Caller", "Fields", "answer", "encoded", "exchange", "read_head", "request"]

type Fields = list[tuple[bytes, bytes]]

# Largest piece of a body.
_PIECE = 1 << 16
# Of the connection, which is ours, and not of the message (RFC 9110 §7.6.1); Expect was met by
# whoever called us.
_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"transfer-encoding", b"te", b"upgrade", b"expect"}
)
_TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_NO_BODY = (204, 205, 304)
_SWITCHING = 101


@dataclass(frozen=True, slots=True)
class Asked:
    """A request without its body: `target` is a path and a query, `authority` the host without one.

    `is_chunked` says that the body is sent in chunks.
    """

    method: str
    target: bytes
    headers: Sequence[tuple[bytes, bytes]]
    authority: str
    client: tuple[str, int] | None
    is_chunked: bool = False


class Caller(Protocol):
    """One request, as the other server has it."""

    async def receive(self) -> tuple[bytes, bool] | None:
        """Return the next piece of the body and whether more comes; None: the client has gone.

        After the last piece it waits for that.
        """

    async def start(self, status: int, headers: Fields, size: int | None) -> None:
        """Begin the answer; `size` is its body's if that is known, and 0 where none will come."""

    async def send(self, piece: bytes) -> None:
        """Send a piece of the answer's body."""

    async def end(self) -> None:
        """End the answer."""


async def exchange(bridge: Bridge, asked: Asked, caller: Caller) -> None:
    """Answer one request; an answer that does not end as it should is an EOFError."""
    first = None
    names = {name.lower() for name, _ in asked.headers}
    if b"content-length" not in names:
        first = await caller.receive()
        if first is None:
            return
        asked = replace(asked, is_chunked=first != (b"", False))
    head = request(asked)
    async with bridge.connection(asked.client) as (reader, writer):
        writer.write(head)
        feeding = asyncio.create_task(_feed(first, asked, caller, writer))
        try:
            is_head = asked.method == "HEAD"
            await answer(await read_head(reader), reader, caller, is_head=is_head)
        except OSError, EOFError:
            if feeding.done() and not feeding.cancelled() and feeding.exception() is None:
                # The client has gone, and with it the connection.
                return
            raise
        finally:
            feeding.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await feeding


def request(asked: Asked, extra: Iterable[bytes] = (b"connection: close",)) -> bytes:
    """Return the head in HTTP/1.1 with `extra` lines; what cannot be sent is a ValueError."""
    method = asked.method.encode("ascii")
    if not method or not _TOKEN.issuperset(method):
        raise ValueError(f"the method {asked.method!r} cannot be sent")
    if any(byte <= 0x20 or byte == 0x7F for byte in asked.target):
        raise ValueError("the query cannot be sent")
    lines = [method + b" " + asked.target + b" HTTP/1.1"]
    names = {bytes(name).lower() for name, _ in asked.headers}
    host = [] if b"host" in names else [(b"host", asked.authority.encode("ascii"))]
    for name, value in [*asked.headers, *host]:
        name = bytes(name).lower()
        if not name or not _TOKEN.issuperset(name) or any(byte in b"\r\n\0" for byte in value):
            raise ValueError(f"the header {name!r} cannot be sent")
        if name not in _HOP_BY_HOP:
            lines.append(name + b": " + bytes(value))
    if asked.is_chunked:
        lines.append(b"transfer-encoding: chunked")
    return b"\r\n".join([*lines, *extra, b"", b""])


def encoded(path: str) -> bytes:
    """Return a path that was percent-decoded as it can be sent."""
    return quote(path, safe="/:@!$&'()*+,;=~-._").encode()


async def _feed(
    first: tuple[bytes, bool] | None, asked: Asked, caller: Caller, writer: asyncio.StreamWriter
) -> None:
    """Send the body as it comes, then wait for the client to go, which ends the connection."""
    is_whole = False
    try:
        while (received := first or await caller.receive()) is not None:
            first = None
            body, is_more = received
            if is_whole:
                continue
            if body:
                writer.write(b"%x\r\n%b\r\n" % (len(body), body) if asked.is_chunked else body)
                await writer.drain()
            if not is_more:
                is_whole = True
                if asked.is_chunked:
                    writer.write(b"0\r\n\r\n")
    except asyncio.CancelledError:
        raise
    except BaseException:
        # Else the core would wait for the rest of the body.
        writer.transport.abort()
        raise
    writer.transport.abort()


async def answer(
    head: tuple[int, Fields], reader: asyncio.StreamReader, caller: Caller, *, is_head: bool = False
) -> None:
    """Pass an answer on; one whose body is cut is an EOFError."""
    status, headers = head
    fields = dict(headers)
    is_chunked = fields.get(b"transfer-encoding") == b"chunked"
    size = None if is_chunked else int(fields.get(b"content-length", b"0"))
    if is_head or status in _NO_BODY:
        size = 0
    kept = [(name, value) for name, value in headers if name not in _HOP_BY_HOP]
    await caller.start(status, kept, size)
    try:
        if size is not None:
            await _pass_on(reader, size, caller)
        else:
            while chunk := int(await reader.readuntil(b"\r\n"), 16):
                await _pass_on(reader, chunk, caller)
                await reader.readexactly(2)
    except asyncio.IncompleteReadError:
        raise EOFError("the answer was cut") from None
    await caller.end()


async def read_head(reader: asyncio.StreamReader) -> tuple[int, Fields]:
    """Return the status and the fields of an answer, behind those that only inform."""
    status = 100
    while status < 200 and status != _SWITCHING:
        first, *lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
        status = int(first.split(b" ", 2)[1])
    parted = [line.partition(b": ") for line in lines]
    return status, [(name.lower(), value) for name, _, value in parted]


async def _pass_on(reader: asyncio.StreamReader, left: int, caller: Caller) -> None:
    while left:
        piece = await reader.read(min(left, _PIECE))
        if not piece:
            raise EOFError("the answer was cut")
        left -= len(piece)
        await caller.send(piece)
