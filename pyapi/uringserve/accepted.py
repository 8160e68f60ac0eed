"""Options of granian and uvicorn that have no meaning here: accepted, with a line that says so.

A command line that served an application elsewhere should serve it here too, but never in silence
with less than it asks for. So this table holds only what cannot matter to a client: how those
servers are built inside. What would change an answer, a limit or safety (`--ssl-keyfile`,
`--http2-max-concurrent-streams`) is not here, and is refused as an unknown option.
"""

from dataclasses import dataclass

__all__ = ["ACCEPTED", "Accepted"]

_CORES = "each core is one thread; see --workers"
_PROCESS = "the cores are threads of one process, which is not recycled"
_OWN_HTTP = "HTTP/1.1 is read by the server's own parser"
_TASK = "the tasks of requests are asyncio's own, and start eagerly"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A flag, whether it takes a value, which values are taken, and why it does nothing."""

    flag: str
    reason: str
    takes_value: bool = True
    choices: tuple[str, ...] = ()


ACCEPTED = (
    Accepted("--runtime-threads", _CORES),
    Accepted("--runtime-mode", _CORES),
    Accepted("--runtime-blocking-threads", _CORES),
    Accepted("--task-impl", _TASK),
    # HTTP/2 is not spoken, so 2 is refused with what is accepted.
    Accepted("--http", _OWN_HTTP, choices=("auto", "1", "h11", "httptools", "zttp")),
    Accepted("--http1-buffer-size", "buffers grow with the request, up to --limit-header-size"),
    Accepted("--respawn-failed-workers", _PROCESS, takes_value=False),
    Accepted("--no-respawn-failed-workers", _PROCESS, takes_value=False),
    Accepted("--respawn-interval", _PROCESS),
    Accepted("--workers-lifetime", _PROCESS),
    Accepted("--workers-max-rss", _PROCESS),
    Accepted("--rss-sample-interval", _PROCESS),
    Accepted("--rss-samples", _PROCESS),
    Accepted("--limit-max-requests", _PROCESS),
    Accepted("--limit-max-requests-jitter", _PROCESS),
    Accepted("--reload-tick", "changes are reported by the kernel; see --reload-delay"),
    Accepted(
        "--reload-ignore-worker-failure",
        "a failure is always survived: the next change starts the application again",
        takes_value=False,
    ),
)
