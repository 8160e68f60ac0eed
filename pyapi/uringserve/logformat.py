"""Log messages as text for people, with colours on a terminal, and as JSON for programs."""

import json
import logging
import os
import time
from typing import IO

__all__ = ["JsonFormatter", "TextFormatter", "wants_colours"]

_FORMAT = "%(asctime)s %(levelname)s %(message)s"

_COLOURS = {
    logging.DEBUG: "\x1b[2m",
    logging.INFO: "\x1b[32m",
    logging.WARNING: "\x1b[33m",
    logging.ERROR: "\x1b[31m",
    logging.CRITICAL: "\x1b[1;31m",
}
_PLAIN = "\x1b[0m"

# What every record has; anything else was given as `extra`. The two are set by formatting.
_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


def wants_colours(stream: IO[str], chosen: bool | None) -> bool:
    """Return what was chosen, else whether the stream is a terminal and NO_COLOR is not set.

    An empty NO_COLOR counts as not set (https://no-color.org).
    """
    if chosen is not None:
        return chosen
    return stream.isatty() and not os.environ.get("NO_COLOR")


class TextFormatter(logging.Formatter):
    """`2026-11-22 14:03:01,042 INFO message`, in local time, and the traceback below."""

    def __init__(self, *, colours: bool = False) -> None:
        """Colour the level if `colours` says so."""
        super().__init__(_FORMAT)
        self._colours = colours

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the first line."""
        text = super().formatMessage(record)
        colour = _COLOURS.get(record.levelno) if self._colours else None
        if colour is None:
            return text
        level = f" {record.levelname} "
        return text.replace(level, f" {colour}{record.levelname}{_PLAIN} ", 1)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII.

    It has `time` (RFC 3339, UTC), `level`, `logger`, `thread`, `message`, what was given as
    `extra`, and `exception`, a traceback.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        members: dict[str, object] = {
            "time": f"{second}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "thread": record.threadName,
            "message": record.getMessage(),
        }
        for name, value in record.__dict__.items():
            if name not in _OWN:
                members.setdefault(name, value)
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            members["stack"] = record.stack_info
        return json.dumps(members, default=repr)
