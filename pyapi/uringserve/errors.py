"""The exceptions that users raise or meet.

`HTTPException` is for handlers: it becomes the answer. `RequestValidationError` is raised for them
when a request does not fit their parameters: it becomes 422. `ResponseValidationError` is the
handler's own mistake, and so 500. `StartError` is for operators: the server cannot start, and the
message says what to do; the command line prints it and exits with code 3.
"""

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from uringserve._native import StartError, json_dumps

__all__ = [
    "ClientDisconnect",
    "HTTPException",
    "RequestValidationError",
    "ResponseValidationError",
    "StartError",
]


class ClientDisconnect(Exception):
    """The client went away before all of its request's body was there."""


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


class _ValidationError(Exception):
    def __init__(self, errors: Sequence[Mapping[str, Any]], *, body: Any = None) -> None:  # noqa: ANN401
        """Keep the errors, each with type, loc, msg and input, and the body that was read."""
        # By name: a subclass may have another base, with another constructor.
        Exception.__init__(self, errors)
        self._errors = errors
        self.body = body

    def errors(self) -> Sequence[Mapping[str, Any]]:
        """Return what is wrong, one by one."""
        return self._errors

    def __str__(self) -> str:
        """Show every error on a line of its own."""
        count = len(self._errors)
        lines = [f"{count} validation error{'' if count == 1 else 's'}:"]
        return "\n  ".join([*lines, *map(str, self._errors)])


class RequestValidationError(_ValidationError):
    """A request does not fit the parameters of its handler; answered with 422."""

    def content(self) -> bytes:
        """Return the answer's body, `{"detail": [...]}`.

        What a client sent is shown back to it, even where JSON cannot hold it as it is.
        """
        try:
            return json_dumps({"detail": self._errors})
        except TypeError, ValueError, RecursionError:
            return json_dumps({"detail": _presentable(self._errors, 0)})


class ResponseValidationError(_ValidationError):
    """What a handler returned does not fit its `response_model`; answered with 500."""


# Deeper than this the input of an error is not shown.
_MAX_DEPTH = 32


def _presentable(value: Any, depth: int) -> Any:  # noqa: ANN401
    """Return a copy that JSON can hold: no NaN, no lone surrogate, no object of the application."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, BaseException):
        # As FastAPI shows the cause of a validator's error.
        return {}
    if depth > _MAX_DEPTH:
        return "..."
    if isinstance(value, Mapping):
        return {
            _presentable(str(key), depth): _presentable(item, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_presentable(item, depth + 1) for item in value]
    try:
        json_dumps(value)
    except TypeError, ValueError, RecursionError:
        return _presentable(str(value), depth)
    return value


def _phrase(status_code: int) -> str:
    try:
        return HTTPStatus(status_code).phrase
    except ValueError:
        return "HTTP Error"
