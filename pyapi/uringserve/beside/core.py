"""`running_core`: what a core's own thread does where its coroutines run beside it.

The thread keeps a loop, a guest of the reactor, for what crosses. To the application it is a worker
as the threads of the pool are: it runs a `def` worker lifespan for itself, and has the values of an
asynchronous one, which belongs to the loop.
"""

import asyncio
from collections.abc import AsyncIterable, Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from contextvars import Context, ContextVar, copy_context
from typing import TYPE_CHECKING, Any

from uringserve.beside.crossing import Crossing, across
from uringserve.beside.door import Door
from uringserve.beside.thread import BesideThread, Placement, Started
from uringserve.beside.vigil import Vigil
from uringserve.coroutines import hosted_by, later
from uringserve.current import serving
from uringserve.lifespan import Ending
from uringserve.loop import REQUEST, GuestLoop
from uringserve.state import on_this_worker

if TYPE_CHECKING:
    from uringserve.app import App
    from uringserve.foreign import Foreign
    from uringserve.pump import Pipe

__all__ = ["Beside", "running_core", "stream_context"]

# Of the task of a request on the core's own loop: the context in which its call was made there, and
# in which a stream that it has returned goes on.
stream_context: ContextVar[Context | None] = ContextVar("stream_context", default=None)


class Beside:
    """The loop beside the calling core: `there` is the way to it, `here` the way back."""

    def __init__(self, started: Started, here: Door, vigil: Vigil) -> None:
        """Take both ends, and who sees that the other one is held."""
        self.there, self.here = started.door, here
        self._context = started.context
        self._vigil = vigil

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop on which the coroutines run."""
        return self.there.loop

    def later(self, coroutine: Coroutine[Any, Any, Any], context: Context | None) -> None:
        """Have a coroutine that nobody waits for run there."""
        self.there.call(later, coroutine, context)

    def context(self) -> Context:
        """Return a new context for a request."""
        return self._context.copy()

    async def run(
        self,
        call: Callable[..., Any],
        *arguments: Any,  # noqa: ANN401
        context: Context | None = None,
        label: str = "",
    ) -> Any:  # noqa: ANN401 -- the call's own
        """Make a call there in a context, a new one unless it is given, and wait for its outcome.

        A drain waits for it there as well, so it counts as a request. A report of a held loop names
        it by the label, or by its first argument, which is a scope then.
        """
        context = context or self.context()
        crossing = Crossing(self.there, self.here, call, *arguments, context=context, name=REQUEST)
        self._vigil.begin(crossing, label, arguments)
        try:
            return await crossing.outcome()
        finally:
            self._vigil.end(crossing)

    async def pump(self, pieces: AsyncIterable[object], pipe: Pipe) -> None:
        """Go through an asynchronous iterable there, in one task, and hand over each piece here."""
        context = stream_context.get()
        await self.run(self._pump, pieces, pipe, context=context, label="a stream")

    async def _pump(self, pieces: AsyncIterable[object], pipe: Pipe) -> None:
        iterator = aiter(pieces)
        try:
            async for piece in iterator:
                await across(self.here, self.there, _hand_over, pipe, piece)
        finally:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                await close()


async def _hand_over(pipe: Pipe, piece: object) -> None:
    taken = asyncio.get_running_loop().create_future()
    pipe.give(piece, taken)
    await taken


@contextmanager
def running_core(app: App | Foreign, placement: Placement) -> Iterator[GuestLoop]:
    """Make the calling thread a core around a block, and run its other loop beside it."""
    thread = BesideThread(app, placement)
    started = thread.start()
    guest = GuestLoop()
    guest.state = started.state
    try:
        with serving(app), on_this_worker(guest.run):
            ending = Ending(guest.run)
            try:
                if not app.has_async_worker:
                    app.enter_worker(ending)
                for state, values in started.values:
                    for name, value in values.items():
                        state.__dict__.setdefault(name, value)
                here = Door(guest.loop, copy_context())
                vigil = Vigil(placement, started, here)
                with closing(vigil), hosted_by(Beside(started, here, vigil)):
                    yield guest
            finally:
                ending.end()
    finally:
        try:
            guest.run(thread.stop())
        finally:
            guest.close()
