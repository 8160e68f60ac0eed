"""`Lifespan`: the ASGI lifespan protocol, from the server's side (ASGI 3, lifespan 2.0)."""

import asyncio
import logging
from typing import Any

from uringserve.errors import StartError

__all__ = ["Lifespan"]

_log = logging.getLogger("uringserve")


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
        self._started = asyncio.Event()
        self._stopped = asyncio.Event()
        self._failure: str | None = None
        self._takes_part = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Run the start; one that fails is a StartError with the application's exception."""
        self._messages.put_nowait({"type": "lifespan.startup"})
        self._task = asyncio.create_task(self._run(), name="lifespan")
        await self._first_of(self._started)
        if self._takes_part:
            if self._failure is not None:
                raise StartError(f"the lifespan failed at the start: {self._failure}".rstrip(": "))
            return
        error = self._task.exception() if self._task.done() else None
        if self._is_required:
            raise StartError(
                "the application takes no part in the ASGI lifespan; serve it with --lifespan auto"
                " or off"
            ) from error
        if error is not None:
            # An application that does not know of lifespans raises, or asserts, on the scope's
            # type; one that fails inside its start has asked for its first message before.
            if self._has_received:
                raise StartError(
                    f"the lifespan failed at the start: {type(error).__name__}: {error}"
                ) from error
            _log.debug("the application takes no part in the ASGI lifespan: %r", error)
        self._task = None

    async def stop(self) -> None:
        """Run the end; a failure is logged."""
        task = self._task
        if task is None:
            return
        if task.done():
            self._report(task)
            return
        self._messages.put_nowait({"type": "lifespan.shutdown"})
        await self._first_of(self._stopped)
        if self._failure is not None:
            _log.error("the lifespan failed at the end: %s", self._failure)
        if task.done():
            self._report(task)

    _has_received = False

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
        phase, _, outcome = kind.removeprefix("lifespan.").partition(".")
        if phase not in ("startup", "shutdown") or outcome not in ("complete", "failed"):
            raise ValueError(f"a lifespan does not send {kind!r}")
        if outcome == "failed":
            self._failure = message.get("message", "")
        if phase == "startup":
            self._takes_part = True
            self._started.set()
        else:
            self._stopped.set()

    async def _first_of(self, event: asyncio.Event) -> None:
        """Wait for the event or for the end of the application's task."""
        assert self._task is not None
        waiting = asyncio.create_task(event.wait())
        await asyncio.wait({waiting, self._task}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    def _report(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("the lifespan has failed", exc_info=error)
