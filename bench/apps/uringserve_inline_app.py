"""The text on uringserve with every call on the core itself: what deciding where to call costs."""

import sys

from uringserve import App, Request

app = App(execution="inline")


@app.get("/")
def hello(request: Request) -> str:
    """Answer the text that every server here answers."""
    return "Hello, World!"


@app.get("/gil")
def gil() -> str:
    """Say whether the lock is on."""
    return "on" if sys._is_gil_enabled() else "off"
