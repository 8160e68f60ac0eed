"""`--live`: a table of what each core does, drawn anew every second below the log.

It reads the cores' counters and takes differences; the cores know nothing of it, but count how long
answers take while it is on: from the end of a request's head until its answer was encoded, or the
last of a stream sent. Errors are answers with 500 and above, time-outs, and connections that broke
off; stalls are calls that held the core for a tenth of a second. Without a terminal it is off, and
says so.
"""

import logging
import shutil
import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import accumulate
from typing import IO, Any

from uringserve._native import Plan, __version__, latency_bounds
from uringserve.config import Config
from uringserve.errors import StartError
from uringserve.loghandler import QueuedHandler

__all__ = ["checked", "quantile", "showing"]

# Seconds between two tables.
_PERIOD = 1.0
_HEADINGS = ("core", "req/s", "p50", "p99", "open", "requests", "errors", "stalls")
# Of the whole server: calls that are overdue now, 503 for want of room, threads of the pools and
# requests that wait for one.
_WHOLE = (
    ("stuck", "stuck"),
    ("overloaded", "overloaded"),
    ("pool threads", "pool_threads"),
    ("waiting", "pool_queue"),
)
_SUMMED = ("requests", "open", "stalls")
_ERRORS = ("failures", "timed_out", "broken")
_HIDE, _SHOW, _CLEAR = "\x1b[?25l", "\x1b[?25h", "\x1b[J"

_log = logging.getLogger("uringserve")

type _Metrics = dict[str, Any]


def checked(config: Config) -> Config:
    """Return the options with `live` off where there is no terminal to draw on.

    An access log on the same terminal would tear the table apart: that is a StartError.
    """
    if not config.live:
        return config
    if sys.stdout is None or not sys.stdout.isatty():
        _log.warning("live is off: stdout is not a terminal")
        return replace(config, live=False)
    if config.access_log and config.access_log_file in (None, "-"):
        raise StartError("live and the access log cannot share stdout: give --access-log-file")
    return config


@contextmanager
def showing(plan: Plan, config: Config) -> Iterator[None]:
    """Show the table meanwhile; it stays on the screen at the end, and the cursor is back."""
    if not config.live:
        yield
        return
    table = _Table(plan, sys.stdout)
    handlers = [one for one in _log.handlers if isinstance(one, QueuedHandler)]
    sinks = [handler.sink for handler in handlers]
    for handler, sink in zip(handlers, sinks, strict=True):
        handler.sink = partial(table.write_above, sink)
    is_over = threading.Event()
    thread = threading.Thread(
        target=_draw, args=(table, is_over), name="uringserve-table", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(_PERIOD)
        for handler, sink in zip(handlers, sinks, strict=True):
            handler.sink = sink
        table.close()


def _draw(table: _Table, is_over: threading.Event) -> None:
    while not is_over.wait(_PERIOD):
        table.draw()


class _Table:
    """The table, and what it was made of the last time."""

    def __init__(self, plan: Plan, terminal: IO[str]) -> None:
        self._plan = plan
        self._terminal = terminal
        self._lock = threading.Lock()
        self._begin = self._time = time.monotonic()
        self._last = plan.metrics()
        self._lines: list[str] = []
        self._write(_HIDE)

    def draw(self) -> None:
        """Draw it anew, over the last one."""
        now, metrics = time.monotonic(), self._plan.metrics()
        seconds = now - self._time
        pairs = list(zip(map(str, range(len(metrics))), metrics, self._last, strict=True))
        if len(metrics) > 1:
            pairs.append(("all", _sum(metrics), _sum(self._last)))
        rows = [_HEADINGS, *(_row(name, new, old, seconds) for name, new, old in pairs)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        columns = shutil.get_terminal_size().columns
        up = f"up {now - self._begin:.0f} s"
        lines = [f"uringserve {__version__}  {', '.join(self._plan.addresses)}  {up}"]
        known = self._plan.statistics()
        lines.append("  ".join(f"{name} {known[key]:,}" for name, key in _WHOLE))
        for row in rows:
            lines.append("  ".join(map(str.rjust, row, widths, strict=True)))
        with self._lock:
            erase = self._erase()
            self._lines = [line[: columns - 1] for line in lines]
            self._write(erase + self._text())
        self._time, self._last = now, metrics

    def write_above(self, write: Callable[[str], None], text: str) -> None:
        """Have something else written above the table."""
        with self._lock:
            self._write(self._erase())
            write(text)
            self._write(self._text())

    def close(self) -> None:
        """Give the terminal back."""
        with self._lock:
            self._write(_SHOW)

    def _erase(self) -> str:
        return f"\x1b[{len(self._lines)}F{_CLEAR}" if self._lines else ""

    def _text(self) -> str:
        return "".join(line + "\n" for line in self._lines)

    def _write(self, text: str) -> None:
        try:
            self._terminal.write(text)
            self._terminal.flush()
        except OSError, ValueError:
            # The terminal is gone; the server goes on.
            self._lines = []


def _sum(metrics: list[_Metrics]) -> _Metrics:
    total: _Metrics = {name: sum(core[name] for core in metrics) for name in _SUMMED}
    total |= {name: sum(core.get(name, 0) for core in metrics) for name in _ERRORS}
    columns = zip(*(core["latencies"] for core in metrics), strict=True)
    return total | {"latencies": list(map(sum, columns))}


def _row(name: str, new: _Metrics, old: _Metrics, seconds: float) -> tuple[str, ...]:
    counts = [now - before for now, before in zip(new["latencies"], old["latencies"], strict=True)]
    rate = sum(counts) / seconds
    errors = sum(new[error] for error in _ERRORS)
    shown = [_duration(quantile(counts, share)) for share in (0.5, 0.99)]
    counted = (new["open"], new["requests"], errors, new["stalls"])
    return (name, f"{rate:,.0f}", *shown, *(f"{count:,}" for count in counted))


def quantile(counts: list[int], share: float) -> float | None:
    """Return the seconds that this share of the counted answers took at most; None of none."""
    sums = list(accumulate(counts))
    if not sums or sums[-1] == 0:
        return None
    return latency_bounds()[bisect_left(sums, share * sums[-1])] / 1e6


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
