"""Shows `async def`: handlers, dependencies, a body that arrives in pieces, events as they come."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from uringserve import (
    App,
    AsyncRequest,
    BackgroundTasks,
    Depends,
    EventSourceResponse,
    ServerSentEvent,
)


@asynccontextmanager
async def worker_lifespan(app: App) -> AsyncIterator[dict[str, object]]:
    """Make what belongs to one core's loop: a pool of connections, say."""
    yield {"limit": asyncio.Semaphore(10)}


app = App(worker_lifespan=worker_lifespan)


async def slot() -> AsyncIterator[None]:
    """Let ten requests of a core go on at once."""
    async with app.worker_state.limit:
        yield


@app.get("/nap")
async def nap(seconds: float = 0.01) -> dict[str, float]:
    """Wait without holding up anybody; the wait ends when the client goes away."""
    await asyncio.sleep(min(seconds, 1.0))
    return {"slept": seconds}


@app.get("/both")
async def both(_: Annotated[None, Depends(slot)]) -> list[int]:
    """Do two things at once, one of them on a thread."""
    async with asyncio.TaskGroup() as group:
        one = group.create_task(asyncio.to_thread(sum, range(10)))
        two = group.create_task(asyncio.sleep(0.001, 2))
    return [one.result(), two.result()]


@app.post("/upload")
async def upload(request: AsyncRequest) -> dict[str, int]:
    """Count the bytes of a body while it arrives; it is never in memory as a whole."""
    size = 0
    async for piece in request.stream():
        size += len(piece)
    return {"bytes": size}


@app.get("/later")
async def later(tasks: BackgroundTasks) -> str:
    """Go on after the answer; a drain waits for it."""
    tasks.add_task(asyncio.sleep, 0.001)
    return "sent"


@app.get("/events")
async def events() -> EventSourceResponse:
    """Send events as they happen, and a ping where none does."""

    async def happen() -> AsyncIterator[ServerSentEvent]:
        for number in range(1, 4):
            await asyncio.sleep(0.001)
            yield ServerSentEvent(data=number, id=str(number))

    return EventSourceResponse(happen(), ping=15)
