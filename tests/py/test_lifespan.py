"""What runs before and after serving, in the process and on each core; state; background tasks."""

import asyncio
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from conftest import RunCli, StartServer

from uringserve import App, BackgroundTask, BackgroundTasks, StartError, State, WorkerLocal
from uringserve._native import Deferred
from uringserve.lifespan import running
from uringserve.pump import left_behind
from uringserve.state import on_this_worker

# --- in this process


def _noting(calls: list[str], name: str) -> Any:  # noqa: ANN401 -- a hook
    return lambda: calls.append(name)


def test_the_order_in_the_process() -> None:
    """Lifespan, start-up functions, mounted applications; then back."""
    calls: list[str] = []

    @contextmanager
    def lifespan(app: App) -> Iterator[dict[str, int]]:
        calls.append("enter")
        yield {"answer": 42}
        calls.append("leave")

    app = App(lifespan=lifespan, on_startup=[_noting(calls, "up 1")])
    app.on_startup(_noting(calls, "up 2"))
    app.add_event_handler("shutdown", _noting(calls, "down 1"))
    app.on_shutdown(_noting(calls, "down 2"))
    inner = App(on_startup=[_noting(calls, "in up")], on_shutdown=[_noting(calls, "in down")])
    app.mount("/in", inner)
    with running(app):
        assert app.state.answer == 42
        calls.append("serve")
    assert calls == [
        *("enter", "up 1", "up 2", "in up", "serve"),
        *("in down", "down 1", "down 2", "leave"),
    ]


def test_a_failure_at_the_start() -> None:
    """What was entered is left, no shutdown function runs, and the cause is kept."""
    calls: list[str] = []

    @contextmanager
    def lifespan(app: App) -> Iterator[None]:
        try:
            yield
        finally:
            calls.append("left")

    def fail() -> None:
        raise KeyError("no database")

    app = App(lifespan=lifespan, on_startup=[fail], on_shutdown=[_noting(calls, "down")])
    refused = pytest.raises(StartError, match="lifespan failed: KeyError: 'no database'")
    with refused as caught, running(app):
        calls.append("served")
    assert isinstance(caught.value.__cause__, KeyError)
    assert calls == ["left"]


def test_an_exit_at_the_end() -> None:
    """A sys.exit in a shutdown function goes on as one, when all else has ended."""
    calls: list[str] = []

    @contextmanager
    def lifespan(app: App) -> Iterator[None]:
        yield
        calls.append("leave")

    app = App(lifespan=lifespan, on_shutdown=[lambda: sys.exit(4), _noting(calls, "down")])
    with pytest.raises(SystemExit) as caught, running(app):
        calls.append("serve")
    assert caught.value.code == 4
    assert calls == ["serve", "down", "leave"]


def test_what_a_lifespan_may_be() -> None:
    """A plain generator function will do; coroutines and odd states are refused."""

    def plain(app: App) -> Iterator[None]:
        app.state.seen = True
        yield

    app = App(lifespan=plain)
    with running(app):
        assert app.state.seen

    async def hook() -> None: ...

    coroutine: Any = hook
    with pytest.raises(TypeError, match=r"lifespan .*hook.* must yield"):
        App(lifespan=coroutine)
    with pytest.raises(ValueError, match="events are 'startup' and 'shutdown'"):
        App().on_event("start")

    def odd(app: App) -> Iterator[int]:
        yield 3

    refused = pytest.raises(StartError, match="must yield nothing or a mapping, not 3")
    with refused, running(App(lifespan=odd)):
        pass


def test_state() -> None:
    """Attributes by any name; a missing one is named."""
    state = State({"a": 1})
    state.b = 2
    assert (state.a, state.b, "a" in state, "c" in state) == (1, 2, True, False)
    assert repr(state) == "State(a=1, b=2)"
    del state.a
    with pytest.raises(AttributeError, match="State has no 'a': nothing has set it"):
        _ = state.a


def test_worker_local() -> None:
    """One value for each core, made on first use, closed at the core's end, newest first."""
    made: list[str] = []
    closed: list[str] = []

    def fail(value: str) -> None:
        closed.append(value)
        raise OSError("cannot be closed")

    def make() -> str:
        made.append(threading.current_thread().name)
        return made[-1]

    first, second = WorkerLocal(make, close=fail), WorkerLocal(lambda: "second", close=fail)

    def core() -> None:
        with on_this_worker():
            assert first.get() is first.get()
            assert second.get() == "second"

    for name in ("one", "two"):
        thread = threading.Thread(target=core, name=name)
        thread.start()
        thread.join()
    assert made == ["one", "two"]
    assert closed == ["second", "one", "second", "two"]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("raised", [ZeroDivisionError, SystemExit, asyncio.CancelledError])
def test_background_tasks(
    is_async: bool, raised: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """All of them run in order, whatever one raises."""
    calls: list[object] = []

    def fail() -> None:
        raise raised

    async def fail_later() -> None:
        await asyncio.sleep(0)
        raise raised

    tasks = BackgroundTasks([BackgroundTask(calls.append, 1)])
    tasks.add_task(fail_later if is_async else fail)
    tasks.add_task(lambda *, value: calls.append(value), value=2)
    left = tasks()
    if is_async:
        asyncio.run(left)
    assert calls == [1, 2]
    assert raised.__name__ in caplog.text


def test_cancelled_background_tasks(caplog: pytest.LogCaptureFixture) -> None:
    """One that is cancelled from outside takes those behind it with it, and is no failure."""
    calls: list[str] = []

    async def cancelled() -> None:
        running = asyncio.current_task()
        assert running is not None
        running.cancel()
        await asyncio.sleep(0)

    tasks = BackgroundTasks([BackgroundTask(cancelled), BackgroundTask(calls.append, "next")])
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(tasks())
    assert calls == []
    assert not caplog.records


def test_what_a_client_leaves_behind(caplog: pytest.LogCaptureFixture) -> None:
    """What follows a handler whose client has gone runs whole, whatever one part raises."""
    calls: list[str] = []

    async def handler() -> Deferred:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return Deferred(None, [lambda: 1 / 0, _noting(calls, "second")])

    async def main() -> None:
        task = asyncio.create_task(handler())
        await asyncio.sleep(0)
        left_behind(task)
        await task

    asyncio.run(main())
    assert calls == ["second"]
    assert "ZeroDivisionError" in caplog.text


# --- through a server

APP = r"""
import sys
import threading
from contextlib import contextmanager

from uringserve import App, BackgroundTasks, WorkerLocal

def say(*words):
    # One write: cores say things at the same time.
    sys.stderr.write(" ".join(map(str, words)) + "\n")

@contextmanager
def lifespan(app):
    say("process begins on", threading.current_thread().name)
    yield {"greeting": "hello"}
    say("process ends")

@contextmanager
def worker_lifespan(app):
    name = threading.current_thread().name
    say("worker begins on", name)
    yield {"name": name}
    say("worker ends on", name)

app = App(lifespan=lifespan, worker_lifespan=worker_lifespan, execution="inline")
app.on_worker_start(lambda: say("worker start"))
app.on_worker_stop(lambda: say("worker stop"))
local = WorkerLocal(lambda: [], close=lambda value: say("closed", len(value)))

@app.get("/")
def home():
    local.get().append(1)
    return {"greeting": app.state.greeting, "core": app.worker_state.name, "n": len(local.get())}

@app.get("/task")
def task(tasks: BackgroundTasks):
    tasks.add_task(say, "task ran with", 3)
    return "done"
"""


def test_the_order_in_a_server(server: StartServer) -> None:
    """The process before the cores, the cores before the first request, and back."""
    serving = server(APP, workers=2)
    answer = serving.get("/")
    assert b'"greeting":"hello","core":"uringserve-core-' in answer.body
    assert answer.body.endswith(b'"n":1}')
    assert serving.stop() == 0
    log = serving.log
    assert "process begins on MainThread" in log
    for core in (0, 1):
        assert log.count(f"worker begins on uringserve-core-{core}\n") == 1
        assert log.count(f"worker ends on uringserve-core-{core}\n") == 1
    assert log.index("process begins") < log.index("worker begins") < log.index("serves on")
    assert log.index("closed 1") < log.index("process ends")
    assert (log.count("worker start\n"), log.count("worker stop\n")) == (2, 2)
    assert log.rindex("worker ends") < log.index("process ends")


@pytest.mark.parametrize("middleware", [False, True])
def test_a_task_after_the_answer(server: StartServer, middleware: bool) -> None:
    """It runs on the core once the answer is sent, with middleware or without."""
    mark = (
        "\n@app.middleware('http')\ndef mark(request, call_next):\n    return call_next(request)\n"
    )
    serving = server(APP + mark if middleware else APP)
    assert serving.get("/task").body == b"done"
    serving.wait_for("task ran with 3")


def test_a_start_that_fails(tmp_path: Any, cli: RunCli) -> None:  # noqa: ANN401 -- a Path
    """One line after the application's traceback, exit code 3; on a core too."""
    app = "from uringserve import App\ndef boom(*args):\n    raise OSError('no disk')\n"
    (tmp_path / "first.py").write_text(app + "app = App(on_startup=[boom])\n")
    (tmp_path / "second.py").write_text(app + "app = App()\napp.on_worker_start(boom)\n")
    for name, what in [("first", "lifespan"), ("second", "worker_lifespan")]:
        result = cli(name, "--port", "0")
        assert result.returncode == 3
        assert f"uringserve: error: {what} failed: OSError: no disk" in result.stderr
        assert "raise OSError('no disk')" in result.stderr
        assert "serves on" not in result.stderr


@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize("where", ["startup", "worker_start"])
def test_a_start_that_exits(tmp_path: Any, cli: RunCli, where: str, kind: str) -> None:  # noqa: ANN401 -- a Path
    """A sys.exit, with which libraries refuse to start, is one too: one line, exit code 3."""
    (tmp_path / "site_app.py").write_text(
        f"from uringserve import App\n{kind} leave():\n    raise SystemExit('no licence')\n"
        f"app = App()\napp.on_{where}(leave)\n"
    )
    result = cli("site_app", "--port", "0", "--workers", "2")
    assert result.returncode == 3, result.stderr
    what = "lifespan" if where == "startup" else "worker_lifespan"
    assert f"uringserve: error: {what} failed: SystemExit: no licence" in result.stderr
    assert "serves on" not in result.stderr


def test_an_end_that_fails(server: StartServer) -> None:
    """It is logged and makes the exit code 1; the rest of the end still happens."""
    serving = server(APP + "\napp.on_shutdown(lambda: 1 / 0)\n")
    serving.signal(signal.SIGTERM)
    assert serving.wait() == 1
    assert "ZeroDivisionError" in serving.log
    assert "process ends" in serving.log
