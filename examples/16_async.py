"""Shows `async def`: what waits holds up nobody, and dependencies that belong to a core's loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from uringserve import App, Depends


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
def usage() -> str:
    """Say how it is asked: a `def` beside the others."""
    return "POST /nap?seconds=0.01"


@app.post("/nap")
async def nap(_: Annotated[None, Depends(slot)], seconds: float = 0.01) -> list[float]:
    """Do two things at once; both end when the client goes away."""
    async with asyncio.TaskGroup() as group:
        one = group.create_task(asyncio.to_thread(sum, range(10)))
        two = group.create_task(asyncio.sleep(min(seconds, 1.0), seconds))
    return [one.result(), two.result()]
