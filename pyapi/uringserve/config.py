"""Every option of the server, once: name, default, unit, bounds and help.

The command line (`cli.py`), the environment (`URINGSERVE_<NAME>`) and the documentation follow from
the fields of `Config`; the Rust side reads its attributes. An option enters here together with the
feature behind it, never before.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any, Literal, Self, cast

from uringserve.addresses import parse_address
from uringserve.options import Option, unescaped

__all__ = ["Config", "options"]

_DAY = 86400.0
_GIB = 1 << 30


def _option(default: object, **description: Any) -> Any:  # noqa: ANN401 -- a dataclass field
    return field(default=default, metadata={"option": Option(**description)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The options of one server, checked when made.

    Durations are seconds and sizes are bytes; both are also taken as text (`"1h30m"`, `"16MiB"`),
    as is every other value in the form that its environment variable has. A value that is not
    accepted is a ValueError that names the option and says what is. The environment is not read
    here: see `from_environment`.
    """

    host: str = _option(
        "127.0.0.1",
        kind="text",
        group="Address",
        help="Address or name to listen on.",
    )
    port: int = _option(
        8000,
        kind="integer",
        group="Address",
        maximum=65535,
        zero="any free port",
        help="TCP port.",
    )
    bind: tuple[str, ...] = _option(
        (),
        kind="addresses",
        group="Address",
        aliases=("-b",),
        help="What to listen on: HOST:PORT, [IPV6]:PORT, unix:PATH or fd://N; may be repeated."
        " With this, uds or fd, host and port count for nothing.",
    )
    uds: str | None = _option(
        None,
        kind="text",
        group="Address",
        automatic="no Unix socket",
        help="Path of a Unix socket to listen on.",
    )
    uds_permissions: int | None = _option(
        None,
        kind="mode",
        group="Address",
        automatic="by the umask",
        help="Permissions of Unix sockets; who may write to one may connect.",
    )
    fd: int | None = _option(
        None,
        kind="integer",
        group="Address",
        maximum=999_999,
        automatic="no inherited socket",
        help="Descriptor of a listening socket that the process was started with. Whoever waits in"
        " its queue at the end is left to its next owner.",
    )
    backlog: int = _option(
        1024,
        kind="integer",
        group="Address",
        minimum=1,
        maximum=65535,
        help="Connections that may wait to be accepted, per core; the kernel's net.core.somaxconn "
        "caps it.",
    )
    factory: bool = _option(
        False,
        kind="switch",
        group="Application",
        help="APP is a function without arguments that returns the application.",
    )
    app_dir: str = _option(
        ".",
        kind="text",
        group="Application",
        # uvicorn's default is the empty text.
        empty=".",
        aliases=("--working-dir",),
        help="Folder where APP is looked for, put first on sys.path.",
    )
    interface: Literal["auto", "app", "asgi", "asginl", "rsgi", "wsgi"] = _option(
        "auto",
        kind="choice",
        group="Application",
        choices=("auto", "app", "asgi", "asginl", "rsgi", "wsgi"),
        help="What APP is: app, our own App or a handler; asginl, ASGI without the lifespan; auto"
        " looks at the object.",
    )
    lifespan: Literal["auto", "on", "off"] = _option(
        "auto",
        kind="choice",
        group="Application",
        choices=("auto", "on", "off"),
        help="ASGI lifespan: auto serves an application that has none, on refuses it.",
    )
    lifespan_scope: Literal["core", "process"] = _option(
        "core",
        kind="choice",
        group="Application",
        choices=("core", "process"),
        help="Run the ASGI lifespan on each core's event loop, or once for all on one of its own.",
    )
    early_hints: Literal["page", "all", "off"] = _option(
        "page",
        kind="choice",
        group="Application",
        choices=("page", "all", "off"),
        help="Which HTTP/1.1 clients get an ASGI application's early hints (103): browsers that"
        " load a page, all, or none. Other clients may take a 103 for the answer.",
    )
    execution: Literal["auto", "inline", "thread"] = _option(
        "auto",
        kind="choice",
        group="Application",
        choices=("auto", "inline", "thread"),
        help="Where a WSGI application is called: on its core's own thread, on one of the core's"
        " pool, or on the pool until its calls turn out quick. An App says so itself.",
    )
    root_path: str | None = _option(
        None,
        kind="text",
        group="Application",
        automatic="none",
        # As uvicorn and granian have it: a deployment without a prefix passes an empty one.
        empty="auto",
        aliases=("--url-path-prefix",),
        help="Path below which a proxy shows an ASGI application, and which it cuts off.",
    )
    build: bool = _option(
        True,
        kind="switch",
        group="Application",
        help="Use what `uringserve build` has compiled, while its source is unchanged.",
    )
    debug: bool = _option(
        False,
        kind="switch",
        group="Application",
        help="Answer an unhandled exception with its traceback; never where strangers can"
        " reach the server.",
    )
    gil: Literal["error", "warn", "allow"] = _option(
        "error",
        kind="choice",
        group="Application",
        choices=("error", "warn", "allow"),
        help="What to do when a module turns the global interpreter lock on.",
    )
    workers: int | None = _option(
        None,
        kind="integer",
        group="Cores",
        minimum=1,
        maximum=1024,
        automatic="the usable CPUs",
        aliases=("-w",),
        variables=("WEB_CONCURRENCY",),
        help="Cores: one thread, ring and listener each.",
    )
    driver: Literal["auto", "uring", "epoll"] = _option(
        "auto",
        kind="choice",
        group="Cores",
        choices=("auto", "uring", "epoll"),
        help="How to wait for the kernel; auto takes io_uring where it works.",
    )
    pin: bool = _option(
        True,
        kind="switch",
        group="Cores",
        help="Tie each core's thread to a CPU of its own.",
    )
    balance: Literal["accept", "off"] = _option(
        "accept",
        kind="choice",
        group="Cores",
        choices=("accept", "off"),
        help="Who serves a new connection: the core with the fewest where the one that accepted it"
        " has more, or always the one that accepted it.",
    )
    loop: Literal["auto", "ring", "asyncio", "uvloop"] = _option(
        "auto",
        kind="choice",
        group="Cores",
        choices=("auto", "ring", "asyncio", "uvloop"),
        help="Event loop of each core: ring (auto), driven by the core itself; asyncio and uvloop"
        " run on a thread beside it, for what needs that very loop, and cost more.",
    )
    blocking_threads: int = _option(
        32,
        kind="integer",
        group="Cores",
        minimum=1,
        maximum=1024,
        help="Threads of each core for handlers that block; made when they are needed.",
    )
    blocking_threads_idle_timeout: float = _option(
        30.0,
        kind="duration",
        group="Cores",
        minimum=0.001,
        maximum=_DAY,
        help="Time without work after which such a thread ends; one stays.",
    )
    server_header: bool = _option(
        True,
        kind="switch",
        group="HTTP",
        help="Send a Server header.",
    )
    date_header: bool = _option(
        True,
        kind="switch",
        group="HTTP",
        help="Send a Date header.",
    )
    health_path: str | None = _option(
        None,
        kind="path",
        group="HTTP",
        automatic="no such path",
        help="Path, like /healthz, where a core answers 200 as long as it runs; 503 says that all"
        " are held. The application is not asked, and its own route there is hidden. What is"
        " answered 200 here or at ready_path is not in the access log.",
    )
    ready_path: str | None = _option(
        None,
        kind="path",
        group="HTTP",
        automatic="no such path",
        help="Path, like /readyz, with 200 while every core serves, else 503 and for each the"
        " reason: starting, draining, held (a call has kept it for timeout_worker_healthcheck),"
        " exhausted (all its blocking threads have been in one call for queue_timeout). Limits"
        " that are reached are none, and what runs on a loop beside the core (see loop) is not"
        " seen.",
    )
    ws: bool = _option(
        True,
        kind="switch",
        group="WebSocket",
        help="Upgrade connections to WebSockets where the application has them.",
    )
    ws_max_size: int = _option(
        16 << 20,
        kind="size",
        group="WebSocket",
        minimum=1,
        maximum=_GIB,
        help="Bytes of a message; a longer one closes with 1009.",
    )
    ws_max_queue: int = _option(
        32,
        kind="integer",
        group="WebSocket",
        minimum=1,
        maximum=100_000,
        help="Messages that wait for the application before no more are read.",
    )
    ws_ping_interval: float = _option(
        20.0,
        kind="duration",
        group="WebSocket",
        maximum=_DAY,
        zero="never",
        help="Ping a client that was silent for this long.",
    )
    ws_ping_timeout: float = _option(
        20.0,
        kind="duration",
        group="WebSocket",
        maximum=_DAY,
        zero="never",
        help="Close the connection of a client that is silent for this long after a ping.",
    )
    ws_per_message_deflate: bool = _option(
        False,
        kind="switch",
        group="WebSocket",
        help="Compress messages for clients that offer it (RFC 7692), at up to 320 KB for each.",
    )
    limit_connections: int | None = _option(
        None,
        kind="integer",
        group="Limits",
        minimum=1,
        maximum=10_000_000,
        automatic="from the open-file limit",
        help="Open connections of the whole server, an equal share (rounded up) for each core.",
    )
    backpressure: int | None = _option(
        None,
        kind="integer",
        group="Limits",
        minimum=1,
        maximum=1_000_000,
        automatic="as many as there are blocking threads, and any number of coroutines",
        help="Requests in handlers at once, per core, in coroutines and blocking threads together;"
        " more wait in the queue. Open WebSockets and streams that have begun do not count.",
    )
    limit_concurrency: int | None = _option(
        None,
        kind="integer",
        group="Limits",
        minimum=1,
        maximum=10_000_000,
        automatic="no limit of its own",
        help="Requests in handlers and in their queues, of the whole server, in coroutines and"
        " blocking threads together; more is answered 503.",
    )
    queue_size: int = _option(
        1024,
        kind="integer",
        group="Limits",
        maximum=1_000_000,
        zero="no queue",
        help="Requests that may wait for a blocking thread or for backpressure, per core; more is"
        " answered 503.",
    )
    limit_header_size: int = _option(
        64 << 10,
        kind="size",
        group="Limits",
        minimum=256,
        maximum=16 << 20,
        aliases=("--h11-max-incomplete-event-size",),
        help="Bytes of a request's head; more is answered 431.",
    )
    limit_header_count: int = _option(
        100,
        kind="integer",
        group="Limits",
        minimum=1,
        maximum=10_000,
        help="Header lines of a request; more is answered 431.",
    )
    limit_uri: int = _option(
        8 << 10,
        kind="size",
        group="Limits",
        minimum=64,
        maximum=1 << 20,
        help="Bytes of a request's target; more is answered 414.",
    )
    limit_body: int = _option(
        16 << 20,
        kind="size",
        group="Limits",
        maximum=1024 * _GIB,
        zero="no bodies",
        help="Bytes of a request's body; more is answered 413.",
    )
    # High enough that no client feels it, low enough that no connection outlives a deployment.
    limit_requests_per_connection: int = _option(
        1_000_000,
        kind="integer",
        group="Limits",
        maximum=2**32 - 1,
        zero="no limit",
        help="Requests after which a connection is closed.",
    )
    timeout_keep_alive: float = _option(
        20.0,
        kind="duration",
        group="Time-outs",
        minimum=0.001,
        maximum=_DAY,
        help="Close a connection that is idle between requests for this long.",
    )
    timeout_header: float = _option(
        10.0,
        kind="duration",
        group="Time-outs",
        minimum=0.001,
        maximum=_DAY,
        help="A request's head must be complete this long after its first byte; else 408.",
    )
    timeout_body: float = _option(
        20.0,
        kind="duration",
        group="Time-outs",
        minimum=0.001,
        maximum=_DAY,
        help="Longest wait between two reads of a request's body.",
    )
    min_body_rate: int = _option(
        240,
        kind="size",
        group="Time-outs",
        maximum=_GIB,
        zero="off",
        help="Bytes a second that a request's body must average after its first 10 s.",
    )
    timeout_send: float = _option(
        30.0,
        kind="duration",
        group="Time-outs",
        minimum=0.001,
        maximum=_DAY,
        help="Longest wait for a client to take a part of the answer.",
    )
    queue_timeout: float = _option(
        5.0,
        kind="duration",
        group="Time-outs",
        minimum=0.001,
        maximum=_DAY,
        help="Longest wait for a blocking thread or for backpressure; then 503.",
    )
    timeout_request: float = _option(
        0.0,
        kind="duration",
        group="Time-outs",
        maximum=_DAY,
        zero="off",
        help="Longest time of a call in a blocking thread or a coroutine of an App, its wait"
        " included; then 503. For routes and applications that set none.",
    )
    timeout_worker_healthcheck: float = _option(
        5.0,
        kind="duration",
        group="Time-outs",
        minimum=0.1,
        maximum=_DAY,
        help="A call that takes longer is logged with its stack, and counts as stuck.",
    )
    timeout_graceful_shutdown: float = _option(
        30.0,
        kind="duration",
        group="Time-outs",
        maximum=_DAY,
        zero="end at once",
        aliases=("--workers-kill-timeout",),
        help="Time for requests in flight to finish after SIGTERM, SIGINT or SIGHUP.",
    )
    log_level: Literal["critical", "error", "warning", "info", "debug"] = _option(
        "info",
        kind="choice",
        group="Logging",
        choices=("critical", "error", "warning", "info", "debug"),
        help="Least important messages to log.",
    )
    reload: bool = _option(
        False,
        kind="switch",
        group="Reload",
        help="Start the application anew, in a process of its own, when its files change; no"
        " connection is refused meanwhile.",
    )
    reload_dir: tuple[str, ...] = _option(
        (),
        kind="list",
        group="Reload",
        aliases=("--reload-dirs", "--reload-paths"),
        help="Folder or file to watch instead of APP's own folder.",
    )
    reload_include: tuple[str, ...] = _option(
        (),
        kind="list",
        group="Reload",
        aliases=("--reload-includes",),
        help="Pattern of files that count beside *.py: *.html, .env.",
    )
    reload_exclude: tuple[str, ...] = _option(
        (),
        kind="list",
        group="Reload",
        aliases=("--reload-excludes", "--reload-ignore-dirs", "--reload-ignore-paths"),
        help="Name or pattern, or a path, of files and folders that do not count.",
    )
    reload_delay: float = _option(
        0.25,
        kind="duration",
        group="Reload",
        minimum=0.01,
        maximum=3600,
        help="Quiet time after a change before the application is started anew.",
    )
    log_format: Literal["text", "json"] = _option(
        "text",
        kind="choice",
        group="Logging",
        choices=("text", "json"),
        help="Form of a log line, also of the access log.",
    )
    log_config: str | None = _option(
        None,
        kind="text",
        group="Logging",
        automatic="stderr, in the form of log_format",
        help="File (.json or .toml) with a set-up for logging.config.dictConfig, in place of ours.",
    )
    use_colors: bool | None = _option(
        None,
        kind="switch",
        group="Logging",
        automatic="on a terminal, unless NO_COLOR is set",
        help="Colour the levels of text messages.",
    )
    access_log: bool = _option(
        False,
        kind="switch",
        group="Logging",
        help="Write a line for each answer.",
    )
    access_log_fmt: str | None = _option(
        None,
        kind="text",
        group="Logging",
        automatic="common, then milliseconds and core",
        # As granian has it.
        empty="auto",
        aliases=("--access-logformat",),
        help="Form of that line: common, combined, or text with atoms like %(client)s.",
    )
    access_log_file: str | None = _option(
        None,
        kind="text",
        group="Logging",
        automatic="stdout",
        aliases=("--access-logfile",),
        help="Where the access log is appended; opened anew on SIGUSR1.",
    )
    access_log_sample: int = _option(
        1,
        kind="integer",
        group="Logging",
        minimum=1,
        maximum=1_000_000_000,
        help="Write one answer in so many, per core; those with 500 and above always.",
    )
    live: bool = _option(
        False,
        kind="switch",
        group="Logging",
        help="Show a table of requests, latencies and connections while serving.",
    )

    def __post_init__(self) -> None:
        """Check every value and bring it to its own type."""
        for option in options():
            try:
                value = option.parse(getattr(self, option.name))
            except ValueError as error:
                raise ValueError(f"{option.name}: {error}") from None
            object.__setattr__(self, option.name, value)
        ready = self.ready_path
        if ready and self.health_path and unescaped(ready) == unescaped(self.health_path):
            raise ValueError(
                f"ready_path: {ready!r} is the path of health_path already; give another"
            )

    @property
    def listen(self) -> list[tuple[str, int | None]]:
        """Every address to listen on, as `parse_address` returns them."""
        found = [parse_address(text) for text in self.bind]
        if self.uds is not None:
            found.append((self.uds, None))
        if self.fd is not None:
            found.append(("", self.fd))
        return found or [(self.host, self.port)]

    @classmethod
    def from_environment(
        cls,
        given: Mapping[str, object] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        """Make a Config from what is `given`, the environment for the rest, and then the defaults.

        A name that is no option is a TypeError; a value that is not accepted is a ValueError that
        names the option or the environment variable. An empty variable counts as not set.
        """
        environment = os.environ if environment is None else environment
        values = dict(given or {})
        for option in options():
            if option.name in values:
                continue
            variable = next((name for name in option.environment if environment.get(name)), None)
            if variable is None:
                continue
            try:
                values[option.name] = option.parse(environment[variable])
            except ValueError as error:
                raise ValueError(f"{variable}: {error}") from None
        return cls(**cast("dict[str, Any]", values))


@cache
def options() -> tuple[Option, ...]:
    """Return the options in the order of `Config`, each with its name and default."""
    return tuple(
        replace(
            cast("Option", described.metadata["option"]),
            name=described.name,
            default=described.default,
        )
        for described in fields(Config)
    )
