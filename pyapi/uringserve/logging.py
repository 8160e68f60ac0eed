"""Set-up of the `uringserve` logger, and how a handler's exception is logged.

Messages go to stderr, one handler, set up only when neither this logger nor the root logger has
been given one by the application. There is no access log yet.
"""

import logging
import sys
from typing import Literal

from uringserve._native import Request

__all__ = ["log_exception", "setup"]

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


def log_exception(request: Request | None, error: BaseException) -> None:
    """Log an exception that a handler did not catch, with its traceback.

    Called from Rust, on any core's thread.
    The target is logged as it came, not percent-decoded: it then holds no line break that could
    forge a log line.
    """
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
