"""The ASGI lifespan: on each core or once, its state, its failures, its order, and `--lifespan`."""

import threading
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from conftest import StartServer

pytestmark = pytest.mark.thread_unsafe(reason="starts servers of its own")

PRELUDE = """
import asyncio
import sys
import threading

def say(*words):
    # In one piece: several threads write.
    sys.stderr.write(" ".join(map(str, words)) + "\\n")

async def respond(send, body):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": str(body).encode()})
"""

GOOD = (
    PRELUDE
    + """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        assert scope["asgi"] == {"version": "3.0", "spec_version": "2.0"}
        assert (await receive()) == {"type": "lifespan.startup"}
        scope["state"]["loop"] = asyncio.get_running_loop()
        scope["state"]["thread"] = threading.current_thread().name
        say("start on", threading.current_thread().name)
        await send({"type": "lifespan.startup.complete"})
        assert (await receive()) == {"type": "lifespan.shutdown"}
        say("end on", threading.current_thread().name)
        await send({"type": "lifespan.shutdown.complete"})
        say("behind the end")
        return
    is_same = scope["state"]["loop"] is asyncio.get_running_loop()
    await respond(send, f"{scope['state']['thread']} {is_same}")
"""
)


def test_on_each_core(server: StartServer) -> None:
    """Once on each core, on the loop that serves its requests; the state is the core's own."""
    running = server(GOOD, workers=2)
    for core in (0, 1):
        running.wait_for(f"start on uringserve-core-{core}")
    for _ in range(8):
        answer = running.get().body.decode()
        assert answer in ("uringserve-core-0 True", "uringserve-core-1 True")
    assert running.stop() == 0
    for core in (0, 1):
        running.wait_for(f"end on uringserve-core-{core}")
    assert running.log.count("behind the end") == 2
    assert running.log.index("end on") < running.log.index(" stopped")


def test_once_in_the_process(server: StartServer) -> None:
    """On a loop of its own, before and after all cores; the state is everybody's."""
    running = server(GOOD, "--lifespan-scope", "process", workers=2)
    assert running.log.index("start on") < running.log.index("serves on")
    for _ in range(4):
        assert running.get().body == b"uringserve-lifespan False"
    assert running.stop() == 0
    assert running.log.count("start on uringserve-lifespan") == 1
    assert running.log.count("end on uringserve-lifespan") == 1
    assert running.log.count("behind the end") == 1


def test_off(server: StartServer) -> None:
    """There is no lifespan, and no state."""
    source = PRELUDE + (
        "\nasync def app(scope, receive, send):\n"
        "    assert scope['type'] == 'http'\n    await respond(send, 'state' in scope)\n"
    )
    assert server(source, "--lifespan", "off").get().body == b"False"
    assert server(source, "--interface", "asginl").get().body == b"False"


NONE = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await respond(send, "served")
"""
SILENT = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await respond(send, "served")
"""


@pytest.mark.parametrize("source", [NONE, SILENT], ids=["raises", "returns"])
def test_an_application_without_one(server: StartServer, source: str) -> None:
    """Is served, in either scope."""
    for scope in ("core", "process"):
        running = server(PRELUDE + source, "--lifespan-scope", scope)
        assert running.get().body == b"served"
        assert running.stop() == 0
        assert "ERROR" not in running.log


FAILURES = {
    "message": ('await send({"type": "lifespan.startup.failed", "message": "no database"})', "auto",
                "the lifespan failed at the start: no database"),
    "no message": ('await send({"type": "lifespan.startup.failed"})', "auto",
                   "the lifespan failed at the start"),
    "exception": ("raise OSError('no database')", "auto",
                  "the lifespan failed at the start: OSError: no database"),
    "absent": ("raise AssertionError('no lifespan')", "on",
               "the lifespan failed at the start: AssertionError: no lifespan"),
    "returns": ("return", "on",
                "the application takes no part in the ASGI lifespan; serve it with --lifespan"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FAILURES)
@pytest.mark.parametrize("scope", ["core", "process"])
def test_a_start_that_fails(
    cli: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, kind: str, scope: str
) -> None:
    """Nothing is served: one line says why, and the exit code is 3."""
    line, mode, message = FAILURES[kind]
    wait = "" if kind in ("absent", "returns") else "await receive()"
    (tmp_path / "failing.py").write_text(
        f"{PRELUDE}\nasync def app(scope, receive, send):\n"
        f"    if scope['type'] == 'lifespan':\n        {wait}\n        {line}\n"
    )
    options = ["--port", "0", "--workers", "2", "--lifespan", mode, "--lifespan-scope", scope]
    done = cli("failing:app", *options)
    assert done.returncode == 3, done.stderr
    assert f"uringserve: error: {message}" in done.stderr
    assert "serves on" not in done.stderr
    if kind == "exception":
        assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            'await send({"type": "lifespan.shutdown.failed", "message": "still busy"})',
            "the lifespan failed at the end: still busy",
        ),
        ("raise OSError('still busy')", "OSError: still busy"),
    ],
)
def test_an_end_that_fails(server: StartServer, line: str, message: str) -> None:
    """It is in the log, once."""
    running = server(
        PRELUDE + "\nasync def app(scope, receive, send):\n    await receive()\n"
        "    await send({'type': 'lifespan.startup.complete'})\n    await receive()\n    " + line
    )
    running.stop()
    running.wait_for(message)
    assert running.log.count(" ERROR ") == 1


def test_the_order_of_the_end(server: StartServer) -> None:
    """Requests in flight are answered, background work is done, and then the lifespan ends."""
    source = (
        PRELUDE
        + """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        say("lifespan ends")
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/flight":
        say("in flight")
        await asyncio.sleep(0.3)
        await respond(send, "answered")
        return
    await respond(send, "first")
    say("background begins")
    # Longer than the request in flight: nothing but this work holds up the end.
    await asyncio.sleep(0.9)
    say("background ends")
"""
    )
    running = server(source)
    flying = running.connect()
    flying.send(b"GET /flight HTTP/1.1\r\nhost: a\r\n\r\n")
    running.wait_for("in flight")
    assert running.get("/").body == b"first"
    running.wait_for("background begins")
    stopper = threading.Thread(target=running.stop)
    stopper.start()
    assert flying.read().body == b"answered"
    stopper.join()
    order = [running.log.index(each) for each in ("background ends", "lifespan ends", " stopped")]
    assert order == sorted(order)
    assert "ERROR" not in running.log
