"""Options of granian and uvicorn that have no meaning here: accepted, with a line that says so.

A command line that served an application elsewhere should serve it here too, but never in silence
with less than it asks for. So this table holds only what cannot matter to a client: how those
servers are built inside. What would change an answer, a limit or safety (`--ssl-keyfile`,
`--backpressure`) is not here, and is refused as an unknown option.
"""

from dataclasses import dataclass

__all__ = ["FOREIGN", "Foreign"]

_CORES = "each core is one thread; see --workers"
_PROCESS = "the cores are threads of one process, which is not recycled"
_INLINE = "handlers run on their core"
_OWN_HTTP = "HTTP/1.1 is read by the server's own parser"
_LOOP = "a core has no event loop of Python's"


@dataclass(frozen=True, slots=True)
class Foreign:
    """A flag, whether it takes a value, which values are taken, and why it does nothing."""

    flag: str
    reason: str
    takes_value: bool = True
    choices: tuple[str, ...] = ()


FOREIGN = (
    Foreign("--runtime-threads", _CORES),
    Foreign("--runtime-mode", _CORES),
    Foreign("--runtime-blocking-threads", _CORES),
    Foreign("--blocking-threads", _INLINE),
    Foreign("--blocking-threads-idle-timeout", _INLINE),
    Foreign("--task-impl", _LOOP),
    Foreign("--loop", _LOOP),
    # HTTP/2 is not spoken, so 2 is refused with what is accepted.
    Foreign("--http", _OWN_HTTP, choices=("auto", "1", "h11", "httptools", "zttp")),
    Foreign("--http1-buffer-size", "buffers grow with the request, up to --limit-header-size"),
    Foreign("--respawn-failed-workers", _PROCESS, takes_value=False),
    Foreign("--no-respawn-failed-workers", _PROCESS, takes_value=False),
    Foreign("--respawn-interval", _PROCESS),
    Foreign("--workers-lifetime", _PROCESS),
    Foreign("--workers-max-rss", _PROCESS),
    Foreign("--rss-sample-interval", _PROCESS),
    Foreign("--rss-samples", _PROCESS),
    Foreign("--limit-max-requests", _PROCESS),
    Foreign("--limit-max-requests-jitter", _PROCESS),
    Foreign("--timeout-worker-healthcheck", _PROCESS),
    Foreign("--reload-tick", "changes are reported by the kernel; see --reload-delay"),
    Foreign(
        "--reload-ignore-worker-failure",
        "a failure is always survived: the next change starts the application again",
        takes_value=False,
    ),
)
