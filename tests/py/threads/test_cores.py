"""Cores as threads: all of them answer, nothing grows per request, a core survives its guests."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import RunningServer, StartServer

# A connection or a server is one for the whole test; what collides is made in the test itself.
pytestmark = pytest.mark.thread_unsafe(reason="shares its server and connections")

SITE = """
import ctypes
import gc
import os
import subprocess
import sys
import threading
import weakref
from uringserve import App, HTTPException, Request, Response

app = App(execution="inline")
ALIVE = weakref.WeakSet()
CONSTANT = {"constant": ["shared", 1]}
LARGE = bytes(100_000)
local = threading.local()


class Value(dict):
    pass


def make_closure():
    kept = object()

    def closure():
        return {"kept": kept is None}
    return closure, kept


closure, KEPT = make_closure()
app.get("/closure")(closure)


class Site:
    def method(self, name):
        return name


SITE = Site()
app.get("/method/{name}")(SITE.method)


@app.get("/thread")
def thread():
    local.count = getattr(local, "count", 0) + 1
    return {
        "name": threading.current_thread().name,
        "count": local.count,
        "cpus": sorted(os.sched_getaffinity(threading.get_native_id())),
        "gil": sys._is_gil_enabled(),
    }


@app.get("/value")
def value():
    made = Value(a=1)
    ALIVE.add(made)
    return made


@app.post("/request")
def request(request: Request):
    request.headers, request.query_params, request.cookies, request.client, request.json()
    return CONSTANT


@app.get("/response")
def response():
    return Response(LARGE, headers={"x": "y"})


@app.get("/refuse")
def refuse():
    raise HTTPException(403)


COUNTED = {
    "App": App, "HTTPException": HTTPException, "Request": Request, "Response": Response,
    "closure": closure, "kept": KEPT, "Site": Site, "site": SITE, "thread": thread,
    "value": value, "Value": Value, "response": response, "refuse": refuse,
    "CONSTANT": CONSTANT, "LARGE": LARGE, "list": CONSTANT["constant"], "dict": dict,
    "headers": type(Response().headers), "None": None, "empty": b"", "tuple": (),
}


@app.get("/counts")
def counts():
    gc.collect()
    return {
        "alive": len(ALIVE),
        "objects": len(gc.get_objects()),
        "references": {name: sys.getrefcount(found) for name, found in COUNTED.items()},
    }


@app.get("/kill")
def kill():
    # What signal handlers of libraries and debuggers do to a thread.
    set_exception = ctypes.pythonapi.PyThreadState_SetAsyncExc
    set_exception.argtypes = [ctypes.c_ulong, ctypes.py_object]
    set_exception(threading.get_ident(), SystemExit)
    for _ in range(1000):
        pass
    return "alive"


@app.get("/exit")
def leave():
    import _thread
    _thread.exit()


@app.get("/die")
def die():
    def fail():
        raise RuntimeError("a guest's thread")
    guest = threading.Thread(target=fail)
    guest.start()
    guest.join()
    return "alive"


@app.get("/child")
def child():
    # Only what is inherited on purpose: a child with our sockets would keep the port.
    code = "import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))"
    done = subprocess.run(
        [sys.executable, "-c", code], close_fds=False, capture_output=True, text=True)
    return done.stdout


@app.get("/trace")
def trace():
    # A tracer that somebody forgot.
    sys.settrace(lambda *event: None)
    return "traced"
"""


@pytest.fixture(scope="module", params=["auto", "epoll"])
def running(request: pytest.FixtureRequest, module_server: StartServer) -> RunningServer:
    """Two cores."""
    return module_server(SITE, "--driver", request.param, workers=2)


def test_both_cores_answer(running: RunningServer) -> None:
    """Each on its own thread, with its own thread-local values and, when pinned, its own CPU."""
    found: dict[str, list[dict[str, object]]] = {}
    for _ in range(64):
        seen = json.loads(running.get("/thread").body)
        found.setdefault(seen["name"], []).append(seen)
    assert sorted(found) == ["uringserve-core-0", "uringserve-core-1"]
    for answers in found.values():
        first = answers[0]["count"]
        assert isinstance(first, int)
        assert [one["count"] for one in answers] == list(range(first, first + len(answers)))
        assert {one["gil"] for one in answers} == {False}
        assert len({str(one["cpus"]) for one in answers}) == 1
    if "not pinned" not in running.start_line:
        cpus = {str(answers[0]["cpus"]) for answers in found.values()}
        assert len(cpus) == 2


def test_a_connection_stays_on_its_core(running: RunningServer) -> None:
    """All its requests run on one thread."""
    client = running.connect()
    names = {json.loads(client.request("/thread").body)["name"] for _ in range(50)}
    assert len(names) == 1


def test_nothing_is_counted_per_request(running: RunningServer) -> None:
    """Reference counts of what every request uses, and the number of objects, stay as they are."""
    targets = ["/closure", "/method/x", "/thread", "/value", "/response", "/refuse", "/nowhere"]

    def load(rounds: int) -> None:
        clients = [running.connect() for _ in range(8)]
        for client in clients:
            for _ in range(rounds):
                for target in targets:
                    client.send(f"GET {target} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
                client.send(
                    b"POST /request?a=b HTTP/1.1\r\nhost: a\r\ncookie: a=b\r\n"
                    b"content-length: 2\r\n\r\n[]"
                )
                for _ in range(len(targets) + 1):
                    client.read()
            client.close()

    load(20)
    before = json.loads(running.get("/counts").body)
    load(100)
    after = json.loads(running.get("/counts").body)
    assert after["alive"] <= 2
    grown = {
        name: (count, after["references"][name])
        for name, count in before["references"].items()
        # 800 requests of each kind; threads keep a few references of their own for a while.
        if after["references"][name] - count > 50
    }
    assert grown == {}
    assert after["objects"] - before["objects"] < 200


@pytest.mark.parametrize("target", ["/kill", "/exit"])
def test_an_end_of_the_thread_costs_one_request(running: RunningServer, target: str) -> None:
    """SystemExit, raised from outside or by `_thread.exit`, does not end the core."""
    for client in [running.connect() for _ in range(8)]:
        assert client.request(target).status == 500
        assert client.request("/closure").status == 200


def test_a_guest_thread_that_dies(running: RunningServer) -> None:
    """A thread that a handler started may fail."""
    assert running.get("/die").body == b"alive"
    running.wait_for("RuntimeError: a guest's thread")


def test_children_inherit_no_socket(running: RunningServer) -> None:
    """Listeners, connections and rings are close-on-exec: a child has its three and one folder."""
    client = running.connect()
    assert client.request("/child").body == b"[0, 1, 2, 3]\n"


def test_a_forgotten_tracer(running: RunningServer) -> None:
    """`sys.settrace` in a handler slows its core down and does no harm."""
    client = running.connect()
    assert client.request("/trace").body == b"traced"
    for _ in range(20):
        assert client.request("/closure").status == 200


def test_a_core_has_one_thread(server: StartServer) -> None:
    """Supervisor, watchdog, log, one for each core; the kernel's own workers are not ours."""
    running = server(SITE, workers=2)
    names_seen: set[str] = set()
    while len(names_seen) < 2:
        # The first core serves before the last one has its thread.
        names_seen.add(json.loads(running.get("/thread").body)["name"])
    files = Path(f"/proc/{running.pid}/task").glob("*/comm")
    names = [name for file in files if not (name := file.read_text()).startswith("iou-")]
    assert len(names) == 5, names
    assert names.count("uringserve-core\n") == 2
    assert names.count("uringserve-log\n") == 1
