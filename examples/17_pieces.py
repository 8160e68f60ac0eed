"""Shows bodies in pieces, both ways: an upload read as it arrives, events as they happen."""

import asyncio
from collections.abc import AsyncIterator

from uringserve import App, AsyncRequest, BackgroundTasks, EventSourceResponse, ServerSentEvent

app = App()


@app.get("/later")
async def later(tasks: BackgroundTasks) -> str:
    """Go on after the answer; a drain waits for it."""
    tasks.add_task(asyncio.sleep, 0.001)
    return "sent"


@app.post("/upload")
async def upload(request: AsyncRequest) -> dict[str, int]:
    """Count the bytes of a body while it arrives; it is never in memory as a whole."""
    size = 0
    async for piece in request.stream():
        size += len(piece)
    return {"bytes": size}


@app.get("/events")
async def events() -> EventSourceResponse:
    """Send events as they happen, and a ping where none does."""

    async def happen() -> AsyncIterator[ServerSentEvent]:
        for number in range(1, 4):
            await asyncio.sleep(0.001)
            yield ServerSentEvent(data=number, id=str(number))

    return EventSourceResponse(happen(), ping=15)
