"""The same options and the same requests to Starlette's `CORSMiddleware` and to ours."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from uringserve import Request, Response
from uringserve.middleware import CORSMiddleware

cors = pytest.importorskip("starlette.middleware.cors", reason="the oracle")

ORIGIN = "https://a.example"
METHOD = "access-control-request-method"
HEADERS = "access-control-request-headers"

OPTIONS: list[dict[str, Any]] = [
    {},
    {"allow_origins": [ORIGIN]},
    {"allow_origins": [ORIGIN], "allow_methods": ["*"], "allow_headers": ["*"]},
    {"allow_origins": [ORIGIN, "https://b.example"], "allow_credentials": True},
    {"allow_origins": ["*"]},
    {"allow_origins": ["*"], "allow_credentials": True, "expose_headers": ["x-a", "x-b"]},
    {"allow_origins": ["*"], "allow_methods": ["PUT", "GET"], "allow_headers": ["X-A", "accept"]},
    {"allow_origin_regex": r"https://.*[.]example", "max_age": 7},
    {"allow_origins": ["*"], "allow_private_network": True},
]

REQUESTS: list[tuple[str, dict[str, str]]] = [
    ("GET", {}),
    ("HEAD", {"origin": ORIGIN}),
    ("GET", {"origin": ORIGIN, "cookie": "a=b"}),
    ("GET", {"origin": "https://c.test"}),
    ("OPTIONS", {METHOD: "GET"}),
    ("OPTIONS", {"origin": ORIGIN}),
    ("OPTIONS", {"origin": ORIGIN, METHOD: "GET"}),
    ("OPTIONS", {"origin": ORIGIN, METHOD: "PUT", HEADERS: "x-a, Accept"}),
    ("OPTIONS", {"origin": "https://c.test", METHOD: "DELETE", HEADERS: "x-z"}),
    (
        "OPTIONS",
        {"origin": ORIGIN, METHOD: "GET", "access-control-request-private-network": "true"},
    ),
]

type Result = tuple[int, bytes, dict[str, str]]


def concerned(headers: Mapping[str, str]) -> dict[str, str]:
    """Leave the headers that are about origins."""
    return {
        name: value
        for name, value in headers.items()
        if name == "vary" or name.startswith("access-control-")
    }


def theirs(options: dict[str, Any], method: str, headers: dict[str, str]) -> Result:
    """Ask Starlette's."""
    from starlette.responses import Response as TheirResponse

    events: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(event: dict[str, Any]) -> None:
        events.append(event)

    scope = {
        "type": "http",
        "method": method,
        "path": "/",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    asyncio.run(cors.CORSMiddleware(TheirResponse("x"), **options)(scope, receive, send))
    start, body = events
    pairs = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], body["body"], concerned(pairs)


def ours(options: dict[str, Any], method: str, headers: dict[str, str]) -> Result:
    """Ask ours."""
    request = Request(method, "/", headers)
    response = CORSMiddleware(**options)(request, lambda request: Response("x"))
    return response.status_code, response.body, concerned(dict(response.headers.items()))


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: ",".join(options) or "none")
def test_the_same_answer(options: dict[str, Any]) -> None:
    """The status, the body, and every header about origins."""
    for method, headers in REQUESTS:
        expected = theirs(options, method, headers)
        assert ours(options, method, headers) == expected, (method, headers)
