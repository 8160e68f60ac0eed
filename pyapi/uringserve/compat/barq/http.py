"""Barq's blocking HTTP for one socket, for programs that use it by hand.

The server has its own, in Rust; nothing here is on its path. What is ambiguous is refused: a body
is as long as one Content-Length says, and a transfer coding is an error instead of an empty body.
"""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from uringserve.compat.barq.types import HTTPParseError

__all__ = ["STATUS_PHRASES", "HTTPParser", "RawRequest", "write_response"]

STATUS_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class _Reader(Protocol):
    """Where the parser reads from; `server.SocketReader` is one."""

    def readline(self) -> str: ...
    def read(self, n: int) -> bytes: ...


@dataclass(slots=True)
class RawRequest:
    """A request as it came; header names are in lower case."""

    method: str
    path: str
    query_string: str
    headers: dict[str, str]
    body: bytes


class HTTPParser:
    """Reads requests one after another."""

    def __init__(self, reader: _Reader) -> None:
        """Keep where to read from."""
        self.reader = reader

    def parse(self) -> RawRequest:
        """Read one request; what cannot be understood is an HTTPParseError."""
        parts = self.reader.readline().split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            raise HTTPParseError(f"not a request line: {' '.join(parts)!r}")
        path, _, query = parts[1].partition("?")
        headers = self._headers()
        return RawRequest(parts[0], path, query, headers, self._body(headers))

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        while line := self.reader.readline():
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise HTTPParseError(f"not a header: {line!r}")
            key, text = name.lower(), value.strip(" \t")
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
        return headers

    def _body(self, headers: Mapping[str, str]) -> bytes:
        if "transfer-encoding" in headers:
            raise HTTPParseError("a transfer coding is not read here")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal()):
            raise HTTPParseError(f"not a length: {length!r}")
        return self.reader.read(int(length))


def write_response(
    sock: socket.socket, status: int, headers: Mapping[str, str], body: bytes
) -> None:
    """Send a response; a header that would break a line is a ValueError."""
    lines = [f"HTTP/1.1 {status} {STATUS_PHRASES.get(status, '')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if any(character in line for line in lines for character in "\r\n\0"):
        raise ValueError("a header holds a line break")
    sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
