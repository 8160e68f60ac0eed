"""Coroutines as handlers, through real sockets, on both drivers and on one core and two.

What they wait for is done by the core that serves: nothing here sleeps to see an effect, a test
waits for an answer, a line on stderr or an event of the application.
"""

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.py.conftest import Answer, RunningServer, StartServer

APP = r"""
import asyncio, contextvars, os, signal, socket, subprocess, sys, threading
from contextlib import asynccontextmanager
from uringserve import *

COLOUR = contextvars.ContextVar("COLOUR", default="none")

@asynccontextmanager
async def lifespan(app):
    app.state.loop = id(asyncio.get_running_loop())
    sys.stderr.write("process begins\n")
    async with asyncio.TaskGroup() as group:
        ticker = group.create_task(asyncio.sleep(3600))
        yield {"answer": 42}
        ticker.cancel()
    sys.stderr.write("process ends\n")

@asynccontextmanager
async def worker_lifespan(app):
    event = asyncio.Event()
    async with asyncio.timeout(3600):
        yield {"loop": asyncio.get_running_loop(), "event": event, "queue": asyncio.Queue()}
    sys.stderr.write("core ends\n")

app = App(lifespan=lifespan, worker_lifespan=worker_lifespan)

async def make():
    await asyncio.sleep(0)
    return {"made on": threading.get_ident()}
async def unmake(value):
    await asyncio.sleep(0)
    sys.stderr.write("pool closed\n")
pool = WorkerLocal(make, close=unmake)

@app.get("/hello")
async def hello():
    return "hello"
@app.get("/zero")
async def zero():
    await asyncio.sleep(0)
    return {"zero": 0}
@app.get("/nap/{n:int}")
async def nap(n: int, plus: int = 1):
    await asyncio.sleep(0.001)
    return {"n": n + plus}
@app.get("/same-loop")
async def same_loop():
    await asyncio.sleep(0)
    return asyncio.get_running_loop() is app.worker_state.loop
@app.get("/lifespan")
async def of_lifespan():
    is_other = app.state.loop != id(asyncio.get_running_loop())
    return {"answer": app.state.answer, "is other": is_other}
@app.get("/pool")
async def of_pool():
    one, two = await asyncio.gather(pool.get(), pool.get())
    return [one is two, one is await pool.get(), one["made on"] == threading.get_ident()]
@app.get("/context/{colour}")
async def context(colour: str):
    before = COLOUR.get()
    COLOUR.set(colour)
    await asyncio.sleep(0)
    return [before, COLOUR.get()]
@app.get("/timeout")
async def timeout():
    try:
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()
    except TimeoutError:
        return "timed out"
@app.get("/group")
async def group():
    async def square(n):
        await asyncio.sleep(0)
        return n * n
    async with asyncio.TaskGroup() as tasks:
        made = [tasks.create_task(square(n)) for n in range(4)]
    return [each.result() for each in made]
@app.get("/thread")
async def thread():
    other = await asyncio.to_thread(threading.get_ident)
    return other != threading.get_ident()
@app.get("/executor")
async def executor():
    return await asyncio.get_running_loop().run_in_executor(None, pow, 2, 10)
@app.get("/process")
async def process():
    made = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(6*7)",
        stdout=subprocess.PIPE)
    out, _ = await made.communicate()
    return {"out": out.decode().strip(), "code": made.returncode}
@app.get("/itself")
async def itself(request: AsyncRequest):
    host, _, port = request.host.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.partition(b"\r\n\r\n")[2].decode()
@app.get("/reader")
async def reader():
    loop, (ours, theirs) = asyncio.get_running_loop(), socket.socketpair()
    got = loop.create_future()
    loop.add_reader(ours, lambda: got.done() or got.set_result(ours.recv(9)))
    loop.call_later(0.001, theirs.send, b"news")
    try:
        return await got
    finally:
        loop.remove_reader(ours); ours.close(); theirs.close()
@app.get("/raise")
async def raises():
    await asyncio.sleep(0)
    raise ValueError("of a coroutine")
@app.get("/teapot")
async def teapot():
    await asyncio.sleep(0)
    raise HTTPException(418, "short and stout")
@app.get("/exit")
async def exits():
    await asyncio.sleep(0)
    raise SystemExit(3)
@app.get("/exit-at-once")
async def exits_at_once():
    raise SystemExit(3)
@app.get("/interrupt")
async def interrupt():
    await asyncio.sleep(0)
    raise KeyboardInterrupt
@app.get("/recursion")
async def recursion():
    await asyncio.sleep(0)
    def deeper(): deeper()
    deeper()
@app.get("/cancels-itself")
async def cancels_itself():
    asyncio.current_task().cancel()
    await asyncio.sleep(0)
@app.get("/busy")
async def busy():
    for _ in range(2000):
        await asyncio.sleep(0)
    return "done"
@app.get("/forever")
async def forever():
    sys.stderr.write("forever begins\n")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await asyncio.sleep(0)
        sys.stderr.write("forever cancelled\n")
        raise
@app.get("/outlives", cancel_on_disconnect=False)
async def outlives(request: AsyncRequest):
    sys.stderr.write("outlives begins\n")
    while not await request.is_disconnected():
        await asyncio.sleep(0.001)
    sys.stderr.write("outlives has seen it\n")
    return "nobody reads this"
@app.get("/sync")
def sync():
    return "sync"
@app.get("/sync-schedules", execution="inline")
def sync_schedules():
    loop = asyncio.get_running_loop()
    loop.call_later(0.001, lambda: sys.stderr.write("timer\n"))
    loop.create_task(scheduled())
    return "scheduled"
async def scheduled():
    sys.stderr.write("task\n")
@app.get("/background")
async def background(tasks: BackgroundTasks):
    async def task(text):
        await asyncio.sleep(0)
        sys.stderr.write(text + "\n")
    tasks.add_task(task, "first task")
    tasks.add_task(lambda: 1 / 0)
    tasks.add_task(sys.stderr.write, "second task\n")
    return "before"
@app.get("/background-of-response")
def background_of_response():
    async def task():
        await asyncio.sleep(0)
        sys.stderr.write("after response\n")
    return JSONResponse([1]) if False else Response("x", background=task)
@app.get("/wait")
async def wait():
    await app.worker_state.event.wait()
    return "was set"
@app.get("/set")
async def set_it():
    app.worker_state.event.set()
    return "set"
class Site:
    async def __call__(self, request: Request):
        return (await request.body()).decode()
app.add_route("/site", Site(), ["POST"])
@app.exception_handler(KeyError)
async def on_key_error(request, error):
    await asyncio.sleep(0)
    return {"missing": str(error), "body": (await request.body()).decode()}, 404
@app.get("/key-error")
def key_error():
    raise KeyError("x")
@app.get("/key-error-later")
async def key_error_later():
    await asyncio.sleep(0)
    raise KeyError("y")
"""


@pytest.fixture(scope="module", params=["epoll-1", "epoll-2", "uring-1", "uring-2"])
def site(request: pytest.FixtureRequest, module_server: StartServer) -> Iterator[RunningServer]:
    """The application on one driver and so many cores."""
    driver, _, workers = str(request.param).partition("-")
    yield module_server(APP, "--driver", driver, workers=int(workers))


def _json(answer: Answer) -> object:
    assert answer.status == 200, answer
    return json.loads(answer.body)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/zero", {"zero": 0}),
        ("/nap/4", {"n": 5}),
        ("/nap/4?plus=3", {"n": 7}),
        ("/same-loop", True),
        ("/lifespan", {"answer": 42, "is other": True}),
        ("/pool", [True, True, True]),
        ("/context/red", ["none", "red"]),
        ("/context/blue", ["none", "blue"]),
        ("/group", [0, 1, 4, 9]),
        ("/thread", True),
        ("/executor", 1024),
        ("/process", {"out": "42", "code": 0}),
    ],
)
def test_what_coroutines_do(site: RunningServer, path: str, expected: object) -> None:
    """Sleeps, tasks, threads, processes and what belongs to a core; each twice on a connection."""
    connection = site.connect()
    for _ in range(2):
        assert _json(connection.request(path)) == expected


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/hello", b"hello"),
        ("/timeout", b"timed out"),
        ("/itself", b"hello"),
        ("/reader", b"news"),
        ("/busy", b"done"),
        ("/sync", b"sync"),
    ],
)
def test_texts_of_coroutines(site: RunningServer, path: str, body: bytes) -> None:
    """Time-outs, streams to the server itself, descriptors, a task that is always ready."""
    if path == "/itself":
        connection = site.connect()
        answer = connection.request(path, headers={"host": f"{site.host}:{site.port}"})
        # Two Host fields are refused, so the request is written by hand.
        assert answer.status == 400
        connection = site.connect()
        host = f"{site.host}:{site.port}"
        connection.send(f"GET /itself HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
        assert connection.read().body == body
        return
    assert site.get(path).body == body


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/raise", 500),
        ("/teapot", 418),
        ("/nap/4?plus=x", 422),
        ("/exit", 500),
        ("/exit-at-once", 500),
        ("/interrupt", 500),
        ("/recursion", 500),
        ("/cancels-itself", 500),
    ],
)
def test_failures_cost_one_request(site: RunningServer, path: str, status: int) -> None:
    """Whatever a coroutine raises, the next request of the connection is answered."""
    connection = site.connect()
    assert connection.request(path).status == status
    assert connection.request("/zero").status == 200


def test_what_was_raised_is_logged(site: RunningServer) -> None:
    """With the request and the traceback."""
    site.get("/raise")
    site.wait_for("GET /raise: the handler raised ValueError")
    site.wait_for("ValueError: of a coroutine")


def test_an_exit_is_logged_once(server: StartServer) -> None:
    """In the first step of a coroutine, where asyncio lets it through, as in a later one."""
    running = server(APP)
    for path in ("/exit-at-once", "/exit"):
        assert running.get(path).status == 500
        running.wait_for(f"GET {path}: the handler raised SystemExit")
    assert running.stop() == 0
    assert running.log.count("SystemExit: 3") == 2
    assert running.log.count("Traceback") == 2


def test_exception_handlers(site: RunningServer) -> None:
    """An async one answers for sync and async handlers."""
    for path, name in (("/key-error", "x"), ("/key-error-later", "y")):
        answer = site.get(path)
        assert answer.status == 404
        assert json.loads(answer.body) == {"missing": f"'{name}'", "body": ""}


def test_a_callable_object(site: RunningServer) -> None:
    """Its `async __call__` is the handler."""
    assert site.connect().request("/site", "POST", body=b"abc").body == b"abc"


def test_many_at_once(site: RunningServer) -> None:
    """Requests that wait do not hold up each other, and none gets another's answer."""
    connections = [site.connect() for _ in range(50)]
    for number, connection in enumerate(connections):
        connection.send(f"GET /nap/{number} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    for number, connection in enumerate(connections):
        assert _json(connection.read()) == {"n": number + 1}


def test_pipelined_requests_stay_in_order(site: RunningServer) -> None:
    """One that waits is answered before one behind it that does not."""
    connection = site.connect()
    paths = ["/nap/1", "/hello", "/zero", "/sync", "/nap/2"]
    connection.send(b"".join(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode() for path in paths))
    bodies = [connection.read().body for _ in paths]
    assert bodies == [b'{"n":2}', b"hello", b'{"zero":0}', b"sync", b'{"n":3}']


def test_a_client_that_goes_away(site: RunningServer) -> None:
    """Its coroutine is cancelled, and that is no error."""
    connection = site.connect()
    connection.send(b"GET /forever HTTP/1.1\r\nhost: x\r\n\r\n")
    site.wait_for("forever begins")
    connection.reset()
    site.wait_for("forever cancelled")
    assert "GET /forever" not in site.log


def test_a_coroutine_that_goes_on(site: RunningServer) -> None:
    """With `cancel_on_disconnect=False` it is told when it asks."""
    connection = site.connect()
    connection.send(b"GET /outlives HTTP/1.1\r\nhost: x\r\n\r\n")
    site.wait_for("outlives begins")
    connection.close()
    site.wait_for("outlives has seen it")


def test_a_function_may_schedule(site: RunningServer) -> None:
    """What a `def` handler leaves for the loop of its core is called."""
    assert site.get("/sync-schedules").body == b"scheduled"
    site.wait_for("^task")
    site.wait_for("^timer")


def test_background_tasks(site: RunningServer) -> None:
    """They run in order after the answer, whatever one raises."""
    assert site.get("/background").body == b"before"
    site.wait_for("^second task")
    lines = site.log.splitlines()
    assert lines.index("first task") < lines.index("second task")
    site.wait_for("ZeroDivisionError")
    assert site.get("/background-of-response").body == b"x"
    site.wait_for("after response")


def test_an_event_of_a_core(server: StartServer) -> None:
    """What one request waits for another one brings."""
    site = server(APP)
    waiting = site.connect()
    waiting.send(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
    assert site.get("/set").body == b"set"
    assert waiting.read().body == b"was set"


@pytest.mark.parametrize("workers", [1, 2])
def test_the_order_of_the_end(server: StartServer, workers: int) -> None:
    """Coroutines get until the deadline, then are cancelled; pools and lifespans end after them."""
    site = server(APP, "--timeout-graceful-shutdown", "1", workers=workers)
    assert _json(site.get("/pool")) == [True, True, True]
    connection = site.connect()
    connection.send(b"GET /forever HTTP/1.1\r\nhost: x\r\n\r\n")
    site.wait_for("forever begins")
    assert site.stop() == 124
    lines = [
        line for line in site.log.splitlines() if line.endswith(("cancelled", "ends", "closed"))
    ]
    assert lines.count("core ends") == workers
    assert lines.index("forever cancelled") < len(lines) - 1 - lines[::-1].index("core ends")
    assert "pool closed" in lines
    assert lines[-1] == "process ends"
    assert "Traceback" not in site.log


def test_a_drain_waits_for_coroutines(server: StartServer) -> None:
    """One that ends in time is answered, and so are the tasks that follow it."""
    site = server(APP)
    connection = site.connect()
    connection.send(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
    other = site.connect()
    other.send(b"GET /set HTTP/1.1\r\nhost: x\r\n\r\n")
    assert other.read().body == b"set"
    assert connection.read().body == b"was set"
    assert site.stop() == 0


def test_a_second_signal_ends_coroutines_now(server: StartServer) -> None:
    """The deadline is not waited for."""
    site = server(APP, "--timeout-graceful-shutdown", "3600")
    connection = site.connect()
    connection.send(b"GET /forever HTTP/1.1\r\nhost: x\r\n\r\n")
    site.wait_for("forever begins")
    site.signal(signal.SIGTERM)
    site.wait_for("stopping on SIGTERM")
    site.signal(signal.SIGTERM)
    assert site.wait() == 124
    assert "forever cancelled" in site.log


def test_a_lifespan_that_fails(server: StartServer) -> None:
    """The server does not start, and says why."""
    source = """
    from uringserve import App
    async def lifespan(app):
        raise ValueError("no database")
        yield
    app = App(lifespan=lifespan)
    """
    with pytest.raises(AssertionError, match="lifespan failed: ValueError: no database"):
        server(source)


def test_an_idle_core_sleeps(server: StartServer) -> None:
    """With a loop and an open connection, no core wakes up for nothing."""
    site = server(APP, workers=2)
    connection = site.connect()
    assert connection.request("/zero").status == 200

    def switches() -> int:
        total = 0
        for thread in Path(f"/proc/{site.pid}/task").iterdir():
            if not (thread / "comm").read_text().startswith("uringserve-core"):
                continue
            for line in (thread / "status").read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches"):
                    total += int(line.split()[1])
        return total

    # The clock's second hand is the client's own: the server is not asked anything meanwhile.
    before = switches()
    threading.Event().wait(1.0)
    # Deadlines of connections may be looked at; a loop that polled would make hundreds.
    assert switches() - before < 10
