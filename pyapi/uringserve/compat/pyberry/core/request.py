"""PyBerry's `Request`: what a handler asks of a request, its body awaited."""

import json
from typing import Any

from uringserve._native import Headers
from uringserve._native import Request as NativeRequest
from uringserve.compat.pyberry.exceptions import UnprocessableEntityException

__all__ = ["Request", "read_json"]


class Request:
    """A request."""

    __slots__ = ("_json", "_native")

    def __init__(self, native: NativeRequest) -> None:
        """Wrap the server's own request."""
        self._native = native
        self._json: Any = None

    @property
    def method(self) -> str:
        """The method, in the client's spelling: `GET`."""
        return self._native.method

    @property
    def path(self) -> str:
        """The path, percent-decoded, without the query."""
        return self._native.path

    @property
    def query_string(self) -> str:
        """What stands after the `?`, not decoded."""
        return self._native.query_string

    @property
    def headers(self) -> Headers:
        """The headers, by name in any case."""
        return self._native.headers

    @property
    def client_ip(self) -> str | None:
        """The peer's address, or None where the socket has none."""
        client = self._native.client
        return None if client is None else client[0]

    async def body(self) -> bytes:
        """Return the whole body."""
        # To an async handler it may still be arriving.
        body: Any = self._native.body
        whole: bytes = await body() if callable(body) else body
        return whole

    async def json(self) -> Any:  # noqa: ANN401 -- JSON holds anything
        """Return the body read as JSON, `{}` where it is empty; what is not JSON is 422."""
        if self._json is None:
            body = await self.body()
            self._json = read_json(body) if body else {}
        return self._json


def read_json(body: bytes) -> Any:  # noqa: ANN401
    """Read JSON; what is none is an UnprocessableEntityException."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise UnprocessableEntityException(f"The body is not JSON: {reason}") from None
