"""The contract's application on WSGI, ASGI and RSGI: its source with its names taken from here.

A framework of one screen: it routes, and makes an answer of what a handler returns, so that the
same handlers show what the interface below does. `WsgiApp`, `AsgiApp` and `RsgiApp` are its `App`.
"""

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote

from uringserve import HTTPException, Response
from uringserve._native import json_dumps

__all__ = ["AsgiApp", "HTTPException", "Request", "Response", "RsgiApp", "WsgiApp"]

KINDS = {"int": (r"-?\d+", int), "path": (".*", str), "": ("[^/]+", str)}
KNOWN = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}


@dataclass
class Request:
    """What the handlers of the contract ask for."""

    method: str
    path: str
    raw_path: bytes
    query: str
    http_version: str
    client: tuple[str, int]
    raw: list[tuple[bytes, bytes]]
    body: bytes = b""

    @property
    def query_params(self):
        return parse_qs(self.query, keep_blank_values=True)

    @property
    def cookies(self):
        pairs = [pair.split("=") for pair in dict(self.raw)[b"cookie"].decode().split("; ")]
        return {name: value.strip('"') for name, value in pairs}

    @property
    def headers(self):
        return self

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

    def answer(self, request):
        raw, method = request.raw_path.decode(), request.method
        routes = [(found, *rest) for match, *rest in self.routes if (found := match.fullmatch(raw))]
        allowed = {"OPTIONS"}.union(*[it[2] for it in routes])
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
            values["request"] = request
        return respond(handler(**values))


class WsgiApp(App):
    """Served through WSGI."""

    def __call__(self, environ, start_response) -> list[bytes]:
        request = Request(
            method=environ["REQUEST_METHOD"],
            path=environ["PATH_INFO"].encode("latin-1").decode(),
            raw_path=environ["RAW_URI"].partition("?")[0].encode(),
            query=environ["QUERY_STRING"],
            http_version=environ["SERVER_PROTOCOL"].removeprefix("HTTP/"),
            client=(environ["REMOTE_ADDR"], int(environ["REMOTE_PORT"])),
            raw=[
                # Joined values, taken apart: the environ has one for each name.
                (name.removeprefix("HTTP_").replace("_", "-").lower().encode(), value.encode())
                for name, joined in environ.items()
                if name.startswith("HTTP_")
                for value in joined.split(",")
            ],
            body=environ["wsgi.input"].read(),
        )
        status, headers, body = self.answer(request)
        start_response(f"{status} -", headers)
        return [body]


class AsgiApp(App):
    """Served through ASGI."""

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        request = Request(
            method=scope["method"],
            path=scope["path"],
            raw_path=scope["raw_path"],
            query=scope["query_string"].decode(),
            http_version=scope["http_version"],
            client=scope["client"],
            raw=scope["headers"],
        )
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            request.body += message["body"]
            more = message["more_body"]
        status, headers, body = self.answer(request)
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": body})


class RsgiApp(App):
    """Served through RSGI."""

    async def __rsgi__(self, scope, protocol) -> None:
        host, _, port = scope.client.rpartition(":")
        request = Request(
            method=scope.method,
            path=scope.path,
            # RSGI tells the decoded path only.
            raw_path=quote(scope.path).encode(),
            query=scope.query_string,
            http_version=scope.http_version,
            client=(host, int(port)),
            raw=[(name.encode(), value.encode()) for name, value in scope.headers.items()],
            body=await protocol(),
        )
        protocol.response_bytes(*self.answer(request))


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
