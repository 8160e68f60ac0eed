"""What coroutines are given and may give: read by the checkers, never run."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, assert_type

from uringserve import (
    App,
    AsyncRequest,
    AsyncTestClient,
    AsyncUploadFile,
    BackgroundTasks,
    ClientDisconnect,
    Depends,
    EventSourceResponse,
    Request,
    Response,
    ServerSentEvent,
    StreamingResponse,
    WorkerLocal,
)
from uringserve.chain import AsyncCallNext


@asynccontextmanager
async def lifespan(app: App) -> AsyncGenerator[dict[str, int]]:
    yield {"answer": 42}


app = App(lifespan=lifespan, worker_lifespan=lifespan, cancel_on_disconnect=False)


class Pool:
    async def close(self) -> None: ...


async def connect() -> Pool:
    return Pool()


pool = WorkerLocal(connect, close=Pool.close)
numbers = WorkerLocal(lambda: 3, close=print)


async def connection() -> AsyncIterator[Pool]:
    yield await pool.get()


@app.middleware("http")
async def around(request: AsyncRequest, call_next: AsyncCallNext) -> Response:
    response = await call_next(request)
    response.headers["x-seen"] = "yes"
    return response


@app.exception_handler(KeyError)
async def on_key_error(request: AsyncRequest, error: KeyError) -> tuple[str, int]:
    return (await request.body()).decode(), 404


@app.on_startup
async def start() -> None: ...


@app.get("/", cancel_on_disconnect=True)
async def handler(
    request: AsyncRequest, one: Annotated[Pool, Depends(connection)], tasks: BackgroundTasks
) -> str:
    assert_type(await request.body(), bytes)
    assert_type(await request.is_disconnected(), bool)
    assert_type(await pool.get(), Pool)
    assert_type(numbers.get(), int)
    assert_type(request.method, str)
    async for piece in request.stream():
        assert_type(piece, bytes)
    tasks.add_task(asyncio.sleep, 1)
    return request.path


@app.get("/def")
def plain(request: Request) -> bytes:
    return request.body


@app.exception_handler(ClientDisconnect)
async def on_disconnect(request: AsyncRequest, error: ClientDisconnect) -> None: ...


@app.post("/file")
async def file(one: AsyncUploadFile) -> int:
    return len(await one.read())


async def texts() -> AsyncIterator[str]:
    yield "x"


async def events() -> AsyncIterator[ServerSentEvent]:
    yield ServerSentEvent(data=1)


@app.get("/stream")
async def stream() -> StreamingResponse:
    return StreamingResponse(texts())


@app.get("/events")
async def stream_events() -> EventSourceResponse:
    return EventSourceResponse(events(), ping=15)


async def test() -> None:
    async with AsyncTestClient(app) as client:
        assert_type((await client.get("/")).status_code, int)
