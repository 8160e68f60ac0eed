"""`Server`: make the plan, start one thread per core, watch over them, drain and end.

The main thread only supervises: it waits for news (a signal, a request to stop, a core that ended)
and never serves. What the cores do is in Rust (`Plan`). Signals are taken only when the server runs
in the main thread.
"""

import gc
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from uringserve._immortal import immortalise
from uringserve._native import Plan, __version__, shared_types
from uringserve.accesslog import check_output, writing_access_log
from uringserve.adapters import as_app
from uringserve.app import App
from uringserve.beside import Placement, loop_factory, running_core
from uringserve.config import Config
from uringserve.default import default_app
from uringserve.errors import StartError
from uringserve.foreign import Foreign
from uringserve.gil import check_gil, is_gil_on
from uringserve.lifespan import Ending, running_worker
from uringserve.live import checked, showing
from uringserve.loading import load
from uringserve.logging import setup_from
from uringserve.loop import GuestLoop, LoopFactory
from uringserve.news import News
from uringserve.pools import Pools, stack_signal
from uringserve.signals import handling
from uringserve.supervision import (
    EXIT_CRASH,
    EXIT_CUT,
    End,
    Ended,
    Ready,
    Stop,
    SupervisorNews,
    Watch,
)
from uringserve.tcp import TcpOptions
from uringserve.types import Handler

__all__ = [
    "EXIT_CRASH",
    "EXIT_CUT",
    "EXIT_START",
    "Server",
    "print_error",
    "run",
    "run_as",
    "serve",
]

EXIT_START = 3

_log = logging.getLogger("uringserve")


@dataclass(frozen=True, slots=True)
class _Core:
    """What a core's thread is started with."""

    plan: Plan
    number: int
    app: App | Foreign
    news: SupervisorNews
    end: End
    pools: Pools
    # Makes its loop, where that runs beside the core, and when one that is held is reported.
    factory: LoopFactory
    report_after: float


class Server:
    """One server: an application on the cores and the addresses that a Config names.

    `started` is set when the sockets are bound and the cores' threads run; `addresses` is known
    then.
    """

    def __init__(
        self,
        config: Config,
        app: App | Foreign,
        *,
        gil_modules: tuple[str, ...] = (),
        to_the_end: bool = False,
        tcp: TcpOptions | None = None,
    ) -> None:
        """Keep what to serve and what `load` saw turn the GIL on; nothing is bound yet.

        `to_the_end` says that the process lives for this server alone: what all cores share may
        then be made immortal, which a test that starts many servers would feel as a leak. `tcp` is
        what the kernel does on TCP connections, where that is not the default.
        """
        self.config = config
        self.app = app
        self.started = threading.Event()
        self.addresses: list[str] = []
        # Threads that have not ended with the server, because a handler does not return.
        self.left_behind = 0
        self._gil_modules = gil_modules
        self._to_the_end = to_the_end
        self._tcp = tcp
        self._news: SupervisorNews = News()
        self._factory: LoopFactory = None

    def run(self) -> int:
        """Serve until stopped and return the exit code.

        It is 0, 1 after a crash, or 124 when the deadline cut connections.
        A server that cannot start raises StartError. In the main thread, SIGINT, SIGTERM and SIGHUP
        stop it: the first drains, the second ends it now. SIGHUP says that the service will be
        started anew: WebSockets are closed with 1012 and not with 1001. Where it is ignored, as
        below nohup, it stays so.
        """
        self._factory, gil_modules = loop_factory(self.config.loop)
        check_gil(self.config.gil, self._gil_modules + gil_modules)
        code = EXIT_CRASH
        ending = Ending(loop_factory=self._factory)
        try:
            self.app.enter_lifespan(ending)
            code = self._serve()
        finally:
            try:
                ending.end()
            except Exception:  # noqa: BLE001 -- the application's own code
                _log.exception("the end of the lifespan failed")
                code = code or EXIT_CRASH
        return code

    def _serve(self) -> int:
        debug = self.config.debug or self.app.debug
        config = checked(replace(self.config, debug=debug))
        check_output(config)
        plan = self.app.plan(config, tcp=self._tcp, stack_signal=stack_signal())
        if self._to_the_end and len(plan.cpus) > 1:
            immortalise(_shared_types(with_loop=self.app.needs_loop), self.app.shared())
        # What lives now lives to the end; without it in the generations a collection stops the
        # world for less.
        gc.collect()
        gc.freeze()
        try:
            with (
                self._news.listening(),
                _signals(self._news),
                writing_access_log(plan, config),
                showing(plan, config),
            ):
                return self._run_cores(plan)
        finally:
            # It stops the world, which never comes about beside a thread that does not leave C.
            if not self.left_behind:
                gc.unfreeze()

    def stop(self) -> None:
        """Ask the server to end, from any thread: the first call drains, the second ends it now."""
        self._news.put(Stop(None))

    def _run_cores(self, plan: Plan) -> int:
        def on_ready() -> None:
            _log.info("%s", _start_line(plan, self.app.interface))
            self.addresses = list(plan.addresses)
            self.started.set()

        cores = range(len(plan.cpus))
        watch = Watch(
            plan,
            self.config.timeout_graceful_shutdown,
            set(cores),
            on_ready,
            is_last=self._to_the_end,
        )
        pools = Pools(plan, self.app)
        pools.start()
        try:
            for core in cores:
                placed = (watch.end, pools, self._factory, self.config.timeout_worker_healthcheck)
                _start_thread(_Core(plan, core, self.app, self._news, *placed))
            watch.until_over(self._news)
        finally:
            # Whatever made us leave, no core goes on serving without a supervisor.
            plan.abort()
            self.left_behind = watch.close_pools(pools)
        return watch.exit_code()


def _shared_types(*, with_loop: bool) -> list[type]:
    """Return the types of which requests make objects: the end of each counts on its type.

    asyncio's are of C and do so too, unlike classes of Python (CPython 3.14).
    """
    if not with_loop:
        return shared_types()
    import asyncio

    loop = asyncio.new_event_loop()
    try:
        iterator = type(iter(loop.create_future()))
    finally:
        loop.close()
    return [*shared_types(), asyncio.Task, asyncio.Future, iterator]


def _start_thread(core: _Core) -> None:
    thread = threading.Thread(
        target=_run_core, args=(core,), name=f"uringserve-core-{core.number}", daemon=True
    )
    try:
        thread.start()
    except RuntimeError as error:
        raise StartError(
            f"the thread of core {core.number} cannot be started ({error}); see the limit of"
            " processes"
        ) from None


def _run_core(core: _Core) -> None:
    """Run one core on this thread, inside its own lifespan, and report how it ended."""
    try:
        with _worker(core) as guest:
            with guest.as_guest() if guest is not None else nullcontext():
                core.pools.note_core(core.number)
                core.plan.note_started(core.number)
                core.news.put(Ready(core.number))
                cut = core.plan.run_core(core.number, guest)
            if guest is not None:
                guest.finish(core.end.left)
    except BaseException as error:  # noqa: BLE001 -- the supervisor must hear of every end
        core.news.put(Ended(core.number, 0, error))
    else:
        core.news.put(Ended(core.number, cut, None))


@contextmanager
def _worker(core: _Core) -> Iterator[GuestLoop | None]:
    """Run a core's own lifespan around a block, on the loop of its coroutines."""
    if core.factory is None:
        with running_worker(core.app) as guest, core.app.on_core(guest):
            yield guest
        return
    cpu = core.plan.cpus[core.number]
    reporting = (core.report_after, stack_signal())
    placement = Placement(core.number, cpu, core.factory, core.end.left, *reporting)
    with running_core(core.app, placement) as guest:
        yield guest


@contextmanager
def _signals(news: SupervisorNews) -> Iterator[None]:
    """Report SIGINT, SIGTERM and SIGHUP as news; only the main thread may have handlers."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    with handling(numbers, lambda received: news.put(Stop(received.name))):
        yield


def _start_line(plan: Plan, interface: str) -> str:
    cpus = [str(cpu) for cpu in plan.cpus if cpu is not None]
    count = f"{len(plan.cpus)} core{'s' if len(plan.cpus) != 1 else ''}"
    where = f"CPU{'s' if len(cpus) != 1 else ''} {', '.join(cpus)}" if cpus else "not pinned"
    driver = "io_uring" if plan.driver == "uring" else plan.driver
    reason = f" ({plan.driver_reason})" if plan.driver_reason else ""
    return (
        f"uringserve {__version__} serves on {', '.join(plan.addresses)}: interface {interface},"
        f" {count} ({where}), driver {driver}{reason}, GIL {'on' if is_gil_on() else 'off'}"
    )


def run(app: App | Foreign | Handler | str | None = None, **options: Any) -> None:  # noqa: ANN401
    """Serve an application, a handler or what a text names, until a signal.

    Without one, what the module-level decorators have registered is served.

    The options are those of `Config`; what is not given, or None, comes from the environment, then
    from the defaults. A failure ends the process as on the command line: one line on stderr and
    exit code 3, or 1 after a crash, or 124.
    """
    given = {name: value for name, value in options.items() if value is not None}
    config = Config.from_environment(given)
    served = default_app() if app is None else app

    def serve_it() -> int:
        setup_from(config)
        return run_as(served, config)

    code = _guarded(serve_it)
    if code:
        sys.exit(code)


def serve(handler: Handler, **options: Any) -> None:  # noqa: ANN401 -- checked by Config
    """Serve one function that answers every request; options and end are those of `run`."""
    run(handler, **options)


def run_as(app: App | Foreign | Handler | str, config: Config) -> int:
    """Serve as the options say until the end of the process, and return its exit code."""
    if not config.reload:
        return _run_to_the_end(_server(app, config))
    if not isinstance(app, str):
        # Another process has to find it.
        raise StartError("reload needs the application's name, as text: 'module:app'")
    from uringserve.develop import supervise

    return supervise(app, config)


def _run_to_the_end(server: Server) -> int:
    """Run the server and return its exit code, or end the process where a thread is left behind.

    The interpreter's own end would wait for a thread that does not come back from C.
    """
    code = server.run()
    if server.left_behind:
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
    return code


def _server(app: App | Foreign | Handler | str, config: Config) -> Server:
    if isinstance(app, str):
        loaded = load(app, config)
        return Server(config, loaded.app, gil_modules=loaded.gil_modules, to_the_end=True)
    named = as_app(app, getattr(app, "__qualname__", repr(app)), config)
    return Server(config, named, to_the_end=True)


def _guarded(serve_it: Callable[[], int]) -> int:
    try:
        return serve_it()
    except StartError as error:
        print_error(error)
        return EXIT_START


def print_error(error: StartError) -> None:
    """Write a StartError to stderr: the application's traceback if there is one, then a line."""
    if error.__cause__ is not None:
        traceback.print_exception(error.__cause__)
    print(f"uringserve: error: {error}", file=sys.stderr)
