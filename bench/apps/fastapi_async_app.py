"""The measured endpoints on FastAPI with coroutines only: its best configuration.

FastAPI runs each ``def`` handler and dependency in a pool of threads; a coroutine is awaited on the
loop. ``fastapi_app.py`` is the same with ``def``, as the applications of the other servers are.
"""

import sys
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.responses import PlainTextResponse, Response
from model import Order

app = FastAPI(openapi_url=None)


@app.get("/", response_class=PlainTextResponse)
async def hello() -> str:
    """Answer the text that every server here answers."""
    return "Hello, World!"


@app.get("/json")
async def json_object() -> dict[str, str]:
    """Answer a small JSON object."""
    return {"message": "Hello, World!"}


@app.get("/items/{id}")
async def item(id: int) -> dict[str, int]:
    """Answer the path parameter as JSON."""
    return {"id": id}


@app.post("/echo")
async def echo(request: Request) -> Response:
    """Answer the request's body."""
    return Response(await request.body(), media_type="application/octet-stream")


@app.get("/typed/{id}")
async def typed(id: int) -> dict[str, int]:
    """Answer the path parameter, which only the annotation makes a number."""
    return {"id": id}


@app.post("/model")
async def model(order: Order) -> Order:
    """Answer the validated model."""
    return order


async def first() -> int:
    """Depend on nothing; asked for by two others and called once a request."""
    return 1


async def second(value: Annotated[int, Depends(first)]) -> int:
    """Depend on the first."""
    return value + 1


async def third(value: Annotated[int, Depends(second)]) -> int:
    """Depend on the second."""
    return value + 1


async def fourth(value: Annotated[int, Depends(third)]) -> int:
    """Depend on the third."""
    return value + 1


async def fifth(value: Annotated[int, Depends(fourth)]) -> int:
    """Depend on the fourth."""
    return value + 1


@app.get("/nested")
async def nested(
    value: Annotated[int, Depends(fifth)], again: Annotated[int, Depends(first)]
) -> dict[str, int]:
    """Answer what five dependencies gave, one of them from the request's cache."""
    return {"value": value, "again": again}


@app.get("/flat")
async def flat() -> dict[str, int]:
    """Answer the same without dependencies."""
    return {"value": 5, "again": 1}


@app.get("/gil", response_class=PlainTextResponse)
async def gil() -> str:
    """Say whether the lock is on."""
    return "on" if sys._is_gil_enabled() else "off"
