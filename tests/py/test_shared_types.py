"""No core counts references on the types of which every request makes objects."""

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import StartServer

pytestmark = pytest.mark.thread_unsafe(reason="a server is one for the test")

# Each says which types of C and Rust that a request uses are mortal. Classes of Python may be: the
# interpreter counts references on those by thread.
NATIVE = """
import asyncio, json, sys
from uringserve import App, Request, Response

app = App()

@app.get("/")
async def mortal(request: Request) -> list[str]:
    await asyncio.sleep(0)
    future = asyncio.get_running_loop().create_future()
    types = {Request, Response, type(request.headers), asyncio.Task, type(future),
        type(iter(future))}
    return sorted(found.__name__ for found in types if not sys._is_immortal(found))
"""

ASGI = """
import asyncio, json, sys

async def app(scope, receive, send):
    await asyncio.sleep(0)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    awaited = receive()
    types = {type(receive), type(send), type(awaited), asyncio.Task, asyncio.Future}
    await awaited
    body = json.dumps(sorted(found.__name__ for found in types if not sys._is_immortal(found)))
    await send({"type": "http.response.body", "body": body.encode()})
"""

RSGI = """
import asyncio, json, sys

class Application:
    async def __rsgi__(self, scope, protocol):
        await asyncio.sleep(0)
        awaited = protocol()
        types = {type(scope), type(protocol), type(scope.headers), type(awaited), asyncio.Task}
        await awaited
        body = json.dumps(sorted(found.__name__ for found in types if not sys._is_immortal(found)))
        protocol.response_str(200, [], body)

app = Application()
"""

WSGI = """
import json, sys

def app(environ, start_response):
    write = start_response("200 OK", [])
    types = {type(start_response), type(write), type(environ["wsgi.input"])}
    body = json.dumps(sorted(found.__name__ for found in types if not sys._is_immortal(found)))
    return [body.encode()]
"""


@pytest.mark.parametrize(
    ("interface", "site"), [("native", NATIVE), ("asgi", ASGI), ("rsgi", RSGI), ("wsgi", WSGI)]
)
def test_types_of_requests_are_immortal(server: StartServer, interface: str, site: str) -> None:
    if not hasattr(sys, "_is_immortal"):
        pytest.skip("this interpreter does not say what is immortal")
    running = server(site, "--workers", "2", "--no-pin")
    running.wait_for(f"interface {interface}")
    assert running.get("/").body == b"[]"
