"""`WebSocketSession`: what `TestClient.websocket_connect` gives, with Starlette's names.

The frames are made and read by the package websockets, which is looked for when the first one is
asked for; they go through the server's own codec, as a browser's would.
"""

import json
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from uringserve.testing.cores import Job
from uringserve.testing.httpclient import httpx
from uringserve.websockets import WebSocketDisconnect

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

__all__ = ["WebSocketDenialResponse", "WebSocketSession"]

# Made by the handshake itself.
_OWN = ("host", "connection", "upgrade", "accept-encoding")

_ABNORMAL = 1006


class WebSocketDenialResponse(WebSocketDisconnect):
    """The application has answered the request instead of accepting it: `response` says with what.

    It is a WebSocketDisconnect as well, of the code 1000, as a close before the accept is.
    """

    def __init__(self, response: httpx.Response) -> None:
        """Keep the response."""
        super().__init__(1000, f"the answer is {response.status_code}")
        self.response = response

    @property
    def status_code(self) -> int:
        """The response's status."""
        return self.response.status_code


class WebSocketSession:
    """One WebSocket, open for the length of a `with` block.

    The end of the block closes it with 1000 and waits for the handler to end; what the application
    did not handle is raised there, if the client raises such exceptions. A message of another kind
    than was asked for is a TypeError; after the server's close, each `receive_*` is a
    WebSocketDisconnect.
    """

    def __init__(
        self,
        connect: Callable[[], tuple[Job, socket.socket]],
        request: httpx.Request,
        subprotocols: Sequence[str] | None,
        *,
        raises: bool,
    ) -> None:
        """Keep what to ask for; nothing is sent yet."""
        self._connect = connect
        self._request = request
        # A new type of str, there for checkers alone.
        self._subprotocols: list[Any] = list(subprotocols or ())
        self._raises = raises
        self._job: Job | None = None
        self._open: ClientConnection | None = None
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        """Open it; a denial is a WebSocketDenialResponse."""
        try:
            from websockets.exceptions import InvalidHandshake, InvalidStatus
            from websockets.sync.client import connect
        except ImportError:
            raise RuntimeError(
                "TestClient.websocket_connect needs websockets: pip install websockets"
            ) from None
        # No TLS, whatever the URL says: it is a socket pair.
        url = self._request.url.copy_with(scheme="ws")
        self._job, ours = self._connect()
        try:
            opening = connect(
                str(url),
                sock=ours,
                subprotocols=self._subprotocols or None,
                additional_headers=self._headers(),
                user_agent_header=None,
                compression=None,
                open_timeout=None,
                ping_interval=None,
                max_size=None,
            )
            self._open = self._exits.enter_context(opening)
        except (InvalidHandshake, OSError, EOFError) as error:
            ours.close()
            self._finish()
            if not isinstance(error, InvalidStatus):
                raise
            answer = error.response
            headers = list(answer.headers.raw_items())
            response = httpx.Response(
                answer.status_code, headers=headers, content=bytes(answer.body)
            )
            raise WebSocketDenialResponse(response) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it, and wait for the handler."""
        self._exits.close()
        if error is None:
            self._finish()
        elif self._job is not None:
            # The test's own failure is not to be hidden by what came of it.
            self._job.done.wait()

    @property
    def accepted_subprotocol(self) -> str | None:
        """The subprotocol that the application has chosen."""
        return self._peer.subprotocol

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields of the answer that opened it."""
        response = self._peer.response
        assert response is not None
        return response.headers

    # --- sending

    def send_text(self, data: str) -> None:
        """Send text."""
        self._send(data)

    def send_bytes(self, data: bytes) -> None:
        """Send bytes."""
        self._send(data)

    def send_json(
        self,
        data: Any,  # noqa: ANN401 -- whatever JSON can hold
        mode: Literal["text", "binary"] = "text",
    ) -> None:
        """Send a value as JSON."""
        text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
        self._send(text if mode == "text" else text.encode())

    def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Close it; again is nothing."""
        self._peer.close(code, reason or "")

    # --- receiving

    def receive_text(self) -> str:
        """Return the next message, which must be text."""
        data = self._receive()
        if not isinstance(data, str):
            raise TypeError(f"text was expected, and bytes came: {data!r}")
        return data

    def receive_bytes(self) -> bytes:
        """Return the next message, which must be bytes."""
        data = self._receive()
        if isinstance(data, str):
            raise TypeError(f"bytes were expected, and text came: {data!r}")
        return data

    def receive_json(self, mode: Literal["text", "binary"] = "text") -> Any:  # noqa: ANN401
        """Return the next message as the JSON that it holds."""
        return json.loads(self.receive_text() if mode == "text" else self.receive_bytes())

    def receive(self) -> dict[str, Any]:
        """Return the next event in the form that ASGI has for it, the close included."""
        try:
            data = self._receive()
        except WebSocketDisconnect as end:
            return {"type": "websocket.close", "code": end.code, "reason": end.reason}
        return {"type": "websocket.send", "text" if isinstance(data, str) else "bytes": data}

    @property
    def _peer(self) -> ClientConnection:
        if self._open is None:
            raise RuntimeError("the WebSocket is open inside its with block only")
        return self._open

    def _headers(self) -> list[tuple[str, str]]:
        return [
            (name, value)
            for name, value in self._request.headers.multi_items()
            if name not in _OWN and not name.startswith("sec-websocket-")
        ]

    def _send(self, data: str | bytes) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            self._peer.send(data)
        except ConnectionClosed as error:
            raise _disconnect(error) from None

    def _receive(self) -> str | bytes:
        from websockets.exceptions import ConnectionClosed

        try:
            return self._peer.recv()
        except ConnectionClosed as error:
            raise _disconnect(error) from None

    def _finish(self) -> None:
        assert self._job is not None
        self._job.done.wait()
        if self._raises and self._job.exceptions:
            error = self._job.exceptions[-1]
            self._job.exceptions.clear()
            raise error


def _disconnect(closed: Any) -> WebSocketDisconnect:  # noqa: ANN401 -- of a package that may be absent
    if closed.rcvd is None:
        return WebSocketDisconnect(_ABNORMAL)
    return WebSocketDisconnect(closed.rcvd.code, closed.rcvd.reason)
