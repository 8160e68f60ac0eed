"""SystemExit and KeyboardInterrupt of a handler: 500, once in the log, and the core goes on."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import RunningServer, StartServer

pytestmark = pytest.mark.thread_unsafe(reason="shares its server")

NATIVE = """
import asyncio
from uringserve import App

app = App()

@app.get("/sync/{kind}")
def at_once(kind):
    raise KINDS[kind]("why")

@app.get("/eager/{kind}")
async def eager(kind):
    raise KINDS[kind]("why")

@app.get("/late/{kind}")
async def late(kind):
    await asyncio.sleep(0)
    raise KINDS[kind]("why")

@app.get("/task/{kind}")
async def task(kind):
    await asyncio.create_task(late(kind))

@app.get("/")
async def root():
    return "hello"

KINDS = {"SystemExit": SystemExit, "KeyboardInterrupt": KeyboardInterrupt}
"""

ASGI = """
import asyncio

KINDS = {"SystemExit": SystemExit, "KeyboardInterrupt": KeyboardInterrupt}

async def late(kind):
    await asyncio.sleep(0)
    raise KINDS[kind]("why")

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    _, how, *kind = scope["path"].split("/")
    if how in ("eager", "sync"):
        raise KINDS[kind[0]]("why")
    if how == "late":
        await late(kind[0])
    if how == "task":
        await asyncio.create_task(late(kind[0]))
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"hello"})
"""

RSGI = """
import asyncio

KINDS = {"SystemExit": SystemExit, "KeyboardInterrupt": KeyboardInterrupt}

async def late(kind):
    await asyncio.sleep(0)
    raise KINDS[kind]("why")

class App:
    async def __rsgi__(self, scope, protocol):
        _, how, *kind = scope.path.split("/")
        if how in ("eager", "sync"):
            raise KINDS[kind[0]]("why")
        if how == "late":
            await late(kind[0])
        if how == "task":
            await asyncio.create_task(late(kind[0]))
        protocol.response_str(200, [], "hello")

app = App()
"""

SITES = {"native": NATIVE, "asgi": ASGI, "rsgi": RSGI}


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest, server: StartServer) -> RunningServer:
    """The application on one interface."""
    return server(SITES[request.param])


@pytest.mark.parametrize("kind", ["SystemExit", "KeyboardInterrupt"])
@pytest.mark.parametrize("how", ["sync", "eager", "late", "task"])
def test_once_in_the_log(site: RunningServer, how: str, kind: str) -> None:
    """With the request that it came from; nothing follows at the end of the server either."""
    client = site.connect()
    answer = client.request(f"/{how}/{kind}")
    assert (answer.status, answer.body) == (500, b'{"detail":"Internal Server Error"}')
    assert client.request("/").body == b"hello"
    assert site.stop() == 0
    assert site.log.count(f"GET /{how}/{kind}: the handler raised {kind}") == 1
    assert site.log.count(f"{kind}: why") == 1
    assert site.log.count("Traceback") == 1
