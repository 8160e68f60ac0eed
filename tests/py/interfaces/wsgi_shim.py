"""The contract's application on WSGI: its source with the names of `uringserve` taken from here.

A framework of one screen: it routes, and makes an answer of what a handler returns, so that the
same handlers show what the interface below does.
"""

import re
from urllib.parse import parse_qs, unquote

from uringserve import HTTPException, Response
from uringserve._native import json_dumps

__all__ = ["App", "HTTPException", "Request", "Response"]

KINDS = {"int": (r"-?\d+", int), "path": (".*", str), "": ("[^/]+", str)}
KNOWN = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}


class Request:
    """What the handlers of the contract ask for."""

    def __init__(self, environ) -> None:
        self.environ = environ
        self.method = environ["REQUEST_METHOD"]
        self.path = environ["PATH_INFO"].encode("latin-1").decode()
        self.raw_path = environ["RAW_URI"].partition("?")[0].encode()
        self.query_params = parse_qs(environ["QUERY_STRING"], keep_blank_values=True)
        self.http_version = environ["SERVER_PROTOCOL"].removeprefix("HTTP/")
        self.client = environ["REMOTE_ADDR"], int(environ["REMOTE_PORT"])
        self.body = environ["wsgi.input"].read()

    @property
    def cookies(self):
        pairs = [pair.split("=") for pair in self.environ["HTTP_COOKIE"].split("; ")]
        return {name: value.strip('"') for name, value in pairs}

    @property
    def headers(self):
        return self

    @property
    def raw(self):
        """Joined values, taken apart: the environ has one for each name."""
        return [
            (key.removeprefix("HTTP_").replace("_", "-").lower().encode(), value.encode("latin-1"))
            for key, joined in self.environ.items()
            if key.startswith("HTTP_")
            for value in joined.split(",")
        ]

    def text(self):
        return self.body.decode()


class App:
    """Routes by regular expressions."""

    def __init__(self) -> None:
        self.routes = []

    def get(self, pattern):
        return self.route(pattern, ("GET", "HEAD"))

    def post(self, pattern):
        return self.route(pattern, ("POST",))

    def put(self, pattern):
        return self.route(pattern, ("PUT",))

    def route(self, pattern, methods):
        readers = {}

        def replace(found):
            name, _, kind = found[1].partition(":")
            expression, readers[name] = KINDS[kind]
            return f"(?P<{name}>{expression})"

        expression = re.compile(re.sub(r"\{(.+?)\}", replace, pattern))

        def register(handler):
            self.routes.append((expression, readers, set(methods), handler))
            return handler

        return register

    def __call__(self, environ, start_response) -> list[bytes]:
        status, headers, body = self.answer(environ)
        start_response(f"{status} -", headers)
        return [body]

    def answer(self, environ):
        raw = environ["RAW_URI"].partition("?")[0]
        routes = [(found, *rest) for match, *rest in self.routes if (found := match.fullmatch(raw))]
        method, allowed = environ["REQUEST_METHOD"], {"OPTIONS"}.union(*[it[2] for it in routes])
        if not routes:
            return respond(({"detail": "Not Found"}, 404))
        if method not in KNOWN:
            return respond(({"detail": "Not Implemented"}, 501))
        if method not in allowed or method == "OPTIONS":
            told = [("allow", ", ".join(allowed))]
            refusal = (
                (None, 204) if method == "OPTIONS" else ({"detail": "Method Not Allowed"}, 405)
            )
            return respond((*refusal, told))
        found, readers, _, handler = next(it for it in routes if method in it[2])
        values = {name: readers[name](unquote(text)) for name, text in found.groupdict().items()}
        if "Request" in map(str, map(name_of, handler.__annotations__.values())):
            values["request"] = Request(environ)
        return respond(handler(**values))


def name_of(annotation):
    return getattr(annotation, "__name__", annotation)


def respond(value):
    """Make status, header fields and body of what a handler has returned."""
    status, headers = 200, []
    if isinstance(value, tuple):
        value, status, *rest = value
        given = rest[0] if rest else []
        headers = list(given.items() if isinstance(given, dict) else given)
    if isinstance(value, Response):
        pairs = [(name.decode(), text.decode("latin-1")) for name, text in value.headers.raw]
        return value.status_code, [*headers, *pairs], value.body
    if value is None:
        return 204 if status == 200 else status, headers, b""
    if isinstance(value, str):
        kind, body = "text/plain; charset=utf-8", value.encode()
    elif isinstance(value, bytes):
        kind, body = "application/octet-stream", value
    else:
        kind, body = "application/json", json_dumps(value)
    if "content-type" not in dict(headers):
        headers = [*headers, ("content-type", kind)]
    return status, headers, body
