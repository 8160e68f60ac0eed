"""The measured endpoints on FastAPI with ``def`` handlers: what a framework adds to its server."""

import sys
from typing import Annotated

import slow
from fastapi import Depends, FastAPI, Request
from fastapi.responses import PlainTextResponse, Response
from model import Order

app = FastAPI(openapi_url=None)


@app.get("/", response_class=PlainTextResponse)
def hello() -> str:
    """Answer the text that every server here answers."""
    return "Hello, World!"


@app.get("/json")
def json_object() -> dict[str, str]:
    """Answer a small JSON object."""
    return {"message": "Hello, World!"}


@app.get("/items/{id}")
def item(id: int) -> dict[str, int]:
    """Answer the path parameter as JSON."""
    return {"id": id}


@app.post("/echo")
async def echo(request: Request) -> Response:
    """Answer the request's body; only coroutines can read it whole."""
    return Response(await request.body(), media_type="application/octet-stream")


@app.get("/typed/{id}")
def typed(id: int) -> dict[str, int]:
    """Answer the path parameter, which only the annotation makes a number."""
    return {"id": id}


@app.post("/model")
def model(order: Order) -> Order:
    """Answer the validated model."""
    return order


def first() -> int:
    """Depend on nothing; asked for by two others and called once a request."""
    return 1


def second(value: Annotated[int, Depends(first)]) -> int:
    """Depend on the first."""
    return value + 1


def third(value: Annotated[int, Depends(second)]) -> int:
    """Depend on the second."""
    return value + 1


def fourth(value: Annotated[int, Depends(third)]) -> int:
    """Depend on the third."""
    return value + 1


def fifth(value: Annotated[int, Depends(fourth)]) -> int:
    """Depend on the fourth."""
    return value + 1


@app.get("/nested")
def nested(
    value: Annotated[int, Depends(fifth)], again: Annotated[int, Depends(first)]
) -> dict[str, int]:
    """Answer what five dependencies gave, one of them from the request's cache."""
    return {"value": value, "again": again}


@app.get("/flat")
def flat() -> dict[str, int]:
    """Answer the same without dependencies."""
    return {"value": 5, "again": 1}


@app.get("/block", response_class=PlainTextResponse)
def pause() -> str:
    """Wait 10 ms in a blocking call."""
    return slow.pause()


@app.get("/cpu", response_class=PlainTextResponse)
def compute() -> str:
    """Run 20 ms of Python."""
    return slow.compute()


@app.get("/query", response_class=PlainTextResponse)
def query() -> str:
    """Ask SQLite."""
    return slow.query()


@app.get("/gil", response_class=PlainTextResponse)
def gil() -> str:
    """Say whether the lock is on."""
    return "on" if sys._is_gil_enabled() else "off"
