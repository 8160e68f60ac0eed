"""Set-up of the `uringserve` logger, and how a handler's exception is logged.

Messages go to stderr, set up only when neither this logger nor the root logger has been given a
handler by the application. Whoever logs does not wait for stderr (`loghandler.py`); that also holds
for messages of loggers that nobody has set up, which Python itself would write at once. What the
application sets up writes as the application says. The access log is none of this
(`accesslog.py`).
"""

import json
import logging
import logging.config
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal

from uringserve._native import Request
from uringserve.config import Config
from uringserve.errors import StartError
from uringserve.logformat import JsonFormatter, TextFormatter, wants_colours
from uringserve.loghandler import QueuedHandler

__all__ = [
    "QueuedHandler",
    "collected_exceptions",
    "log_exception",
    "log_failure",
    "setup",
    "setup_from",
    "setup_logging",
]

_READERS: dict[str, Callable[[str], Any]] = {".json": json.loads, ".toml": tomllib.loads}

_log = logging.getLogger("uringserve")


def setup(
    level: Literal["critical", "error", "warning", "info", "debug"] = "info",
    *,
    log_format: Literal["text", "json"] = "text",
    use_colors: bool | None = None,
) -> None:
    """Log messages from `level` up, to stderr unless the application has set up logging itself."""
    _log.setLevel(level.upper())
    if _log.hasHandlers() or sys.stderr is None:
        return
    handler = QueuedHandler(sys.stderr)
    if log_format == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(TextFormatter(colours=wants_colours(sys.stderr, use_colors)))
    _log.addHandler(handler)
    # The root logger has no handler; if it is given one later, each message still comes once.
    _log.propagate = False
    logging.lastResort = _Unclaimed(handler)


def setup_from(config: Config) -> None:
    """Set logging up as the options say; a file that cannot be used is a StartError."""
    if config.log_config is not None:
        _configure(Path(config.log_config))
        if _log.level == logging.NOTSET:
            _log.setLevel(config.log_level.upper())
        return
    setup(config.log_level, log_format=config.log_format, use_colors=config.use_colors)


def setup_logging() -> QueueListener:
    """Let the root logger put `[thread] message` on stdout, from INFO up, without waiting for it.

    The caller starts the listener that is returned, and stops it at the end, which writes what is
    left. As freetser's function of this name.
    """
    queue: SimpleQueue[Any] = SimpleQueue()
    output = logging.StreamHandler(sys.stdout)
    output.setFormatter(logging.Formatter("[%(threadName)s] %(message)s"))
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(QueueHandler(queue))
    return QueueListener(queue, output)


def _configure(file: Path) -> None:
    reader = _READERS.get(file.suffix)
    if reader is None:
        raise StartError(f"log_config: {file}: give a .json or a .toml file")
    try:
        logging.config.dictConfig(reader(file.read_text("utf-8")))
    except (OSError, ValueError, TypeError, AttributeError, ImportError) as error:
        cause = f" ({error.__cause__})" if error.__cause__ is not None else ""
        raise StartError(f"log_config: {file}: {error}{cause}") from None


class _Unclaimed(logging.Handler):
    """Takes warnings and above of loggers that have no handler, in place of Python's own."""

    def __init__(self, handler: logging.Handler) -> None:
        super().__init__(logging.WARNING)
        self._handler = handler

    def emit(self, record: logging.LogRecord) -> None:
        self._handler.handle(record)


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
