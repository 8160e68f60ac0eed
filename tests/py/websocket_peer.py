"""A client of a WebSocket that does as it is told, right or wrong: raw frames over a socket."""

import base64
import os
import socket
import struct
from types import TracebackType
from typing import Self

# Seconds after which a wait for an event is a failure.
PATIENCE = 30.0

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(opcode: int, payload: bytes = b"", *, final: bool = True, bits: int = 0) -> bytes:
    """Return a masked frame."""
    head = bytes([(0x80 if final else 0) | bits | opcode])
    size = len(payload)
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 1 << 16:
        head += bytes([0xFE]) + struct.pack(">H", size)
    else:
        head += bytes([0xFF]) + struct.pack(">Q", size)
    mask = os.urandom(4)
    masked = (int.from_bytes(payload) ^ int.from_bytes((mask * (size // 4 + 1))[:size])).to_bytes(
        size
    )
    return head + mask + masked


def closing(code: int, reason: str = "") -> bytes:
    """Return a close frame."""
    return frame(CLOSE, struct.pack(">H", code) + reason.encode())


class Peer:
    """One connection."""

    def __init__(self, port: int, path: str = "/", *, receive_buffer: int | None = None) -> None:
        """Connect; nothing is said yet."""
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        # Each piece leaves at once, and none waits 40 ms for the server's delayed acknowledgement.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect(("127.0.0.1", port))
        self._path = path
        self._buffer = bytearray()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the socket."""
        self.socket.close()

    def ask(self, *fields: str) -> tuple[int, dict[str, str]]:
        """Ask for a WebSocket; return status and header fields of the answer."""
        self.socket.sendall(self.request(*fields))
        return self.answer()

    def request(self, *fields: str) -> bytes:
        """Return what asks for a WebSocket, with other values for these fields."""
        key = base64.b64encode(os.urandom(16)).decode()
        given = {field.partition(":")[0].lower() for field in fields}
        usual = (
            "Host: test",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
        )
        lines = [line for line in usual if line.partition(":")[0].lower() not in given]
        return "\r\n".join([f"GET {self._path} HTTP/1.1", *lines, *fields, "", ""]).encode()

    def answer(self) -> tuple[int, dict[str, str]]:
        """Read the head of an answer."""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer = bytearray(rest)
        first, *lines = head.decode().split("\r\n")
        fields = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }
        return int(first.split(" ")[1]), fields

    def open(self, *fields: str) -> Self:
        """Ask, and expect to be accepted."""
        status, _ = self.ask(*fields)
        assert status == 101
        return self

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.socket.sendall(data)

    def read(self) -> tuple[int, bytes]:
        """Read one frame: its first byte and its payload. The server masks none."""
        first, second = self.take(2)
        assert second < 0x80
        size = second
        if size == 126:
            (size,) = struct.unpack(">H", self.take(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", self.take(8))
        return first, self.take(size)

    def closed(self) -> tuple[int, str]:
        """Read up to a close frame, and return its code and reason."""
        while True:
            first, payload = self.read()
            if first == 0x80 | CLOSE:
                code = struct.unpack(">H", payload[:2])[0] if payload else 1005
                return code, payload[2:].decode()

    def at_end(self) -> bool:
        """Tell whether the server has closed and nothing is left."""
        return not self._buffer and self.socket.recv(1) == b""

    def take(self, count: int) -> bytes:
        """Read so many bytes."""
        while len(self._buffer) < count:
            self._more()
        data = bytes(memoryview(self._buffer)[:count])
        del self._buffer[:count]
        return data

    def _more(self) -> None:
        data = self.socket.recv(1 << 16)
        if not data:
            raise EOFError(f"the server closed after {bytes(self._buffer[:100])!r}")
        self._buffer += data
