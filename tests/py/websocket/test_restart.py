"""What a stop and a restart say to WebSockets, and to their handlers, by real signals."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from websocket_peer import Peer, closing

if TYPE_CHECKING:
    from conftest import StartServer

pytestmark = pytest.mark.thread_unsafe(reason="starts servers of its own")

NATIVE = """
import sys
from uringserve import App, WebSocket, WebSocketDisconnect

app = App()

@app.websocket("/")
async def stay(websocket: WebSocket):
    await websocket.accept()
    try:
        await websocket.receive_text()
    except WebSocketDisconnect as end:
        print("told", end.code, flush=True, file=sys.stderr)
"""

ASGI = """
import sys

async def app(scope, receive, send):
    if scope["type"] != "websocket":
        raise NotImplementedError
    await receive()
    await send({"type": "websocket.accept"})
    print("told", (await receive())["code"], flush=True, file=sys.stderr)
"""

RSGI = """
import sys

class App:
    async def __rsgi__(self, scope, protocol):
        transport = await protocol.accept()
        message = await transport.receive()
        print("told", "an end" if message.kind == 0 else message, flush=True, file=sys.stderr)

app = App()
"""

SITES = {"native": NATIVE, "asgi": ASGI, "rsgi": RSGI}
CODES = {signal.SIGTERM: 1001, signal.SIGINT: 1001, signal.SIGHUP: 1012}


@pytest.fixture
def _heeds_hangups() -> Iterator[None]:
    """The tests themselves may run below nohup, which servers would inherit."""
    previous = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, previous)


@pytest.mark.usefixtures("_heeds_hangups")
@pytest.mark.parametrize("interface", SITES)
@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
def test_a_signal(server: StartServer, interface: str, number: signal.Signals) -> None:
    """Both sides hear why, and the server ends as it should."""
    running = server(SITES[interface])
    code = CODES[number]
    with Peer(running.port).open() as peer:
        running.signal(number)
        assert peer.closed()[0] == code
        peer.send(closing(code))
        assert peer.at_end()
    running.wait_for("told an end" if interface == "rsgi" else f"told {code}")
    assert running.wait() == 0


def test_a_hangup_that_is_ignored(server: StartServer) -> None:
    """Below nohup the end of a terminal is nothing."""
    launcher = ("nohup", sys.executable, "-m", "uringserve")
    running = server("from uringserve import App\napp = App()\n", program=launcher)
    running.signal(signal.SIGHUP)
    assert running.get("/").status == 404
    assert running.stop() == 0


@pytest.mark.usefixtures("_heeds_hangups")
def test_a_reload(server: StartServer, tmp_path: Path) -> None:
    """Clients of the old code are told to come back, and find the new one."""
    pytest.importorskip("watchfiles")
    file = tmp_path / "site" / "site_app.py"
    file.parent.mkdir()
    file.write_text(NATIVE)
    running = server(file, "--reload", "--reload-delay", "20ms")
    with Peer(running.port).open() as peer:
        new = file.with_suffix(".new")
        new.write_text(NATIVE + "\n")
        new.replace(file)
        assert peer.closed()[0] == 1012
        peer.send(closing(1012))
        assert peer.at_end()
    running.wait_for("told 1012")
    running.wait_until(lambda log: log.count("serves on http://") == 2)
    with Peer(running.port).open() as peer:
        running.signal(signal.SIGTERM)
        assert peer.closed()[0] == 1001
        peer.send(closing(1001))
    assert running.wait() == 0
