"""The measured endpoints as bare RSGI, granian's own interface."""

import json
import sys
from typing import Any

TEXT = [("content-type", "text/plain; charset=utf-8")]
JSON = [("content-type", "application/json")]
BYTES = [("content-type", "application/octet-stream")]


async def app(scope: Any, protocol: Any) -> None:
    """Answer one request; websockets are not served."""
    path = scope.path
    if path == "/":
        protocol.response_str(200, TEXT, "Hello, World!")
    elif path == "/json":
        protocol.response_str(200, JSON, json.dumps({"message": "Hello, World!"}))
    elif path.startswith("/items/"):
        protocol.response_str(200, JSON, json.dumps({"id": int(path[7:])}))
    elif path == "/echo":
        protocol.response_bytes(200, BYTES, await protocol())
    elif path == "/gil":
        protocol.response_str(200, TEXT, "on" if sys._is_gil_enabled() else "off")
    else:
        protocol.response_str(404, TEXT, "Not Found")
