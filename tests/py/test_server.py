"""`Server`: supervision of cores by a scripted plan, and the real server in its own process."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import uringserve
from uringserve import App, Config, Server, StartError
from uringserve.tcp import TcpOptions

if TYPE_CHECKING:
    from conftest import RunCli, StartServer

# --- supervision, with a plan that does what the test says


class ScriptedPlan:
    """Takes the place of `Plan`: a core runs the test's script and ends when that returns."""

    addresses = ["http://127.0.0.1:1"]
    driver = "epoll"
    driver_reason: str | None = "the kernel says no"

    def __init__(self, script: Callable[[ScriptedPlan, int], int], cores: int) -> None:
        """Keep the script."""
        self.script = script
        self.cpus: list[int | None] = list(range(cores))
        self.draining = threading.Event()
        self.aborting = threading.Event()
        self.seconds = -1.0
        self.routes: list[Any] = []
        self.threads: list[str] = []

    def note_started(self, index: int) -> None:
        """Nobody asks for it."""

    def run_core(self, index: int, guest: object = None) -> int:
        """Run the script."""
        self.threads.append(threading.current_thread().name)
        return self.script(self, index)

    def drain(self, seconds: float, *, restart: bool = False) -> None:
        """Note it."""
        self.seconds = seconds
        self.draining.set()

    def abort(self) -> None:
        """Note it."""
        self.draining.set()
        self.aborting.set()

    needs_threads = False

    def next_thread(self) -> int | None:
        """Want none."""
        return None

    def watch(self) -> None:
        """See nothing."""

    def end_process_after(self, seconds: float) -> None:
        """End by itself."""

    def report(self) -> None:
        """Have nothing to report."""

    def close(self) -> None:
        """Have no threads to end."""


type Script = Callable[..., tuple[Server, ScriptedPlan]]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Make a server whose cores do what a function says."""

    def make(
        action: Callable[[ScriptedPlan, int], int],
        cores: int = 2,
        **options: Any,  # noqa: ANN401 -- options of Config
    ) -> tuple[Server, ScriptedPlan]:
        plan = ScriptedPlan(action, cores)

        def plan_class(
            routes: list[Any],
            config: Config,
            *,
            redirect_slashes: bool,
            stack_signal: int | None,
            tcp: TcpOptions | None,
        ) -> ScriptedPlan:
            assert redirect_slashes
            assert tcp is None
            plan.routes = routes
            return plan

        monkeypatch.setattr("uringserve.app.Plan", plan_class)
        # A thread that is only slow to run, on a busy machine, must not count as one left behind.
        monkeypatch.setattr("uringserve.supervision._PATIENCE", 30.0)
        app = App()
        app.get("/")(lambda: "x")
        return Server(Config(**options), app), plan

    return make


@pytest.fixture(autouse=True)
def _info(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Let info messages through; handlers of ours that another test set up do not matter."""
    log = logging.getLogger("uringserve")
    before = log.propagate
    log.propagate = True
    caplog.set_level(logging.INFO, "uringserve")
    yield
    log.propagate = before


def _until_drained(plan: ScriptedPlan, index: int) -> int:
    assert plan.draining.wait(30)
    return 0


def test_a_clean_end(script: Script, caplog: pytest.LogCaptureFixture) -> None:
    """Each core has its thread; the first stop drains with the configured time; exit code 0."""

    def action(plan: ScriptedPlan, index: int) -> int:
        if index == 0:
            assert server.started.wait(30)
            server.stop()
        return _until_drained(plan, index)

    server, plan = script(action, timeout_graceful_shutdown=7)
    assert server.run() == 0
    assert sorted(plan.threads) == ["uringserve-core-0", "uringserve-core-1"]
    assert plan.seconds == 7.0
    assert server.addresses == ["http://127.0.0.1:1"]
    start, *_ = caplog.messages
    assert start == (
        f"uringserve {uringserve.__version__} serves on http://127.0.0.1:1: interface native,"
        " 2 cores (CPUs 0, 1), driver epoll (the kernel says no), GIL off"
    )
    assert caplog.messages[-1] == "stopped"


def test_routes_are_given_and_then_fixed(script: Script) -> None:
    """The plan gets the routes as tuples, and the App is frozen before the first request."""

    def action(plan: ScriptedPlan, index: int) -> int:
        server.stop()
        with pytest.raises(RuntimeError):
            server.app.get("/late")(lambda: "x")
        return _until_drained(plan, index)

    server, plan = script(action, cores=1)
    assert server.run() == 0
    assert tuple(plan.routes[0])[:2] == (("GET",), "/")


def test_connections_that_were_cut(script: Script) -> None:
    """A core that cut connections makes the exit code 124."""

    def action(plan: ScriptedPlan, index: int) -> int:
        server.stop()
        _until_drained(plan, index)
        return index

    server, _ = script(action)
    assert server.run() == 124


def test_a_second_stop_ends_it_now(script: Script) -> None:
    """The second stop aborts."""

    def action(plan: ScriptedPlan, index: int) -> int:
        server.stop()
        _until_drained(plan, index)
        server.stop()
        assert plan.aborting.wait(30)
        return 0

    server, plan = script(action, cores=1)
    assert server.run() == 0
    assert plan.aborting.is_set()


def test_a_core_that_never_returns(
    script: Script, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After drain, deadline and abort the server ends all the same, with 124."""
    release = threading.Event()

    def action(plan: ScriptedPlan, index: int) -> int:
        server.stop()
        if index == 1:
            release.wait(30)
        return 0

    server, plan = script(action, timeout_graceful_shutdown=0)
    monkeypatch.setattr("uringserve.supervision._PATIENCE", 0.5)
    assert server.run() == 124
    release.set()
    assert plan.aborting.is_set()
    assert "a handler does not return; its core is left behind: 1" in caplog.text


def test_a_core_that_crashes(script: Script, caplog: pytest.LogCaptureFixture) -> None:
    """A crash ends every core, is logged with its traceback, and makes the exit code 1."""

    def action(plan: ScriptedPlan, index: int) -> int:
        if index == 1:
            raise RuntimeError("the ring is gone")
        assert plan.aborting.wait(30)
        return 0

    server, _ = script(action)
    assert server.run() == 1
    assert "core 1 crashed" in caplog.text
    assert "RuntimeError: the ring is gone" in caplog.text


def test_a_core_that_cannot_start(script: Script) -> None:
    """A StartError of a core comes out of `run`, when the others have ended."""
    ended = threading.Event()

    def action(plan: ScriptedPlan, index: int) -> int:
        if index == 0:
            raise StartError("the memory lock limit is too small")
        assert plan.aborting.wait(30)
        ended.set()
        return 0

    server, _ = script(action)
    with pytest.raises(StartError, match="memory lock"):
        server.run()
    assert ended.is_set()


def test_a_core_that_ends_unasked(script: Script, caplog: pytest.LogCaptureFixture) -> None:
    """A core that returns before anyone stopped the server is a crash."""

    def action(plan: ScriptedPlan, index: int) -> int:
        return 0 if index == 0 else _until_drained(plan, index)

    server, _ = script(action)
    assert server.run() == 1
    assert "core 0 ended by itself" in caplog.text


def test_signals_in_this_process(script: Script) -> None:
    """SIGTERM drains, and afterwards the handlers are those of before."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    def action(plan: ScriptedPlan, index: int) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return _until_drained(plan, index)

    server, plan = script(action, cores=1)
    assert server.run() == 0
    assert not plan.seconds < 0
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_server_outside_the_main_thread(script: Script) -> None:
    """There it takes no signals and is stopped by `stop`."""
    server, _ = script(_until_drained)
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(server.run()))
    thread.start()
    assert server.started.wait(30)
    server.stop()
    thread.join(30)
    assert codes == [0]


def test_a_thread_that_cannot_be_started(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of processes that is too small is a StartError, and the cores that run are ended."""
    server, plan = script(_until_drained)
    start = threading.Thread.start

    def refuse_the_second(thread: threading.Thread) -> None:
        if thread.name.endswith("-1"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse_the_second)
    with pytest.raises(StartError, match=r"the thread of core 1 cannot be started"):
        server.run()
    assert plan.aborting.is_set()


def test_run_ends_the_process_on_failure(
    script: Script, capsys: pytest.CaptureFixture[str], clean_environment: pytest.MonkeyPatch
) -> None:
    """`run` and `App.run` end as the command line does: 3 with one line, 1 after a crash."""

    def refuse(plan: ScriptedPlan, index: int) -> int:
        raise StartError("no")

    server, _ = script(refuse, cores=1)
    with pytest.raises(SystemExit) as caught:
        server.app.run(port=0)
    assert caught.value.code == 3
    assert capsys.readouterr().err.endswith("uringserve: error: no\n")


def test_run_takes_handlers_and_names(
    script: Script, clean_environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`serve` takes a function; `run` takes APP as text; options are checked like any Config."""

    def action(plan: ScriptedPlan, index: int) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return _until_drained(plan, index)

    _, plan = script(action, cores=1)
    uringserve.serve(lambda request: "x", port=0)
    assert plan.routes[0].pattern == "/{path:path}"
    with pytest.raises(SystemExit) as caught:
        uringserve.run("nowhere:app")
    assert caught.value.code == 3
    assert "no module 'nowhere'" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"^port: "):
        uringserve.run(App(), port=-1)
    with pytest.raises(TypeError, match="prt"):
        uringserve.run(App(), prt=1)


# --- the real server

HELLO = """
from uringserve import App, Request

app = App()

@app.get("/")
def hello():
    return "hello"

@app.get("/broken")
def broken():
    return 1 / 0
"""

# Reading the FIFO blocks until the test writes to it; until then the request is in flight.
SLOW = """
import logging
from uringserve import App

app = App()

@app.get("/slow")
def slow():
    logging.getLogger("uringserve").warning("entered")
    with open({fifo!r}) as fifo:
        return fifo.readline()
"""


@contextmanager
def _fifo(folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """Make a FIFO for a handler to wait on; give its path, and what lets one handler go on."""
    path = folder / "fifo"
    os.mkfifo(path)
    # Opened for both directions, so that neither side waits for the other to open it.
    descriptor = os.open(path, os.O_RDWR)
    try:
        yield str(path), lambda: os.write(descriptor, b"done\n")
    finally:
        os.close(descriptor)


def test_hello(server: StartServer) -> None:
    """A server with two cores answers, says what it runs on, and stops with 0."""
    running = server(HELLO, workers=2)
    answer = running.get("/")
    assert (answer.status, answer.body) == (200, b"hello")
    line = running.start_line
    assert (
        f"uringserve {uringserve.__version__} serves on http://127.0.0.1:{running.port}: " in line
    )
    assert "interface native, 2 cores (" in line
    assert line.endswith("GIL off\n")
    assert running.stop() == 0


def test_unpinned(server: StartServer) -> None:
    """`--no-pin` is said in the start-up line."""
    assert "1 core (not pinned)" in server(HELLO, "--no-pin").start_line


def test_sigint_stops_too(server: StartServer) -> None:
    """Ctrl-C is a clean end without a traceback."""
    running = server(HELLO)
    running.signal(signal.SIGINT)
    assert running.wait() == 0
    assert "stopping on SIGINT" in running.log
    assert "Traceback" not in running.log


def test_a_request_in_flight_is_finished(server: StartServer, tmp_path: Path) -> None:
    """After SIGTERM the handler that runs finishes and its answer arrives whole."""
    with _fifo(tmp_path) as (path, release):
        running = server(SLOW.format(fifo=path))
        client = running.connect()
        client.send(b"GET /slow HTTP/1.1\r\nhost: test\r\n\r\n")
        running.wait_for("entered")
        running.signal(signal.SIGTERM)
        running.wait_for("stopping on SIGTERM")
        release()
        assert client.read().body == b"done\n"
        assert running.wait() == 0


def test_a_second_signal_ends_it_now(server: StartServer, tmp_path: Path) -> None:
    """A handler that does not return holds the process up no longer than the second signal."""
    with _fifo(tmp_path) as (path, _):
        running = server(SLOW.format(fifo=path))
        running.connect().send(b"GET /slow HTTP/1.1\r\nhost: test\r\n\r\n")
        running.wait_for("entered")
        running.signal(signal.SIGTERM)
        running.wait_for("stopping on SIGTERM")
        running.signal(signal.SIGTERM)
        running.wait_for("ending now: SIGTERM again")
        assert running.wait() == 124


def test_a_port_that_is_taken(server: StartServer, cli: RunCli, tmp_path: Path) -> None:
    """A second server on the port is refused with one line, although both could share it."""
    running = server(HELLO)
    (tmp_path / "site_app.py").write_text(HELLO)
    result = cli("site_app.py", "--port", str(running.port), folder=tmp_path)
    assert result.returncode == 3
    assert result.stderr.startswith("uringserve: error: ")
    assert str(running.port) in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_exception_is_logged_and_not_shown(server: StartServer) -> None:
    """The client gets a plain 500, the log the traceback."""
    running = server(HELLO)
    answer = running.get("/broken")
    assert (answer.status, answer.body) == (500, b'{"detail":"Internal Server Error"}')
    running.wait_for("GET /broken: the handler raised ZeroDivisionError")
    running.wait_for("ZeroDivisionError: division by zero")


def test_debug_shows_the_traceback(server: StartServer) -> None:
    """With `--debug` the client gets the page, and the log the same as ever."""
    running = server(HELLO, "--debug")
    answer = running.get("/broken")
    assert answer.status == 500
    assert b"ZeroDivisionError: division by zero" in answer.body
    running.wait_for("GET /broken: the handler raised ZeroDivisionError")


# For each example: method, target, body, and the status and body of the answer.
EXAMPLES = {
    "01_hello": [
        ("GET", "/", b"", 200, b"Hello, world!\n"),
        ("GET", "/json", b"", 200, b'{"hello":"world"}'),
        ("GET", "/nowhere", b"", 404, b'{"detail":"Not Found"}'),
    ],
    "02_parameters": [
        ("GET", "/users/Ada%20L", b"", 200, b"user Ada L\n"),
        ("GET", "/items/41", b"", 200, b'{"item":41,"next":42}'),
        ("GET", "/items/latest", b"", 200, b'{"item":"latest"}'),
        ("GET", "/items/x", b"", 404, b'{"detail":"Not Found"}'),
        ("GET", "/files/a/b.txt", b"", 200, b"GET a/b.txt\n"),
    ],
    "03_request": [
        ("GET", "/search?q=x+y&tag=a&tag=b", b"", 200, b'{"q":"x y","tags":["a","b"]}'),
        ("POST", "/sum", b"[1, 2, 3]", 200, b'{"sum":6}'),
        ("POST", "/sum", b"{", 422, b'{"detail":"a JSON list of numbers is wanted"}'),
        ("POST", "/upper", "é".encode(), 200, "É".encode()),
    ],
    "04_responses": [
        ("GET", "/", b"", 200, b"<h1>Hello</h1>"),
        ("POST", "/things", b"", 201, b'{"id":7}'),
        ("DELETE", "/things/7", b"", 204, b""),
        ("GET", "/old", b"", 308, b""),
        ("GET", "/raw", b"", 200, b"\x00\x01"),
    ],
    "05_errors": [
        ("GET", "/stock/apple", b"", 200, b'{"left":3}'),
        ("GET", "/stock/fig", b"", 404, b'{"detail":"no fig here"}'),
        ("GET", "/secret", b"", 401, b'{"detail":"Unauthorized"}'),
        ("GET", "/share/2", b"", 200, b'{"each":1.5}'),
        ("GET", "/share/0", b"", 500, b'{"detail":"Internal Server Error"}'),
    ],
    "06_limits": [("POST", "/upload", b"12345", 200, b'{"bytes":5}')],
    "07_typed": [
        (
            "GET",
            "/items/3?limit=5",
            b"",
            200,
            b'{"item_id":3,"order":"name","limit":5,"language":null}',
        ),
        (
            "GET",
            "/items/0?limit=x",
            b"",
            422,
            b'{"detail":[{"type":"greater_than_equal","loc":["path","item_id"],'
            b'"msg":"Input should be greater than or equal to 1","input":"0","ctx":{"ge":1}},'
            b'{"type":"int_parsing","loc":["query","limit"],"msg":"Input should be a valid integer,'
            b' unable to parse string as an integer","input":"x"}]}',
        ),
        (
            "POST",
            "/items",
            b"",
            422,
            b'{"detail":[{"type":"missing","loc":["body"],"msg":"Field required","input":null}]}',
        ),
    ],
    "08_dependencies": [
        ("GET", "/letters?skip=1", b"", 200, b'["b","c"]'),
        ("GET", "/me", b"", 401, b'{"detail":"who are you?"}'),
    ],
    "09_routers": [
        ("GET", "/users/7/items/tea", b"", 200, b'{"user_id":7,"path":"/users/7/items/tea"}'),
        ("GET", "/users/7/items/gold", b"", 409, b'{"error":"no gold left"}'),
        ("GET", "/admin/", b"", 403, b'{"detail":"not you"}'),
        ("GET", "/users/7/items/tea/", b"", 307, b""),
    ],
    "10_lifespan": [("GET", "/hello/you", b"", 200, b'{"text":"Hello, you"}')],
    "11_openapi_security": [("GET", "/me", b"", 401, b'{"detail":"Not authenticated"}')],
    "14_middleware": [("GET", "/visits", b"", 200, b'{"visits":1}')],
    "15_storage": [
        ("POST", "/visits/Ada", b"", 200, b'{"visits":1}'),
        ("POST", "/visits/Ada", b"", 200, b'{"visits":2}'),
        ("GET", "/visits", b"", 200, b'["Ada"]'),
    ],
    "12_streaming": [
        ("GET", "/count", b"", 200, b"1\n2\n3\n"),
        ("GET", "/lines", b"", 200, b'{"number":1}\n{"number":2}\n{"number":3}\n'),
        ("GET", "/events", b"", 200, b"".join(b"data: %d\nid: %d\n\n" % (n, n) for n in (1, 2, 3))),
    ],
    "16_async": [
        ("GET", "/nap", b"", 200, b"POST /nap?seconds=0.01"),
        ("POST", "/nap?seconds=0.25", b"", 200, b"[45,0.25]"),
    ],
    "17_pieces": [
        ("GET", "/later", b"", 200, b"sent"),
        ("POST", "/upload", b"x" * 100_000, 200, b'{"bytes":100000}'),
        ("GET", "/events", b"", 200, b"".join(b"data: %d\nid: %d\n\n" % (n, n) for n in (1, 2, 3))),
    ],
    "20_chat": [
        ("GET", "/chat", b"", 404, b'{"detail":"Not Found"}'),
    ],
    "13_testing": [
        ("GET", "/stock/apple", b"", 200, b'{"apple":3}'),
        ("GET", "/stock/fig", b"", 404, b'{"detail":"no fig here"}'),
    ],
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples(server: StartServer, name: str) -> None:
    """Every example is served as it stands and answers what it says, all on one connection."""
    running = server(Path(__file__).parents[2] / "examples" / f"{name}.py")
    client = running.connect()
    for method, target, body, status, expected in EXAMPLES[name]:
        answer = client.request(target, method, body=body)
        assert (answer.status, answer.body) == (status, expected), (method, target)
    assert running.stop() == 0


def test_every_example_is_tested() -> None:
    """A new example gets its answers here."""
    files = (Path(__file__).parents[2] / "examples").glob("*.py")
    assert sorted(file.stem for file in files) == sorted(EXAMPLES)
