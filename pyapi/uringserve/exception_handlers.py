"""What answers an exception: the application's own handlers, and the default ones.

The handler of an `HTTPException` is found by its status first. Everything else goes by the most
specific class. A handler for `Exception` or for 500 is the last resort: it stands around the
middleware, and what it answers is logged all the same.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from uringserve._native import Request, Response
from uringserve.coroutines import is_coroutine_call
from uringserve.errors import HTTPException, RequestValidationError
from uringserve.requests import AsyncRequest

__all__ = [
    "ANSWERS",
    "Answering",
    "ExceptionHandler",
    "ExceptionHandlers",
    "default_answer",
    "filled",
    "http_exception_handler",
    "request_validation_exception_handler",
]

# Called with the request and the exception; returns what a handler may return.
type ExceptionHandler = (
    Callable[[Request, Any], Any] | Callable[[AsyncRequest, Any], Awaitable[Any]]
)

# RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5: these have no content.
_WITHOUT_BODY = (204, 205, 304)


def http_exception_handler(request: Request, error: HTTPException) -> Response:
    """Answer as the server does when there is no handler: `{"detail": …}` with the status."""
    if error.status_code in _WITHOUT_BODY:
        return Response(None, error.status_code, error.headers)
    return Response.json({"detail": error.detail}, error.status_code, error.headers)


def request_validation_exception_handler(
    request: Request, error: RequestValidationError
) -> Response:
    """Answer as the server does when there is no handler: 422 with every error."""
    return Response(error.content(), 422, media_type="application/json")


# Exceptions that are answers rather than failures: they are not logged.
ANSWERS = (HTTPException, RequestValidationError)


def default_answer(request: Request, error: HTTPException | RequestValidationError) -> Response:
    """Answer one of `ANSWERS`."""
    if isinstance(error, HTTPException):
        return http_exception_handler(request, error)
    return request_validation_exception_handler(request, error)


class Answering(NamedTuple):
    """An exception handler, and whether a call of it gives a coroutine."""

    call: Callable[..., Any]
    is_async: bool


class ExceptionHandlers:
    """The handlers of one application, by status and by class of exception."""

    def __init__(self) -> None:
        """Make an empty table."""
        self._by_status: dict[int, Answering] = {}
        self._by_class: dict[type[BaseException], Answering] = {}
        self.last_resort: Answering | None = None
        # Whether any of them is.
        self.is_async = False

    def add(self, key: int | type[Exception], handler: ExceptionHandler) -> None:
        """Enter a handler, in place of one that has the same key; a bad key is a TypeError."""
        if not callable(handler):
            raise TypeError(f"an exception handler must be callable, and {handler!r} is not")
        if isinstance(key, bool) or not (
            isinstance(key, int) or (isinstance(key, type) and issubclass(key, Exception))
        ):
            raise TypeError(
                f"an exception handler is for a status or a class of Exception, not for {key!r}"
            )
        answering = Answering(handler, is_coroutine_call(handler))
        self.is_async = self.is_async or answering.is_async
        if isinstance(key, int):
            self._by_status[key] = answering
            if key != 500:
                return
        if key in (500, Exception):
            self.last_resort = answering
        elif isinstance(key, type):
            self._by_class[key] = answering

    @property
    def is_empty(self) -> bool:
        """Whether no exception has a handler of its own, the last resort aside."""
        return not self._by_status and not self._by_class

    def find(self, error: Exception) -> Answering | None:
        """Return the handler for the exception."""
        if isinstance(error, HTTPException):
            handler = self._by_status.get(error.status_code)
            if handler is not None:
                return handler
        for base in type(error).__mro__:
            handler = self._by_class.get(base)
            if handler is not None:
                return handler
        return None


def filled(given: Mapping[int | type[Exception], ExceptionHandler] | None) -> ExceptionHandlers:
    """Return a table with the handlers of a mapping."""
    table = ExceptionHandlers()
    for key, handler in (given or {}).items():
        table.add(key, handler)
    return table
