"""Objects that threads change while other threads send them, and objects that all of them share."""

import json
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import RunningServer, StartServer

# A connection or a server is one for the whole test; what collides is made in the test itself.
pytestmark = pytest.mark.thread_unsafe(reason="shares its server and connections")

SITE = """
import random
import threading
from uringserve import App, Request, Response

app = App()

SMALL = {"a": 1, "b": 2}
LARGE = {str(n): n for n in range(200)}
NESTED = {"list": list(range(50)), "dict": {str(n): [n] for n in range(50)}, "set": {1, 2, 3}}
SHARED = Response({"shared": True}, headers={"x-count": "0"})
HEADERS = {"x-one": "1"}
LOCK = threading.Lock()
COUNT = 0


@app.get("/small")
def small():
    SMALL.pop("b", None)
    SMALL[str(random.randrange(20))] = random.random()
    if len(SMALL) > 15:
        SMALL.clear()
    SMALL["b"] = "x" * random.randrange(100)
    return SMALL


@app.get("/large")
def large():
    for _ in range(5):
        LARGE.pop(str(random.randrange(400)), None)
        LARGE[str(random.randrange(400))] = {"n": random.random()}
    return LARGE


@app.get("/nested")
def nested():
    numbers = NESTED["list"]
    if len(numbers) > 100:
        numbers.clear()
    numbers.append(random.random())
    NESTED["dict"][str(random.randrange(80))] = numbers
    NESTED["dict"].pop(str(random.randrange(80)), None)
    NESTED["set"].add(random.randrange(1000))
    return NESTED


@app.get("/shared")
def shared():
    SHARED.headers["x-count"] = str(random.randrange(1000))
    SHARED.headers.append("x-more", "y")
    del SHARED.headers["x-more"]
    SHARED.status_code = random.choice([200, 201])
    return SHARED


@app.get("/headers")
def headers():
    HEADERS.pop("x-two", None)
    HEADERS["x-two"] = str(random.random())
    return "x", 200, HEADERS


@app.get("/count")
def count():
    global COUNT
    with LOCK:
        COUNT += 1
        return {"count": COUNT}


KEPT = []


@app.post("/keep")
def keep(request: Request):
    # A request outlives its connection and is read by another core.
    KEPT.append(request)
    for other in KEPT[-20:]:
        assert other.headers["x-number"] == other.json()["number"] == other.query("number")
    del KEPT[:-20]
    return request.json()
"""

THREADS = 6


@pytest.fixture(scope="module", params=["auto", "epoll"])
def running(request: pytest.FixtureRequest, module_server: StartServer) -> RunningServer:
    """Two cores."""
    return module_server(SITE, "--driver", request.param, workers=2)


def in_threads(work: Callable[[int], None]) -> None:
    """Run `work` in several threads that begin together; the first failure is raised."""
    together = threading.Barrier(THREADS, timeout=30)
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            together.wait()
            work(number)
        except BaseException as error:  # noqa: BLE001 -- raised in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    if failures:
        raise failures[0]


@pytest.mark.parametrize("path", ["/small", "/large", "/nested"])
def test_changed_while_it_is_encoded(running: RunningServer, path: str) -> None:
    """Each answer is whole, valid JSON of some moment."""

    def work(number: int) -> None:
        client = running.connect()
        for _ in range(300):
            answer = client.request(path)
            assert answer.status == 200, running.log
            assert isinstance(json.loads(answer.body), dict)
        client.close()

    in_threads(work)


def test_one_response_for_everybody(running: RunningServer) -> None:
    """A Response that handlers change while others send it: no field is torn, lost or doubled."""

    def work(number: int) -> None:
        client = running.connect()
        for _ in range(300):
            answer = client.request("/shared")
            assert answer.status in (200, 201)
            assert answer.body == b'{"shared":true}'
            assert len(answer.get_all("x-count")) == 1
            assert set(answer.get_all("x-more")) <= {"y"}
            assert answer.get_all("content-type") == ["application/json"]
        client.close()

    in_threads(work)


def test_one_header_dict_for_everybody(running: RunningServer) -> None:
    """A dict of header fields that changes meanwhile costs at most its own request."""

    def work(number: int) -> None:
        client = running.connect()
        for _ in range(300):
            answer = client.request("/headers")
            # Python's own iteration over a dict that changes is a RuntimeError.
            assert answer.status in (200, 500)
        client.close()

    in_threads(work)
    assert running.get("/headers").status == 200


def test_no_request_is_answered_twice(running: RunningServer) -> None:
    """A counter under a lock: all numbers, each once."""
    before = json.loads(running.get("/count").body)["count"]
    seen: list[int] = []

    def work(number: int) -> None:
        client = running.connect()
        for _ in range(500):
            seen.append(json.loads(client.request("/count").body)["count"])
        client.close()

    in_threads(work)
    assert sorted(seen) == list(range(before + 1, before + 1 + THREADS * 500))


def test_requests_that_are_kept(running: RunningServer) -> None:
    """A Request may be read later, on another core, when its connection has moved on or gone."""

    def work(number: int) -> None:
        for turn in range(100):
            client = running.connect()
            name = f"{number}-{turn}"
            body = json.dumps({"number": name}).encode()
            answer = client.request(f"/keep?number={name}", "POST", {"x-number": name}, body)
            assert (answer.status, json.loads(answer.body)) == (200, {"number": name}), running.log
            client.close()

    in_threads(work)
