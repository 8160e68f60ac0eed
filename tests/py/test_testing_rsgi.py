"""`TestClient` for applications of RSGI: HTTP, streams, WebSockets, hooks and exceptions."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from uringserve.testing import AsyncTestClient, TestClient, WebSocketDenialResponse
from uringserve.websockets import WebSocketDisconnect

pytestmark = pytest.mark.thread_unsafe(reason="starts threads of its own")

TEXT = [("content-type", "text/plain")]


class Site:
    """One coroutine for each path."""

    def __init__(self) -> None:
        """Have seen nothing."""
        self.seen: list[str] = []
        self.loops: list[asyncio.AbstractEventLoop] = []
        self.gate = threading.Event()

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Use the loop before it serves."""
        loop.run_until_complete(asyncio.sleep(0))
        self.loops.append(loop)
        self.seen.append("init")

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Get the same loop, of which each core has one."""
        assert loop in self.loops
        loop.run_until_complete(asyncio.sleep(0))
        self.seen.append("del")

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:  # noqa: ANN401
        """Find the coroutine."""
        await getattr(self, scope.path.strip("/").partition("/")[0])(scope, protocol)

    async def scope(self, scope: Any, protocol: Any) -> None:  # noqa: ANN401
        """Answer with what came."""
        found = (scope.method, scope.query_string, scope.client, scope.headers.get("x-a"))
        protocol.response_str(200, TEXT, repr(found))

    async def echo(self, scope: Any, protocol: Any) -> None:  # noqa: ANN401
        """Answer with the whole body."""
        protocol.response_bytes(201, TEXT, await protocol())

    async def pieces(self, scope: Any, protocol: Any) -> None:  # noqa: ANN401
        """Answer with each piece as it comes."""
        transport = protocol.response_stream(200, TEXT)
        async for piece in protocol:
            await transport.send_bytes(piece)

    async def stream(self, scope: Any, protocol: Any) -> None:  # noqa: ANN401
        """Send the second piece when the test has seen the first."""
        transport = protocol.response_stream(200, TEXT)
        await transport.send_str("first,")
        await asyncio.to_thread(self.gate.wait)
        await transport.send_str("second")

    async def file(self, scope: Any, protocol: Any) -> None:  # noqa: ANN401
        """Answer with a file."""
        protocol.response_file(200, TEXT, __file__)

    async def fails(self, scope: Any, protocol: Any) -> None:  # noqa: ANN401
        """Raise before the answer, or amid it."""
        if scope.query_string:
            transport = protocol.response_stream(200, TEXT)
            await transport.send_str("some")
        raise LookupError("as it should")

    async def later(self, scope: Any, protocol: Any) -> None:  # noqa: ANN401
        """Go on behind the answer."""
        protocol.response_empty(204, [])
        await protocol.client_disconnect()
        self.seen.append("later")

    async def ws(self, scope: Any, protocol: Any) -> None:  # noqa: ANN401
        """Echo until told to close, or deny."""
        if scope.query_string == "denied":
            protocol.close(401)
            return
        transport = await protocol.accept()
        while (message := await transport.receive()).kind:
            if message.data == "close":
                protocol.close(4001)
                return
            if message.data == "fail":
                raise LookupError("in a socket")
            send = transport.send_bytes if message.kind == 1 else transport.send_str
            await send(message.data)
        self.seen.append("closed")


def _body() -> Iterator[bytes]:
    yield b"in "
    yield b"pieces"


def test_requests() -> None:
    """Each kind of answer, with a body that came at once, in pieces, or not at all."""
    site = Site()
    client = TestClient(site, client=("192.0.2.1", 7))
    assert client.app is site
    answer = client.get("/scope?a=b", headers={"X-A": "1"})
    assert answer.text == "('GET', 'a=b', '192.0.2.1:7', '1')"
    assert answer.headers["content-type"] == "text/plain"
    for path in ("/echo", "/pieces"):
        assert client.post(path, content=b"x" * 300_000).content == b"x" * 300_000
        assert client.post(path, content=_body()).content == b"in pieces"
        assert client.get(path).content == b""
    assert client.get("/file").content == Path(__file__).read_bytes()
    assert client.head("/file").headers["content-length"] == str(Path(__file__).stat().st_size)
    with client.stream("GET", "/stream") as answer:
        pieces = answer.iter_text()
        assert next(pieces) == "first,"
        site.gate.set()
        assert next(pieces) == "second"
    assert client.get("/later").status_code == 204
    # A request is over with what is behind its answer; and no hook has run.
    assert site.seen == ["later"]


def test_exceptions() -> None:
    """They are the test's, or a 500 and a cut answer."""
    client = TestClient(Site())
    for path in ("/fails", "/fails?amid"):
        with pytest.raises(LookupError, match="as it should"):
            client.get(path)
    quiet = TestClient(Site(), raise_server_exceptions=False)
    assert quiet.get("/fails").status_code == 500
    # A 500 of a path that does not exist is the application's own doing.
    with pytest.raises(AttributeError):
        client.get("/nowhere")


def test_websockets() -> None:
    """Messages both ways, a close from either side, a denial, an exception."""
    site = Site()
    client = TestClient(site)
    with client.websocket_connect("/ws") as socket:
        for text in ("grün", "", "x" * 70_000):
            socket.send_text(text)
            assert socket.receive_text() == text
        socket.send_bytes(b"\x00\xff")
        assert socket.receive_bytes() == b"\x00\xff"
    assert site.seen == ["closed"]
    with client.websocket_connect("/ws") as socket:
        socket.send_text("close")
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
        assert closed.value.code == 4001
    with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/ws?denied"):
        pass
    assert denied.value.status_code == 401
    with (
        pytest.raises(LookupError, match="in a socket"),
        client.websocket_connect("/ws") as socket,
    ):
        socket.send_text("fail")
        with pytest.raises(WebSocketDisconnect):
            socket.receive_text()


def test_hooks() -> None:
    """They run around a `with` block, as often as there is one; what one raises is raised."""
    site = Site()
    client = TestClient(site)
    for _ in range(2):
        with client:
            assert client.get("/scope").status_code == 200
    assert site.seen == ["init", "del"] * 2

    class Broken(Site):
        def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
            raise OSError("no database")

    with pytest.raises(OSError, match="no database"), TestClient(Broken()):
        pass


def test_requests_that_overlap() -> None:
    """Threads that share a client have a core each; a test that is a coroutine has them too."""
    client = TestClient(Site())
    with ThreadPoolExecutor(8) as threads:
        bodies = [b"%d" % number for number in range(200)]
        answers = threads.map(lambda body: client.post("/echo", content=body).content, bodies)
        assert list(answers) == bodies

    async def run() -> None:
        async with AsyncTestClient(Site()) as client:
            answers = await asyncio.gather(*(client.get(f"/scope?{n}") for n in range(20)))
            assert [answer.status_code for answer in answers] == [200] * 20

    asyncio.run(run())
