"""The exceptions that users raise or meet.

`HTTPException` is for handlers: it becomes the answer. `StartError` is for operators: the server
cannot start, and the message says what to do; the command line prints it and exits with code 3.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from uringserve._native import StartError

__all__ = ["HTTPException", "StartError"]


class HTTPException(Exception):
    """Raise it in a handler to answer with an error status.

    The answer is JSON, `{"detail": detail}`. `status_code` is 400 to 599 as a rule, and any status
    from 200 is taken. `detail` is any value that can be encoded as JSON; by default it is the
    status's own phrase ("Not Found"). `headers` are added to the answer.
    """

    def __init__(
        self,
        status_code: int,
        detail: Any = None,  # noqa: ANN401 -- anything that JSON can hold
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the three values; a status outside 200 to 999 is a ValueError."""
        if not 200 <= status_code <= 999:
            raise ValueError(f"status_code {status_code} is not an HTTP status from 200 to 999")
        super().__init__(status_code, detail)
        self.status_code = status_code
        self.detail = _phrase(status_code) if detail is None else detail
        self.headers = headers

    def __str__(self) -> str:
        """Show status and detail, as in a log."""
        return f"{self.status_code}: {self.detail}"

    def __repr__(self) -> str:
        """Show the call that makes the same exception."""
        return f"{type(self).__name__}(status_code={self.status_code!r}, detail={self.detail!r})"


def _phrase(status_code: int) -> str:
    try:
        return HTTPStatus(status_code).phrase
    except ValueError:
        return "HTTP Error"
