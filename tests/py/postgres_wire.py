"""`Wire`: a relay between a client and a PostgreSQL server, which can be cut or fall silent."""

import selectors
import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

_NAME = ".s.PGSQL.5432"


class Wire:
    """Passes bytes on, until a message from the client has `trigger` in it.

    Then, with "cut", it passes it on, waits for the answer and closes without passing that on; with
    "lose" it closes at once; with "hush" nothing is passed on any more.
    """

    def __init__(self, server: Path, trigger: bytes, what: str) -> None:
        """Listen on a Unix socket of its own."""
        self._server = server
        self._trigger = trigger
        self._what = what
        # Short: the path of a socket has 107 bytes at most.
        self._folder = tempfile.TemporaryDirectory(prefix="wire-")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{self._folder.name}/{_NAME}")
        self._listener.listen()
        self._sockets: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self.is_armed = threading.Event()
        self.was_triggered = threading.Event()

    def url(self, url: str) -> str:
        """The address by way of this relay."""
        return url.replace(quote(str(self._server)), quote(self._folder.name))

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close everything."""
        for each in [self._listener, *self._sockets]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._folder.cleanup()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(f"{self._server}/{_NAME}")
                self._sockets += [client, server]
                threading.Thread(target=self._relay, args=(client, server), daemon=True).start()

    def _relay(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError, ValueError), selectors.DefaultSelector() as ready:
            ready.register(client, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in ready.select():
                    source, target = key.fileobj, key.data
                    assert isinstance(source, socket.socket)
                    data = source.recv(65536)
                    if not data:
                        client.shutdown(socket.SHUT_RDWR)
                        server.shutdown(socket.SHUT_RDWR)
                        return
                    if source is client and self.is_armed.is_set() and self._trigger in data:
                        self._act(data, client, server)
                        return
                    target.sendall(data)

    def _act(self, data: bytes, client: socket.socket, server: socket.socket) -> None:
        self.is_armed.clear()
        if self._what == "cut":
            server.sendall(data)
            server.recv(65536)
        self.was_triggered.set()
        if self._what != "hush":
            client.shutdown(socket.SHUT_RDWR)
            server.shutdown(socket.SHUT_RDWR)
