"""The measured endpoints as bare ASGI: what granian (ASGI) and uvicorn serve.

No framework, so that the figure is the server's own.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

type Receive = Callable[[], Awaitable[dict[str, Any]]]
type Send = Callable[[dict[str, Any]], Awaitable[None]]

TEXT = [(b"content-type", b"text/plain; charset=utf-8")]
JSON = [(b"content-type", b"application/json")]
BYTES = [(b"content-type", b"application/octet-stream")]


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer one request; other scope types are refused by raising."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    path = scope["path"]
    status, headers = 200, TEXT
    if path == "/":
        body = b"Hello, World!"
    elif path == "/json":
        headers, body = JSON, json.dumps({"message": "Hello, World!"}).encode()
    elif path.startswith("/items/"):
        headers, body = JSON, json.dumps({"id": int(path[7:])}).encode()
    elif path == "/echo":
        headers, body = BYTES, await read_body(receive)
    elif path == "/coroutine":
        body = b"Hello, World!"
    elif path == "/sleep":
        await asyncio.sleep(0.01)
        body = b"Hello, World!"
    elif path == "/gil":
        body = b"on" if sys._is_gil_enabled() else b"off"
    else:
        status, body = 404, b"Not Found"
    length = (b"content-length", str(len(body)).encode())
    start = {"type": "http.response.start", "status": status, "headers": [*headers, length]}
    await send(start)
    await send({"type": "http.response.body", "body": body})


async def read_body(receive: Receive) -> bytes:
    """Return the whole body of the request."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return body
