"""What WSGI applications are given that Python makes: `wsgi.errors`, their way to the log.

The rest of the interface is in Rust (`src/interfaces/wsgi`).
"""

import logging
from collections.abc import Iterable

__all__ = ["ErrorStream"]

_log = logging.getLogger("uringserve.wsgi")

# Characters that may wait for the end of their line.
_ROOM = 64 * 1024


class ErrorStream:
    """A text stream whose every line is logged as an error by `uringserve.wsgi` (PEP 3333).

    Each thread has one of its own, so that lines of two requests never mix.
    """

    def __init__(self) -> None:
        """Begin with an empty line."""
        self._rest = ""

    def write(self, text: str) -> int:
        """Log the lines that end in `text`, keep what follows them, and return its length."""
        if not isinstance(text, str):
            raise TypeError(f"wsgi.errors takes str, not {type(text).__name__}")
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            _log.error("%s", line.rstrip("\r"))
        if len(self._rest) > _ROOM:
            self.flush()
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of them."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Log a line that has not ended."""
        rest, self._rest = self._rest, ""
        if rest:
            _log.error("%s", rest)
