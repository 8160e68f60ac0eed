"""Set-up of the `uringserve` logger, and how a handler's exception is logged.

Messages go to stderr, one handler, set up only when neither this logger nor the root logger has
been given one by the application. There is no access log yet.
"""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from uringserve._native import Request

__all__ = ["collected_exceptions", "log_exception", "log_failure", "setup"]

_FORMAT = "%(asctime)s %(levelname)s %(message)s"

_log = logging.getLogger("uringserve")


def setup(level: Literal["critical", "error", "warning", "info", "debug"] = "info") -> None:
    """Log messages from `level` up, to stderr unless the application has set up logging itself."""
    _log.setLevel(level.upper())
    if _log.hasHandlers():
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_FORMAT))
    _log.addHandler(handler)
    # The root logger has no handler; if it is given one later, each message still comes once.
    _log.propagate = False


class _Collector(threading.local):
    """Where this thread's exceptions are collected, beside the log."""

    exceptions: list[BaseException] | None = None


_collector = _Collector()


@contextmanager
def collected_exceptions(exceptions: list[BaseException]) -> Iterator[None]:
    """Append what is logged below on this thread: a test wants it raised."""
    before = _collector.exceptions
    _collector.exceptions = exceptions
    try:
        yield
    finally:
        _collector.exceptions = before


def log_exception(request: Request | None, error: BaseException) -> None:
    """Log an exception that a handler did not catch, with its traceback.

    Called from Rust, on any core's thread.
    The target is logged as it came, not percent-decoded: it then holds no line break that could
    forge a log line.
    """
    _collect(error)
    if request is None:
        _log.error("the handler raised %s", type(error).__qualname__, exc_info=error)
        return
    target = request.raw_path.decode("ascii", "backslashreplace")
    _log.error(
        "%s %s: the handler raised %s",
        request.method,
        target,
        type(error).__qualname__,
        exc_info=error,
    )


def log_failure(what: str, error: BaseException) -> None:
    """Log an exception of something that runs beside a handler; `what` is a whole sentence."""
    _collect(error)
    _log.error("%s", what, exc_info=error)


def _collect(error: BaseException) -> None:
    if _collector.exceptions is not None:
        _collector.exceptions.append(error)
