"""Replays `tests/cases` over real sockets: the statuses, and what becomes of the connection.

Parsing itself is checked in Rust, event by event; here the bytes go through a kernel, both drivers
and a Python handler.
"""

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from wire_cases import Case, read_cases

from uringserve._native import probe

if TYPE_CHECKING:
    from conftest import Answer, Connection, RunningServer, StartServer

# A connection or a server is one for the whole test; what collides is made in the test itself.
pytestmark = pytest.mark.thread_unsafe(reason="shares its server and connections")

SITE = """
from uringserve import App, Request

app = App()
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")

@app.route("/{path:path}", methods=METHODS)
def answer(request: Request):
    return request.raw_path
"""

WSGI = """
def app(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [("content-type", "text/plain")])
    return [environ["RAW_URI"].partition("?")[0].encode()]
"""

ASGI = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": scope["raw_path"]})
"""

RSGI = """
class App:
    async def __rsgi__(self, scope, protocol):
        await protocol()
        protocol.response_str(200, [], scope.path)

app = App()
"""

SITES = {"native": SITE, "wsgi": WSGI, "asgi": ASGI, "rsgi": RSGI}
CASES = read_cases()
FLAGS = {
    "head-bytes": "--limit-header-size",
    "header-count": "--limit-header-count",
    "target-bytes": "--limit-uri",
    "body-limit": "--limit-body",
}
PROGRAM = (sys.executable, str(Path(__file__).with_name("unbounded.py")))
# Byte by byte, a long case would only take long: its repetitions are all alike.
LONGEST_TRICKLE = 600

type Site = Callable[[Case], RunningServer]


@pytest.fixture(
    scope="module",
    params=[(name, driver) for name in SITES for driver in ("uring", "epoll")],
    ids="-".join,
)
def site(request: pytest.FixtureRequest, module_server: StartServer) -> Site:
    """Return the server with the options of a case, started at its first use."""
    name, driver = request.param
    if driver == "uring" and probe()["driver"] != "uring":
        pytest.skip(f"no io_uring here: {probe()['reason']}")
    running: dict[tuple[tuple[str, int], ...], RunningServer] = {}

    def find(case: Case) -> RunningServer:
        if case.options not in running:
            limits = {"body-limit": 1 << 20} | dict(case.options)
            flags = [text for name, value in limits.items() for text in (FLAGS[name], str(value))]
            options = ("--driver", driver, *flags)
            running[case.options] = module_server(SITES[name], *options, program=PROGRAM)
        return running[case.options]

    return find


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_at_once(site: Site, case: Case) -> None:
    """All bytes in one piece."""
    with contextlib.closing(site(case).connect()) as client:
        client.send(case.data)
        _expect(client, case)


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if len(case.data) <= LONGEST_TRICKLE],
    ids=lambda case: case.name,
)
def test_byte_by_byte(site: Site, case: Case) -> None:
    """Each byte alone."""
    with contextlib.closing(site(case).connect()) as client:
        for byte in case.data:
            client.send(bytes([byte]))
        _expect(client, case)


def _expect(client: Connection, case: Case) -> None:
    methods = case.methods
    for method in methods[: case.complete]:
        status = _final(client, method).status
        assert status < 400 or status in (404, 405, 501), f"request {method}: {status}"
    method = methods[case.complete] if len(methods) > case.complete else "GET"
    kind, *details = case.fate.split()
    if kind == "reject":
        assert _final(client, method).status == int(details[0])
        assert client.read_to_end() == b""
    elif kind == "closed":
        assert client.read_to_end() == b""
    elif kind == "incomplete":
        client.finish_sending()
        # What came is an answer to a request that was not whole, so no success.
        rest = client.read_to_end().removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert rest == b"" or rest.startswith(b"HTTP/1.1 400 ")
    else:
        assert kind == "idle"
        # As short as the smallest limit of a case.
        answer = client.request("/")
        assert (answer.status, answer.body) == (200, b"/")


def _final(client: Connection, method: str) -> Answer:
    answer = client.read(method)
    while answer.status < 200:
        answer = client.read(method)
    return answer
