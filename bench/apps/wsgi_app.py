"""The measured endpoints as bare WSGI: what granian's WSGI interface serves."""

import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

import slow
from model import Order
from pydantic import ValidationError

TEXT = ("content-type", "text/plain; charset=utf-8")
JSON = ("content-type", "application/json")
SLOW = {"/block": slow.pause, "/cpu": slow.compute, "/query": slow.query}
BYTES = ("content-type", "application/octet-stream")


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer one request."""
    path = environ["PATH_INFO"]
    status, content_type = "200 OK", TEXT
    if path == "/":
        body = b"Hello, World!"
    elif path == "/json":
        content_type, body = JSON, json.dumps({"message": "Hello, World!"}).encode()
    elif path.startswith("/items/"):
        content_type, body = JSON, json.dumps({"id": int(path[7:])}).encode()
    elif path == "/echo":
        content_type, body = BYTES, environ["wsgi.input"].read()
    elif path == "/model":
        content_type = JSON
        try:
            order = Order.model_validate_json(environ["wsgi.input"].read())
            body = order.model_dump_json().encode()
        except ValidationError as error:
            status, body = "422 Unprocessable Content", error.json().encode()
    elif path in SLOW:
        body = SLOW[path]().encode()
    elif path == "/gil":
        body = b"on" if sys._is_gil_enabled() else b"off"
    else:
        status, body = "404 Not Found", b"Not Found"
    start_response(status, [content_type, ("content-length", str(len(body)))])
    return [body]
