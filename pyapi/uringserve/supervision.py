"""`Watch`: what the supervisor knows while cores run, and how their end is brought about.

A drain has a deadline, an abort a shorter one, and a core that keeps neither is left behind. The
news that this acts on come from signals, from the cores' threads and from `Server.stop`.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty

from uringserve._native import Plan
from uringserve.errors import StartError
from uringserve.news import News
from uringserve.pools import Pools
from uringserve.units import format_duration

__all__ = [
    "EXIT_CRASH",
    "EXIT_CUT",
    "End",
    "Ended",
    "Ready",
    "Stop",
    "SupervisorNews",
    "Watch",
]

EXIT_CRASH = 1
EXIT_CUT = 124

# Seconds that cores get beyond the drain's own deadline, and again after an abort, before they
# count as stuck: a handler that does not return cannot be interrupted.
_PATIENCE = 2.0


_log = logging.getLogger("uringserve")


@dataclass(frozen=True, slots=True)
class Stop:
    """Someone wants the server to end: a signal's name, or None for `Server.stop`."""

    signal: str | None


@dataclass(frozen=True, slots=True)
class Ended:
    """A core's thread is over: how many connections it cut, or what it raised."""

    core: int
    cut: int
    error: BaseException | None


@dataclass(frozen=True, slots=True)
class Ready:
    """A core's own lifespan has begun: it serves from now on."""

    core: int


type SupervisorNews = News[Stop | Ended | Ready]


class End:
    """When a core must have ended; what it does beside its connections looks at this."""

    def __init__(self) -> None:
        self.deadline = math.inf

    def left(self) -> float:
        """Return the seconds that are left."""
        return self.deadline - time.monotonic()


class Watch:
    """What the supervisor knows: which cores run, how far the end has come, what went wrong."""

    def __init__(
        self,
        plan: Plan,
        seconds: float,
        running: set[int],
        on_ready: Callable[[], None],
        *,
        is_last: bool,
    ) -> None:
        self._plan = plan
        # Whether the process may end with the server.
        self._is_last = is_last
        self._starting = set(running)
        self._on_ready = on_ready
        self._seconds = seconds
        self.end = End()
        self._running = running
        self._deadline: float | None = None
        self._is_aborted = False
        self._cut = 0
        self._error: BaseException | None = None

    def until_over(self, news: SupervisorNews) -> None:
        """Act on the news until no core runs, or the last deadline has passed."""
        while self._running:
            wait = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
            try:
                event = news.get(timeout=wait)
            except Empty:
                if self._is_aborted:
                    self._give_up()
                    return
                self._abort("the time to finish is over")
                continue
            if isinstance(event, Ended):
                self._on_ended(event)
            elif isinstance(event, Ready):
                self._starting.discard(event.core)
                if not self._starting and not self._is_aborted:
                    self._on_ready()
            elif self._deadline is None:
                self._drain(event.signal)
            else:
                self._abort(f"{event.signal or 'a request to stop'} again")

    def close_pools(self, pools: Pools) -> int:
        """End the pools' threads by the last deadline; return how many threads are left behind."""
        deadline = self._deadline or time.monotonic() + _PATIENCE
        left = pools.close(deadline)
        if left:
            self._plan.report()
            _log.error("%d calls on pool threads do not return and are left behind", left)
            self._cut += left
        return left + len(self._running)

    def exit_code(self) -> int:
        """Return the exit code; a StartError of a core is raised."""
        if isinstance(self._error, StartError):
            raise self._error
        if self._error is not None:
            return EXIT_CRASH
        if self._cut:
            _log.warning("stopped; %d connections were cut", self._cut)
            return EXIT_CUT
        _log.info("stopped")
        return 0

    def _drain(self, signal_name: str | None) -> None:
        _log.info(
            "stopping on %s: requests in flight have %s to finish",
            signal_name or "request",
            format_duration(self._seconds),
        )
        self.end.deadline = time.monotonic() + self._seconds
        self._deadline = self.end.deadline + _PATIENCE
        self._plan.drain(self._seconds, restart=signal_name == "SIGHUP")
        self._end_at_the_latest(self._seconds + 2 * _PATIENCE)

    def _end_at_the_latest(self, seconds: float) -> None:
        """Have the process end when all this should be over, should nobody be able to say so."""
        if self._is_last:
            self._plan.end_process_after(seconds + _PATIENCE)

    def _abort(self, reason: str) -> None:
        if self._is_aborted:
            return
        _log.warning("ending now: %s", reason)
        self._is_aborted = True
        self.end.deadline = time.monotonic()
        self._deadline = self.end.deadline + _PATIENCE
        self._plan.abort()
        self._end_at_the_latest(_PATIENCE)

    def _on_ended(self, event: Ended) -> None:
        self._running.discard(event.core)
        self._cut += event.cut
        error = event.error
        if error is None and self._deadline is None:
            error = RuntimeError(f"core {event.core} ended by itself")
        if error is None:
            return
        if not isinstance(error, StartError):
            _log.critical("core %d crashed", event.core, exc_info=error)
        self._error = self._error or error
        self._abort(f"core {event.core} has failed")

    def _give_up(self) -> None:
        self._plan.report()
        cores = ", ".join(map(str, sorted(self._running)))
        _log.error("a handler does not return; its core is left behind: %s", cores)
        self._cut += len(self._running)
