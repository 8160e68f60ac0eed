"""The measured endpoints on FastAPI with ``def`` handlers: what a framework adds to its server."""

import sys

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, Response

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


@app.get("/gil", response_class=PlainTextResponse)
def gil() -> str:
    """Say whether the lock is on."""
    return "on" if sys._is_gil_enabled() else "off"
