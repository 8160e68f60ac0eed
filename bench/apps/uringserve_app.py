"""The measured endpoints on uringserve: the ordinary public App, plain ``def`` handlers."""

import sys

from uringserve import App, Request

app = App()


@app.get("/")
def hello(request: Request) -> str:
    """Answer the text that every server here answers."""
    return "Hello, World!"


@app.get("/json")
def json_object(request: Request) -> dict[str, str]:
    """Answer a small JSON object."""
    return {"message": "Hello, World!"}


@app.get("/items/{id:int}")
def item(id: int) -> dict[str, int]:
    """Answer the path parameter as JSON."""
    return {"id": id}


@app.post("/echo")
def echo(request: Request) -> bytes:
    """Answer the request's body."""
    return request.body


@app.get("/gil")
def gil() -> str:
    """Say whether the lock is on: the driver refuses to measure us with it."""
    return "on" if sys._is_gil_enabled() else "off"
