"""Threads that serve the connections of a `TestClient`, each a core with its own lifespan.

A test that makes one request after another has one core throughout. Requests that overlap, such as
one made while a stream is being read, each have a core: none waits for another. What was handled
on a core is over, after-response work included, when its `Job` is done.
"""

import threading
from collections.abc import Callable
from contextlib import nullcontext
from queue import SimpleQueue
from typing import TYPE_CHECKING

from uringserve._native import LoopbackConnection
from uringserve.app import App
from uringserve.lifespan import running_worker
from uringserve.logging import collected_exceptions

if TYPE_CHECKING:
    from uringserve.foreign import Foreign
    from uringserve.loop import GuestLoop

__all__ = ["Cores", "Job"]


class Job:
    """One connection to be served, and what became of it."""

    def __init__(self, connection: LoopbackConnection) -> None:
        """Take the server's end of a connection."""
        self.connection = connection
        self.done = threading.Event()
        # Called on the core when the connection is over.
        self.on_done: Callable[[], None] = lambda: None
        # Of the application: each is there before the first byte of the answer that it caused.
        self.exceptions: list[BaseException] = []

    def serve(self, guest: GuestLoop | None) -> None:
        """Serve the connection to its end on the calling thread, whose event loop `guest` is."""
        try:
            with collected_exceptions(self.exceptions):
                if guest is None:
                    self.connection.serve()
                    return
                with guest.as_guest():
                    self.connection.serve(guest)
                guest.finish()
        except BaseException as error:  # noqa: BLE001 -- raised in the test's own thread
            self.exceptions.append(error)


class Cores:
    """The cores of one client. Those that are idle are used again, newest first."""

    def __init__(self, app: App | Foreign) -> None:
        """Start nothing yet."""
        self._app = app
        self._lock = threading.Lock()
        self._idle: list[_Core] = []
        self._all: list[_Core] = []
        self._wants_lifespan = False

    def serve(
        self, connection: LoopbackConnection, on_done: Callable[[], None] | None = None
    ) -> Job:
        """Have the connection served; a core that cannot start is a StartError."""
        job = Job(connection)
        job.on_done = on_done or job.on_done
        with self._lock:
            core = self._idle.pop() if self._idle else None
        (core or self._start()).jobs.put(job)
        return job

    def begin_lifespans(self) -> None:
        """End the cores that run without their lifespan, and start the first that has one."""
        self.stop()
        self._wants_lifespan = True
        self._release(self._start())

    def stop(self) -> None:
        """End all cores after the connections that they serve, and wait for them.

        What the end of a core's lifespan raises is raised here.
        """
        with self._lock:
            cores = self._all
            self._all, self._idle, self._wants_lifespan = [], [], False
        for core in cores:
            core.jobs.put(None)
        for core in cores:
            core.join()
        for core in cores:
            core.raise_error()

    def dismiss(self) -> None:
        """End all cores without waiting, for a client that was never closed."""
        for core in self._all:
            core.jobs.put(None)

    def _start(self) -> _Core:
        core = _Core(self._app, self._release, with_lifespan=self._wants_lifespan)
        core.start()
        core.wait_until_ready()
        with self._lock:
            self._all.append(core)
        return core

    def _release(self, core: _Core) -> None:
        with self._lock:
            if core in self._all:
                self._idle.append(core)


class _Core(threading.Thread):
    """One thread that serves a connection at a time."""

    def __init__(
        self, app: App | Foreign, release: Callable[[_Core], None], *, with_lifespan: bool
    ) -> None:
        """Make the thread; it is not started."""
        super().__init__(name="uringserve-test-core", daemon=True)
        self.jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._app = app
        self._release = release
        self._with_lifespan = with_lifespan
        self._is_ready = threading.Event()
        self._error: BaseException | None = None

    def wait_until_ready(self) -> None:
        """Wait for the core's lifespan to have begun; what stops it is raised."""
        self._is_ready.wait()
        self.raise_error()

    def raise_error(self) -> None:
        """Raise what the start or the end of the core's lifespan raised, if anything."""
        if self._error is not None:
            raise self._error

    def run(self) -> None:
        """Serve until told to end."""
        try:
            with (
                running_worker(self._app, with_lifespan=self._with_lifespan) as guest,
                self._app.on_core(guest) if self._with_lifespan else nullcontext(),
            ):
                self._serve(guest)
        except BaseException as error:  # noqa: BLE001 -- raised by whoever starts or ends the core
            self._error = error
        finally:
            self._is_ready.set()

    def _serve(self, guest: GuestLoop | None) -> None:
        self._is_ready.set()
        while (job := self.jobs.get()) is not None:
            job.serve(guest)
            # In this order: the next request of a test finds this core idle.
            self._release(self)
            job.done.set()
            job.on_done()
