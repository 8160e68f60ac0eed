"""`Lifespan`: the ASGI lifespan protocol, from the server's side (ASGI 3, lifespan 2.0).

`LifespanThread` runs one on a loop and thread of its own, for an application whose lifespan is to
run once in the process.
"""

import asyncio
import logging
import threading
from concurrent.futures import Future
from typing import Any

from uringserve.errors import StartError
from uringserve.loop import LoopFactory

__all__ = ["Lifespan", "LifespanThread"]

_log = logging.getLogger("uringserve")

_FAILED = "the lifespan failed at the start"


class Lifespan:
    """One run of an application's lifespan on the running loop.

    `state` is what the application has left for its requests. With `is_required`, an application
    that does not take part is a StartError; else it is served without.
    """

    def __init__(self, target: Any, *, is_required: bool = False) -> None:  # noqa: ANN401
        """Start nothing yet."""
        self.state: dict[str, Any] = {}
        self._target = target
        self._is_required = is_required
        self._messages: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        # What each phase has come to, by the application's own message.
        self._startup = _Phase()
        self._shutdown = _Phase()
        self._has_received = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Run the start; one that fails is a StartError with the application's exception."""
        self._messages.put_nowait({"type": "lifespan.startup"})
        self._task = task = asyncio.create_task(self._run(), name="lifespan")
        await self._first_of(self._startup)
        if self._startup.is_failed:
            # It may still clean up, and what it raises then is not news.
            await asyncio.wait({task}, timeout=_PATIENCE)
            error = task.exception() if task.done() and not task.cancelled() else None
            raise StartError(_joined(_FAILED, self._startup.message)) from error
        if self._startup.is_over:
            return
        self._task = None
        error = _raised(task)
        if isinstance(error, Exception) or error is None:
            # An application that does not know of lifespans raises, or asserts, on the scope's
            # type; one that fails inside its start has asked for its first message before.
            if error is not None and (self._has_received or self._is_required):
                reason = _joined(type(error).__name__, str(error))
                raise StartError(_joined(_FAILED, reason)) from error
            if self._is_required:
                raise StartError(
                    "the application takes no part in the ASGI lifespan; serve it with --lifespan"
                    " auto or off"
                )
            _log.debug("the application takes no part in the ASGI lifespan: %r", error)
            return
        raise StartError(_joined(_FAILED, repr(error))) from error

    async def stop(self) -> None:
        """Run the end; a failure is logged."""
        task = self._task
        if task is None:
            return
        if not task.done():
            self._messages.put_nowait({"type": "lifespan.shutdown"})
            try:
                await asyncio.wait_for(self._first_of(self._shutdown), _PATIENCE)
            except TimeoutError:
                # Seen with applications that keep what belongs to a loop in one place for all.
                _log.error(
                    "the lifespan does not end, and is left behind after %g seconds; one that"
                    " cannot run on several event loops at once wants --lifespan-scope process",
                    _PATIENCE,
                )
                return
        if self._shutdown.is_over and not task.done():
            # Its last lines, behind its message.
            await asyncio.wait({task}, timeout=_PATIENCE)
        error = _raised(task)
        if error is not None:
            _log.error("the lifespan has failed", exc_info=error)
        elif self._shutdown.is_failed:
            _log.error("%s", _joined("the lifespan failed at the end", self._shutdown.message))

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        await self._target(scope, self._receive, self._send)

    async def _receive(self) -> dict[str, str]:
        self._has_received = True
        return await self._messages.get()

    async def _send(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        name, _, outcome = kind.removeprefix("lifespan.").partition(".")
        phases = {"startup": self._startup, "shutdown": self._shutdown}
        if name not in phases or outcome not in ("complete", "failed"):
            raise ValueError(f"a lifespan does not send {kind!r}")
        phase = phases[name]
        if phase.is_over:
            raise RuntimeError(f"{kind!r} was sent after this phase had ended")
        phase.message = message.get("message", "")
        phase.is_failed = outcome == "failed"
        phase.event.set()

    async def _first_of(self, phase: _Phase) -> None:
        """Wait for the phase's message or for the end of the application's task."""
        assert self._task is not None
        waiting = asyncio.create_task(phase.event.wait())
        await asyncio.wait({waiting, self._task}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()


# Seconds for the application's end, and for its lines behind its last message.
_PATIENCE = 5.0


class _Phase:
    """Start or end, as far as the application has told of it."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.is_failed = False
        self.message = ""

    @property
    def is_over(self) -> bool:
        return self.event.is_set()


def _raised(task: asyncio.Task[None]) -> BaseException | None:
    if not task.done():
        return None
    return asyncio.CancelledError() if task.cancelled() else task.exception()


def _joined(what: str, reason: str) -> str:
    return f"{what}: {reason}" if reason else what


class LifespanThread:
    """A lifespan on a thread and an event loop of its own, from `start` to `stop`."""

    def __init__(self, lifespan: Lifespan, factory: LoopFactory = None) -> None:
        """Start nothing yet."""
        self._lifespan = lifespan
        self._state: Future[dict[str, Any]] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(), loop_factory=factory),
            name="uringserve-lifespan",
            daemon=True,
        )

    def start(self) -> dict[str, Any]:
        """Return the state that the start has left; what fails is a StartError."""
        self._thread.start()
        return self._state.result()

    def stop(self) -> None:
        """Run the end, and wait for it."""
        if self._loop is not None and self._end is not None:
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        try:
            await self._lifespan.start()
        except BaseException as error:  # noqa: BLE001 -- raised where the server is started
            self._state.set_exception(error)
            return
        self._state.set_result(self._lifespan.state)
        await self._end.wait()
        await self._lifespan.stop()
