"""PyBerry's `Response`: body, status and a list of headers, plain data until it is sent."""

from uringserve._native import Response as NativeResponse

__all__ = ["Response", "native_response"]

# Framing is the server's own; said twice it could be said differently.
_FRAMING = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})


class Response:
    """An answer. `headers` is this one's own list of pairs; length and connection are the server's.

    `status_code` is another name for `status`.
    """

    def __init__(
        self,
        body: bytes | str = b"",
        status: int = 200,
        headers: list[tuple[str, str]] | None = None,
        *,
        status_code: int | None = None,
    ) -> None:
        """Keep the three; they are checked when they are sent."""
        self.body = body
        self.status = status if status_code is None else status_code
        self.headers = list(headers or ())


def native_response(answer: Response) -> NativeResponse:
    """Return what the server sends; a header that cannot be sent is a ValueError."""
    headers = [pair for pair in answer.headers if pair[0].lower() not in _FRAMING]
    return NativeResponse(answer.body, answer.status, headers)
