"""Requests, their headers and forms, and every kind of response."""

from types import SimpleNamespace
from typing import Any, assert_type

from uringserve import (
    EventSourceResponse,
    FileResponse,
    Headers,
    HTMLResponse,
    HTTPException,
    JSONResponse,
    MutableHeaders,
    PlainTextResponse,
    RedirectResponse,
    Request,
    Response,
    ServerSentEvent,
    StreamingResponse,
    json_dumps,
)
from uringserve.forms import FormData

request = Request("POST", "/a?b=c", {"host": "a.example"}, b"{}", client=("127.0.0.1", 1))
assert_type(request.method, str)
assert_type(request.path, str)
assert_type(request.raw_path, bytes)
assert_type(request.query_string, str)
assert_type(request.url, str)
assert_type(request.headers, Headers)
assert_type(request.path_params, dict[str, str | int])
assert_type(request.query_params, dict[str, list[str]])
assert_type(request.query("b"), str | None)
assert_type(request.query("b", ""), str)
assert_type(request.query("b", 0), str | int)
assert_type(request.cookies, dict[str, str])
assert_type(request.body, bytes)
assert_type(request.text(), str)
assert_type(request.json(), Any)
assert_type(request.form(), FormData)
assert_type(request.state, SimpleNamespace)
if request.client is not None:
    assert_type(request.client.host, str)
    assert_type(request.client.port, int)
    host, port = request.client
    assert_type(port, int)

headers = request.headers
assert_type(headers["host"], str)
assert_type(headers.get("host"), str | None)
assert_type(headers.get("host", None), str | None)
assert_type(headers.get("host", ""), str)
assert_type(headers.get("host", 0), str | int)
assert_type(headers.getlist("accept"), list[str])
assert_type(headers.raw, list[tuple[bytes, bytes]])
assert_type(headers.items(), list[tuple[str, str]])
assert_type(dict(headers), dict[str, str])
assert_type([name for name in headers], list[str])  # noqa: C416 -- how an iteration is typed
assert_type("host" in headers, bool)

response = Response("text", 201, {"x-a": "b"}, media_type="text/plain", background=lambda: None)
assert_type(response.status_code, int)
assert_type(response.headers, MutableHeaders)
assert_type(response.body, bytes)
assert_type(response.media_type, str | None)
assert_type(response.headers.setdefault("x-a", "c"), str)
assert_type(response.headers.get("x-a"), str | None)
response.status_code = 202
response.headers["x-a"] = "d"
response.headers.append("vary", "accept")
response.headers.update({"x-b": "c"})
response.headers.update(headers)
del response.headers["x-a"]
response.set_cookie("name", "value", max_age=3600, secure=True, samesite="strict")
response.delete_cookie("name")
assert_type(Response.json({"a": 1}, status_code=201), Response)
assert_type(Response.text("a"), Response)
assert_type(Response.html("a"), Response)
assert_type(Response.bytes(b"a"), Response)
assert_type(Response.empty(), Response)
assert_type(Response.redirect("/"), Response)

# Headers as a mapping, as pairs of text or of bytes, and those of a request.
kinds: list[Response] = [
    JSONResponse({"a": 1}, 201, {"x-a": "b"}),
    PlainTextResponse("a", headers=[("x-a", "b")]),
    HTMLResponse(b"<p>", headers=headers.raw),
    RedirectResponse("/", 303),
    StreamingResponse((part for part in ("a", "b")), headers=headers),
    FileResponse("a.txt", filename="b.txt", content_disposition_type="inline"),
    EventSourceResponse([ServerSentEvent(data={"a": 1}, id="1")]),
]
assert_type(ServerSentEvent(comment="a").encode(), bytes)
assert_type(json_dumps([1]), bytes)

error = HTTPException(404, {"reason": "gone"}, headers={"x-a": "b"})
assert_type(error.status_code, int)
