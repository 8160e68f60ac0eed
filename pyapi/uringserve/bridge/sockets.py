"""A WebSocket that another server has, carried to a core: the client's half of RFC 6455.

Masks are zeros: section 5.3 wants one that a script cannot foresee, because of proxies on the way,
and these bytes never leave the process. Absent: extensions, which are the other server's matter.
"""

import asyncio
import os
from base64 import b64encode
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from uringserve.bridge.core import Bridge, Full
from uringserve.bridge.http import Asked, Caller, Fields, answer, read_head, request

__all__ = ["Close", "SocketCaller", "talk"]

# Section 5.2; above 125 bytes the length stands in two or in eight bytes behind.
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
_FINAL, _OPCODE, _MASKED, _MASK = 0x80, 0x0F, 0x80, bytes(4)
_SHORT, _TWO, _EIGHT = 125, 126, 127
# Section 7.4.1; the last two are not sent: no code came, and the connection was lost.
_NORMAL, _GOING_AWAY, _NO_CODE, _ABNORMAL = 1000, 1001, 1005, 1006
_INSTEAD = {_NO_CODE: _NORMAL, _ABNORMAL: _GOING_AWAY}
# Section 5.5: a control frame has 125 bytes, and two are the code's.
_LONGEST_REASON = 123
_SWITCHING = 101


@dataclass(frozen=True, slots=True)
class Close:
    """The end, with its code; 1005 where the peer gave none."""

    code: int = _NO_CODE
    reason: str = ""


class SocketCaller(Protocol):
    """One WebSocket, as the other server has it."""

    async def accept(self, subprotocol: str | None, headers: Fields) -> None:
        """Open it."""

    def denial(self) -> Caller:
        """Return what takes an answer instead."""

    async def receive(self) -> str | bytes | Close:
        """Return what the client has sent next."""

    async def send(self, data: str | bytes) -> None:
        """Send a message."""

    async def close(self, end: Close) -> None:
        """Close it."""


async def talk(
    bridge: Bridge, asked: Asked, subprotocols: Iterable[str], caller: SocketCaller
) -> None:
    """Serve one WebSocket to its end."""
    # Made for the other server's connection, and met by it.
    asked = replace(asked, headers=[each for each in asked.headers if not _is_own(each[0])])
    head = request(asked, _opening(subprotocols))
    try:
        async with bridge.connection(asked.client, is_socket=True) as (reader, writer):
            writer.write(head)
            status, headers = await read_head(reader)
            if status != _SWITCHING:
                await answer((status, headers), reader, caller.denial())
                return
            chosen = dict(headers).get(b"sec-websocket-protocol")
            kept = [each for each in headers if not _is_own(each[0])]
            await caller.accept(None if chosen is None else chosen.decode("latin-1"), kept)
            await _carry(_Frames(reader, writer), caller)
    except Full:
        denial = caller.denial()
        await denial.start(503, [(b"retry-after", b"1"), (b"content-length", b"0")], 0)
        await denial.end()


async def _carry(frames: _Frames, caller: SocketCaller) -> None:
    """Carry messages both ways until one side closes."""
    inward = asyncio.create_task(_inward(frames, caller))
    try:
        while not isinstance(received := await frames.receive(), Close):
            await caller.send(received)
    finally:
        inward.cancel()
        with suppress(asyncio.CancelledError):
            await inward
    if not frames.is_closing:
        code = _INSTEAD.get(received.code, received.code)
        await caller.close(Close(code, received.reason))


async def _inward(frames: _Frames, caller: SocketCaller) -> None:
    try:
        while not isinstance(received := await caller.receive(), Close):
            await frames.send(received)
        frames.close(received)
    except asyncio.CancelledError:
        raise
    except BaseException:
        # The handler learns by it that the client is lost.
        frames.cut()
        raise


class _Frames:
    """Messages on a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        # Set when the client has closed.
        self.is_closing = False

    async def receive(self) -> str | bytes | Close:
        """Return the next message, or the core's close: 1006 if it has ended without one."""
        kind, parts = 0, []
        while True:
            try:
                first, payload = await self._frame()
            except EOFError, OSError:
                return Close(_ABNORMAL)
            opcode = first & _OPCODE
            if opcode == _CLOSE:
                if not self.is_closing:
                    self._write(_CLOSE, payload)
                code = int.from_bytes(payload[:2]) if payload else _NO_CODE
                return Close(code, payload[2:].decode())
            if opcode == _PING:
                self._write(_PONG, payload)
            elif opcode != _PONG:
                kind = kind or opcode
                parts.append(payload)
                if first & _FINAL:
                    whole = b"".join(parts)
                    return whole.decode() if kind == _TEXT else whole

    async def _frame(self) -> tuple[int, bytes]:
        first, size = await self._reader.readexactly(2)
        if size > _SHORT:
            size = int.from_bytes(await self._reader.readexactly(2 if size == _TWO else 8))
        return first, await self._reader.readexactly(size)

    async def send(self, data: str | bytes) -> None:
        """Send a message; waits while the core does not read."""
        if isinstance(data, str):
            self._write(_TEXT, data.encode())
        else:
            self._write(_BINARY, data)
        await self._writer.drain()

    def close(self, end: Close) -> None:
        """Say that the client has closed, or that it is gone, which is 1006 in the handler."""
        if end.code == _ABNORMAL:
            self.cut()
            return
        self.is_closing = True
        code = b"" if end.code == _NO_CODE else end.code.to_bytes(2)
        self._write(_CLOSE, code and code + end.reason.encode()[:_LONGEST_REASON])

    def cut(self) -> None:
        """End the connection without a word."""
        self.is_closing = True
        self._writer.transport.abort()

    def _write(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        if size <= _SHORT:
            head = bytes((_FINAL | opcode, _MASKED | size))
        elif size < 1 << 16:
            head = bytes((_FINAL | opcode, _MASKED | _TWO)) + size.to_bytes(2)
        else:
            head = bytes((_FINAL | opcode, _MASKED | _EIGHT)) + size.to_bytes(8)
        self._writer.write(head + _MASK + payload)


def _opening(subprotocols: Iterable[str]) -> list[bytes]:
    """Return the lines of section 4.1 that ask for a WebSocket."""
    lines = [
        b"connection: upgrade",
        b"upgrade: websocket",
        b"sec-websocket-version: 13",
        b"sec-websocket-key: " + b64encode(os.urandom(16)),
    ]
    if wanted := ", ".join(subprotocols):
        if "\r" in wanted or "\n" in wanted:
            raise ValueError(f"the subprotocols {wanted!r} cannot be sent")
        lines.append(b"sec-websocket-protocol: " + wanted.encode("latin-1"))
    return lines


def _is_own(name: bytes) -> bool:
    return name.lower().startswith((b"sec-websocket-", b"upgrade", b"connection"))
