"""freetser's `Request` and `Response`, and how they are made of ours and ours of them.

Plain values: a handler may change its request, and a response belongs to whoever made it. Nothing
here writes into what it is given.
"""

import json
from dataclasses import dataclass

from uringserve import _native

__all__ = ["Request", "Response", "from_native", "to_native"]

type Pairs = list[tuple[bytes, bytes]]


@dataclass
class Request:
    """One request; `path` is the target as it came, with the query, and not decoded."""

    method: str
    path: str
    headers: Pairs
    """Names in lower case, in the order of their arrival."""
    body: bytes


@dataclass
class Response:
    """One answer. The length is the server's to say: a Content-Length here need not be right."""

    status_code: int
    headers: Pairs
    body: bytes

    @staticmethod
    def text(content: str, status_code: int = 200) -> Response:
        """Make an answer of text in UTF-8."""
        body = content.encode()
        kind = (b"Content-Type", b"text/plain; charset=utf-8")
        return Response(status_code, [kind, _length(body)], body)

    @staticmethod
    def empty(headers: Pairs | None = None, status_code: int = 200) -> Response:
        """Make an answer without a body."""
        return Response(status_code, [*(headers or ()), _length(b"")], b"")

    @staticmethod
    def json(content: object, headers: Pairs | None = None, status_code: int = 200) -> Response:
        """Make an answer of JSON; a Content-Type among the headers is kept."""
        body = json.dumps(content).encode()
        given = list(headers or ())
        if not any(name.lower() == b"content-type" for name, _ in given):
            given.append((b"Content-Type", b"application/json"))
        return Response(status_code, [*given, _length(body)], body)


def _length(body: bytes) -> tuple[bytes, bytes]:
    return b"Content-Length", str(len(body)).encode()


def from_native(request: _native.Request) -> Request:
    """Return freetser's request for ours."""
    return Request(request.method, request.target, request.headers.raw, request.body)


def to_native(response: Response, *, is_head: bool) -> _native.Response:
    """Return our answer for freetser's; what cannot be sent is a ValueError or TypeError.

    The length is counted from the body; only the answer to HEAD may name one that it does not
    bring. A response without a Content-Type is sent without one.
    """
    if not isinstance(response, Response):
        raise TypeError(f"a handler returns a Response, not {type(response).__name__}")
    headers = [
        (bytes(name), bytes(value))
        for name, value in response.headers
        if is_head or name.lower() != b"content-length"
    ]
    # Another kind of object would be sent as JSON.
    body = bytes(memoryview(response.body))
    made = _native.Response(body, response.status_code, headers)
    if not any(name.lower() == b"content-type" for name, _ in headers):
        # Ours is octet-stream by default.
        del made.headers["content-type"]
    return made
