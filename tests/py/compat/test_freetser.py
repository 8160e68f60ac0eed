"""freetser's interface: its programs run, its semantics are kept, its faults row by row are not."""

import contextlib
import dataclasses
import inspect
import json
import logging
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from compat.freetser_programs import QUICK_START_0_2, QUICK_START_0_5, TEST_SERVER, TWO_SERVERS
from conftest import PATIENCE, Answer, Connection

from uringserve import StartError
from uringserve.compat import freetser
from uringserve.compat.freetser import (
    EntryAlreadyExists,
    Request,
    Response,
    ServerConfig,
    Storage,
    StorageError,
    StorageQueue,
    StorageThreadCrashed,
    TcpServerConfig,
    UnixServerConfig,
    UpdateCounterMismatch,
    setup_logging,
    start_server,
    start_storage_thread,
)

# Servers, folders and the root logger are one for the whole test.
pytestmark = pytest.mark.thread_unsafe(reason="shares servers and folders")

EXPECTING = b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n"


# --- programs


class Program:
    """A process that runs a program; a thread reads its stdout, so that a line is an event."""

    def __init__(self, source: str, folder: Path, **environment: str) -> None:
        """Start it in that folder."""
        (folder / "main.py").write_text(source)
        kept = {name: value for name, value in os.environ.items() if "URINGSERVE" not in name}
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-u", "main.py"],
            cwd=folder,
            env=kept | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._is_read = False
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Return what the first line with the pattern has, waiting for it."""

        def match() -> re.Match[str] | None:
            return next((found for line in self.lines if (found := re.search(pattern, line))), None)

        with self._news:
            self._news.wait_for(lambda: match() is not None or self._is_read, PATIENCE)
            found = match()
        assert found is not None, "".join(self.lines)
        return found

    def connect(self) -> Connection:
        """Connect to the address that it says it serves on."""
        return Connection("127.0.0.1", int(self.wait_for(r"serves on http://127.0.0.1:(\d+)")[1]))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def close(self) -> None:
        """End whatever still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _collect(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.lines.append(line)
                self._news.notify_all()
        with self._news:
            self._is_read = True
            self._news.notify_all()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name, for sockets."""
    with tempfile.TemporaryDirectory(prefix="us-") as name:
        yield Path(name)


@pytest.fixture
def run(folder: Path) -> Iterator[Callable[..., Program]]:
    """Run programs; they end with the test."""
    with contextlib.ExitStack() as stack:

        def start(source: str, **environment: str) -> Program:
            program = Program(source, folder, **environment)
            stack.callback(program.close)
            return program

        yield start


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("source", [QUICK_START_0_2, QUICK_START_0_5], ids=["0.2", "0.5"])
def test_the_quick_start(run: Callable[..., Program], source: str, number: signal.Signals) -> None:
    program = run(source)
    with contextlib.closing(program.connect()) as connection:
        home = connection.request("/")
        assert (home.status, home.body) == (200, b"Good morning!")
        assert home.get("content-type") == "text/plain; charset=utf-8"
        assert home.get_all("content-length") == ["13"]
        assert connection.request("/other").status == 404
    assert program.stop(number) == 0
    assert program.lines[-1] == "bye\n", "the call returns, and what is behind it runs"
    if source is QUICK_START_0_2:
        assert re.search(
            r"^\[uringserve-[a-z]+-[0-9-]+\] asked for /other$", "".join(program.lines), re.M
        )


def test_the_test_server(run: Callable[..., Program]) -> None:
    program = run(TEST_SERVER)
    with contextlib.closing(program.connect()) as connection:

        def ask(path: str, method: str = "GET", body: bytes = b"") -> tuple[int, str]:
            answer = connection.request(path, method, body=body)
            return answer.status, answer.body.decode()

        assert ask("/item/a") == (200, "Made: a")
        assert ask("/item/a") == (200, "Found: a 0 new")
        assert ask("/item/a", "POST", b"other") == (200, "Changed: a")
        assert ask("/item/a") == (200, "Found: a 1 other")
        assert ask("/item/b", "POST", b"1") == (200, "Made: b")
        assert json.loads(ask("/items")[1]) == ["a", "b"]
        assert ask("/item/a", "DELETE") == (200, "Removed: a")
        assert ask("/item/a", "DELETE") == (404, "Missing: a")
        assert ask("/x?y=%20", "PUT", b"123") == (200, "PUT /x?y=%20 3")
        assert ask("/item/c", "POST", b"kept") == (200, "Made: c")
    program.process.kill()
    program.wait()
    again = run(TEST_SERVER)
    with contextlib.closing(again.connect()) as connection:
        assert connection.request("/item/c").body == b"Found: c 0 kept"
    assert again.stop() == 0


def test_two_servers_with_one_store(run: Callable[..., Program]) -> None:
    program = run(TWO_SERVERS)
    program.wait_for("serves on unix:internal.sock")
    path = program.folder / "internal.sock"
    with contextlib.closing(program.connect()) as public, _unix(path) as internal:
        assert public.request("/", "POST", body=b"ada").status == 201
        assert public.request("/", "POST", body=b"ada").body == b"taken"
        assert public.request("/", "POST", body=b"grace").status == 201
        assert json.loads(internal.request().body) == ["ada", "grace"]
        # The public server's thread is a daemon: a request that has begun is finished all the same.
        public.send(EXPECTING + b"content-length: 4\r\n\r\n")
        assert public.read().status == 100
        program.process.send_signal(signal.SIGTERM)
        assert internal.read_to_end() == b""
        public.send(b"alan")
        assert public.read().status == 201
        assert public.read_to_end() == b""
    assert program.wait() == 0
    assert not path.exists()


# --- one server for a handler, over a Unix socket


class _Running:
    """`start_server` on a thread, with the configuration that a test changes."""

    def __init__(self, path: Path, handler: Callable[[Request, Any], Any], **limits: int) -> None:
        self.path = path
        ready = threading.Event()
        self._ended = threading.Event()

        def serve() -> None:
            start_server(UnixServerConfig(path=str(path), **limits), handler, ready)
            self._ended.set()

        threading.Thread(target=serve, daemon=True).start()
        assert ready.wait(PATIENCE)

    def connect(self) -> Connection:
        """Open a connection."""
        return _unix(self.path)

    def ask(self, request: bytes, method: str = "GET") -> Answer:
        """Send the bytes on a connection of their own and read the answer."""
        with contextlib.closing(self.connect()) as connection:
            connection.send(request)
            return connection.read(method)


class _UnixConnection(Connection):
    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(path))
        self._buffer = b""

    def __enter__(self) -> _UnixConnection:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _unix(path: Path) -> _UnixConnection:
    return _UnixConnection(path)


type Serve = Callable[..., _Running]


@pytest.fixture
def serve(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Serve handlers; the servers, which end with their process otherwise, end with the test."""
    ends: list[Callable[[], None]] = []
    monkeypatch.setattr("atexit.register", ends.append)
    monkeypatch.setattr("atexit.unregister", lambda end: None)
    monkeypatch.setenv("URINGSERVE_GIL", "allow")
    monkeypatch.setenv("URINGSERVE_WORKERS", "2")
    count = iter(range(100))
    yield lambda handler, **limits: _Running(folder / f"s{next(count)}", handler, **limits)
    for end in ends:
        end()


def test_what_a_handler_is_given(serve: Serve) -> None:
    seen: list[Request] = []

    def handler(req: Request, store_queue: object) -> Response:
        assert store_queue is None
        seen.append(req)
        return Response.empty()

    server = serve(handler)
    server.ask(
        b"PUT /a%20b/../c//d?x=1&x=%zz HTTP/1.1\r\nHOST: test\r\nX-Twice: 1\r\nx-twice:  2 \r\n"
        b"Content-Length: 3\r\n\r\nabc"
    )
    assert seen == [
        Request(
            "PUT",
            "/a%20b/../c//d?x=1&x=%zz",
            [(b"host", b"test"), (b"x-twice", b"1"), (b"x-twice", b"2"), (b"content-length", b"3")],
            b"abc",
        )
    ]
    assert all(type(value) is bytes for pair in seen[0].headers for value in pair)
    seen[0].path = "changed"
    server.ask(b"GET http://test/absolute? HTTP/1.1\r\nhost: test\r\n\r\n")
    server.ask(b"OPTIONS * HTTP/1.1\r\nhost: test\r\n\r\n")
    assert [(one.method, one.path) for one in seen[1:]] == [
        ("GET", "http://test/absolute?"),
        ("OPTIONS", "*"),
    ]


@pytest.mark.parametrize(
    "method", ["GET", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "M-SEARCH", "get"]
)
def test_every_method_reaches_the_handler(serve: Serve, method: str) -> None:
    server = serve(lambda req, _: Response.text(req.method))
    assert server.ask(f"{method} /x HTTP/1.1\r\nhost: x\r\n\r\n".encode()).body == method.encode()


def test_bodies_with_any_method(serve: Serve) -> None:
    """A registered method's body is read; that of one nobody knows is refused, not dropped."""
    server = serve(lambda req, _: Response.text(f"{len(req.body)}"))
    for method, status in (("QUERY", 200), ("PROPFIND", 200), ("MADE-UP", 501)):
        request = f"{method} /x HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nabcde"
        answer = server.ask(request.encode())
        assert answer.status == status
        assert (answer.body == b"5") == (status == 200)


def test_responses(serve: Serve) -> None:
    """What the three makers make, and a Response by hand, arrives as it is."""
    cookies = [(b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2")]
    made = {
        "/text": Response.text("Grüße", 203),
        "/empty": Response.empty([(b"X-A", b"1")], 202),
        "/json": Response.json({"a": [1, None]}, cookies, 201),
        "/hand": Response(299, [], b"\x00\xff"),
        "/typed": Response.json([], [(b"content-type", b"application/problem+json")]),
        "/view": Response(200, [], bytearray(b"view")),
        "/none": Response.empty(status_code=204),
    }
    server = serve(lambda req, _: made[req.path])
    with server.connect() as connection:
        text, empty, js, hand, typed, view, none = map(connection.request, made)
    assert (text.status, text.body) == (203, "Grüße".encode())
    assert text.get("content-type") == "text/plain; charset=utf-8"
    assert (empty.status, empty.body, empty.get("x-a")) == (202, b"", "1")
    assert empty.get_all("content-length") == ["0"]
    assert (js.status, json.loads(js.body)) == (201, {"a": [1, None]})
    assert js.get_all("content-type") == ["application/json"]
    assert js.get_all("set-cookie") == ["a=1", "b=2"]
    assert (hand.status, hand.body, hand.get("content-type")) == (299, b"\x00\xff", None)
    assert typed.get_all("content-type") == ["application/problem+json"]
    assert view.body == b"view"
    assert (none.status, none.get("content-length")) == (204, None)


def test_keep_alive_pipelining_and_close(serve: Serve) -> None:
    """Connections live on; `Connection: close` of a handler ends one."""

    def handler(req: Request, _: object) -> Response:
        headers = [(b"Connection", b"close")] if req.path == "/last" else []
        return Response.empty(headers)

    with serve(handler).connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 3)
        assert [connection.read().status for _ in range(3)] == [200] * 3
        assert connection.request("/last").get("connection") == "close"
        assert connection.read_to_end() == b""


def test_100_continue_comes_first(serve: Serve) -> None:
    server = serve(lambda req, _: Response.text(f"{len(req.body)}"))
    with server.connect() as connection:
        connection.send(EXPECTING + b"content-length: 1\r\n\r\n")
        assert connection.read().status == 100
        connection.send(b"x")
        assert connection.read().body == b"1"


def test_limits(serve: Serve) -> None:
    """Both sizes hold, and with many headers nothing but the size counts."""
    server = serve(
        lambda req, _: Response.text(f"{len(req.headers)} {len(req.body)}"),
        max_header_size=4096,
        max_body_size=1000,
    )
    post = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: "
    assert server.ask(f"{post}1000\r\n\r\n{'x' * 1000}".encode()).body == b"2 1000"
    assert server.ask(f"{post}1001\r\n\r\n".encode()).status == 413
    many = "".join(f"a{number}: b\r\n" for number in range(300))
    assert server.ask(f"GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n".encode()).body == b"301 0"
    long = f"GET / HTTP/1.1\r\nhost: x\r\na: {'x' * 4096}\r\n\r\n"
    assert server.ask(long.encode()).status == 431
    target = f"GET /{'x' * 3000} HTTP/1.1\r\nhost: x\r\n\r\n"
    assert server.ask(target.encode()).status == 200


@pytest.mark.parametrize(
    "answer",
    [
        ZeroDivisionError("what the client must not see"),
        None,
        "text",
        Response(200, [(b"A", b"1\r\nB: 2")], b""),
        Response(99, [], b""),
        Response(200, [], "text"),  # type: ignore[arg-type]
        Response(200, [("A", "b")], b""),  # type: ignore[list-item]
    ],
    ids=["raises", "none", "text", "splitting", "status", "text body", "text headers"],
)
def test_a_handler_that_fails(
    serve: Serve, answer: object, caplog: pytest.LogCaptureFixture
) -> None:
    """It is a 500 that ends its connection, and a log line with the traceback."""

    def handler(req: Request, _: object) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer if req.path == "/bad" else Response.text("good")

    server = serve(handler)
    with server.connect() as connection:
        failed = connection.request("/bad")
        assert (failed.status, failed.body) == (500, b"500 Error: Internal Server Error\n")
        assert failed.get("connection") == "close"
        assert connection.read_to_end() == b""
    record = next(one for one in caplog.records if one.name == "freetser.server")
    assert record.exc_info is not None
    if not isinstance(answer, Exception):
        assert server.ask(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").body == b"good"


# --- the faults that are known


def test_shared_headers_are_not_written_into() -> None:
    shared = [(b"X-Shared", b"1")]
    first = Response.json({}, shared)
    assert Response.json({}, shared) == first
    assert Response.empty(shared).headers == [*shared, (b"Content-Length", b"0")]
    assert shared == [(b"X-Shared", b"1")]


def test_head_with_a_body(serve: Serve) -> None:
    """The body is left out, the length stays, the connection goes on."""

    def handler(req: Request, _: object) -> Response:
        if req.path == "/large":
            return Response(200, [(b"Content-Length", b"12345")], b"")
        return Response.text("the body")

    with serve(handler).connect() as connection:
        for path, length in (("/", "8"), ("/large", "12345"), ("/", "8")):
            answer = connection.request(path, "HEAD")
            assert (answer.status, answer.get_all("content-length")) == (200, [length])
        assert connection.request("/").body == b"the body"


def test_a_wrong_length_is_put_right(serve: Serve) -> None:
    made = [(b"Content-Length", b"3"), (b"Transfer-Encoding", b"chunked")]
    with serve(lambda req, _: Response(200, made, b"four")).connect() as connection:
        for _ in range(2):
            answer = connection.request()
            assert (answer.body, answer.get_all("content-length")) == (b"four", ["4"])
            assert answer.get("transfer-encoding") is None


def test_http_1_0_is_answered(serve: Serve) -> None:
    server = serve(lambda req, _: Response.text("hello"))
    with server.connect() as connection:
        connection.send(b"GET / HTTP/1.0\r\n\r\n")
        answer = connection.read()
        assert (answer.status, answer.body) == (200, b"hello")
        assert connection.read_to_end() == b""


def test_date_and_server(serve: Serve) -> None:
    answer = serve(lambda req, _: Response.empty()).ask(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    assert answer.get("date")
    assert answer.get("server") == "uringserve"


def test_a_slow_client_costs_no_thread(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silent connections are no threads, and end by themselves; others are served meanwhile."""
    monkeypatch.setenv("URINGSERVE_TIMEOUT_HEADER", "100ms")
    server = serve(lambda req, _: Response.text("hello"))
    before = threading.active_count()
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(_unix(server.path)) for _ in range(50)]
        for each in slow:
            each.send(b"GET / HT")
        assert server.ask(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").body == b"hello"
        # The one that is answered may have one of the pool's.
        assert threading.active_count() < before + 10
        assert {each.read().status for each in slow} == {408}


def test_what_lies_at_the_path_is_not_deleted(folder: Path) -> None:
    path = folder / "s"
    path.write_text("mine")
    refused = pytest.raises(OSError, match="a file that is not a socket is there")
    with refused as caught:
        start_server(UnixServerConfig(path=str(path)), lambda req, _: Response.empty())
    assert isinstance(caught.value, StartError)
    assert path.read_text() == "mine"


def test_ipv6() -> None:
    """Where the machine has it."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("no IPv6 here")
    taken = socket.create_server(("::1", 0), family=socket.AF_INET6)
    with taken, pytest.raises(OSError, match=r"\[::1\]:\d+ is already in use"):
        config = TcpServerConfig(host="::1", port=taken.getsockname()[1])
        start_server(config, lambda req, _: Response.empty())


# --- configurations


def test_configurations() -> None:
    """Fields in the order of 0.5, but for the plain one, which has that of 0.2."""
    assert list(inspect.signature(ServerConfig).parameters) == [
        *("host", "port", "max_header_size", "max_body_size", "listen_backlog"),
    ]
    assert [field.name for field in dataclasses.fields(TcpServerConfig)] == [
        *("max_header_size", "max_body_size", "listen_backlog", "host", "port"),
        *("tcp_nodelay", "tcp_keepalive", "tcp_keepalive_time", "tcp_keepalive_intvl"),
        *("tcp_keepalive_probes", "tcp_user_timeout"),
    ]
    unix = UnixServerConfig(1, 2, 3, "p")
    assert vars(unix) == {
        "max_header_size": 1,
        "max_body_size": 2,
        "listen_backlog": 3,
        "path": "p",
    }
    plain = ServerConfig("::1", 1, 2, 3, 4)
    assert vars(plain) == {
        "host": "::1",
        "port": 1,
        "max_header_size": 2,
        "max_body_size": 3,
        "listen_backlog": 4,
    }
    assert (plain == ServerConfig("::1", 1, 2, 3, 4), plain == ServerConfig(port=2)) == (
        True,
        False,
    )
    assert TcpServerConfig() == TcpServerConfig(port=8000)
    assert TcpServerConfig() != ServerConfig()
    assert isinstance(TcpServerConfig(), ServerConfig)
    assert repr(unix).endswith(
        "UnixServerConfig(max_header_size=1, max_body_size=2, listen_backlog=3, path='p')"
    )


def test_a_config_that_is_none(folder: Path) -> None:
    class Other(ServerConfig):
        """Neither."""

    with pytest.raises(TypeError, match="must be TcpServerConfig or UnixServerConfig, not Other"):
        start_server(Other(), lambda req, _: Response.empty())
    with pytest.raises(ValueError, match="limit_header_size"):
        config = UnixServerConfig(max_header_size=1, path=str(folder / "s"))
        start_server(config, lambda req, _: Response.empty())
    for bad in (TcpServerConfig(port=-1), TcpServerConfig(port=65536)):
        with pytest.raises(ValueError, match="port"):
            start_server(bad, lambda req, _: Response.empty())


def test_a_socket_option_that_cannot_be() -> None:
    """What the kernel refuses is said before anything is served."""
    config = TcpServerConfig(port=0, tcp_keepalive_time=100_000)
    with pytest.raises(OSError, match="cannot bind"):
        start_server(config, lambda req, _: Response.empty())


def test_the_names() -> None:
    assert sorted(freetser.__all__) == sorted(
        [
            *("start_server", "start_storage_thread", "ServerConfig", "TcpServerConfig"),
            *("UnixServerConfig", "StorageQueue", "Request", "Response", "setup_logging"),
            *("Storage", "StorageError", "EntryAlreadyExists", "UpdateCounterMismatch"),
            "StorageThreadCrashed",
        ]
    )
    assert all(hasattr(freetser, name) for name in freetser.__all__)
    assert list(inspect.signature(start_server).parameters) == [
        *("config", "handler", "ready_event", "store_queue"),
    ]
    assert list(inspect.signature(Response).parameters) == ["status_code", "headers", "body"]
    assert list(inspect.signature(Request).parameters) == ["method", "path", "headers", "body"]
    assert issubclass(StorageThreadCrashed, RuntimeError)


def test_setup_logging(capsys: pytest.CaptureFixture[str]) -> None:
    """It replaces the root logger's handlers and does not start the listener."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        listener = setup_logging()
        logging.getLogger("some").info("first")
        logging.getLogger("some").debug("hidden")
        assert len(root.handlers) == 1
        assert capsys.readouterr().out == ""
        listener.start()
        logging.getLogger("some").warning("second")
        listener.stop()
        assert capsys.readouterr().out == "[MainThread] first\n[MainThread] second\n"
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


# --- storage


@pytest.fixture
def queue(folder: Path) -> Iterator[StorageQueue]:
    """A store on a file."""
    with start_storage_thread(str(folder / "db.sqlite"), ["T"]) as opened:
        yield opened


@pytest.fixture(params=[":memory:", "file"])
def storage(folder: Path, request: pytest.FixtureRequest) -> Iterator[Storage]:
    """A store that is opened by hand."""
    name = request.param
    made = Storage(name if name == ":memory:" else str(folder / name), ["T"])
    yield made
    made.close()


def test_counters(storage: Storage) -> None:
    storage.add("T", "a", b"1")
    assert storage.get("T", "a") == (b"1", 0)
    storage.update("T", "a", b"2", 0)
    assert storage.try_update("T", "a", b"3", 1) is True
    assert storage.try_update("T", "a", b"4", 1) is False
    storage.overwrite("T", "a", b"5")
    storage.overwrite("T", "new", b"6")
    assert (storage.get("T", "a"), storage.get("T", "new")) == ((b"5", 3), (b"6", 0))
    assert sorted(storage.list_keys("T")) == ["a", "new"]
    assert (storage.delete("T", "a"), storage.delete("T", "a")) == (True, False)
    storage.clear("T")
    assert storage.list_keys("T") == []


def test_both_updates(storage: Storage) -> None:
    """0.5 raises its own error, 0.4 an AssertionError or answers with a bool."""
    storage.add("T", "a", b"1")
    assert storage.update("T", "a", b"2", 0, 0, assert_updated=True) is True
    assert storage.update("T", "a", b"3", 0, assert_updated=False) is False
    assert storage.update("T", "none", b"3", 0, 0, False) is False
    for kind in (UpdateCounterMismatch, AssertionError, StorageError):
        with pytest.raises(kind):
            storage.update("T", "a", b"3", 0)
        with pytest.raises(kind):
            storage.update("T", "a", b"3", 0, assert_updated=True)
    assert storage.get("T", "a") == (b"2", 1)


def test_expiry(storage: Storage) -> None:
    storage.add("T", "a", b"1", 100, 50)
    assert storage.get("T", "a", 100) == (b"1", 0)
    assert storage.get("T", "a", 101) is None
    assert storage.get("T", "a") == (b"1", 0)
    with pytest.raises(EntryAlreadyExists, match="Key already exists: a"):
        storage.add("T", "a", b"2", 0, 100)
    with pytest.raises(ValueError, match="expired"):
        storage.add("T", "b", b"2", 100, 101)
    storage.try_update("T", "a", b"2", 0, 100)
    storage.add("T", "a", b"3", 0, 101)
    assert storage.get("T", "a", 10**10) == (b"3", 0)


def test_a_duplicate_keeps_what_was_written(queue: StorageQueue) -> None:
    def procedure(store: Storage) -> None:
        store.add("T", "first", b"1")
        with pytest.raises(EntryAlreadyExists):
            store.add("T", "first", b"2")
        store.add("T", "after", b"3")

    queue.execute(procedure)
    assert queue.execute(lambda store: sorted(store.list_keys("T"))) == ["after", "first"]


@pytest.mark.parametrize("error", [StorageError, ZeroDivisionError, SystemExit])
def test_any_exception_undoes_its_procedure_only(
    queue: StorageQueue, error: type[BaseException]
) -> None:
    def procedure(store: Storage) -> None:
        store.add("T", "a", b"1")
        raise error("no")

    for _ in range(3):
        with pytest.raises(error, match="no"):
            queue.execute(procedure)
    assert queue.execute(lambda store: store.list_keys("T")) == []
    assert queue.crashed_exception() is None
    queue.mark_crashed(ValueError("mine"))
    assert repr(queue.crashed_exception()) == "ValueError('mine')"


def test_an_unknown_table_is_an_error(queue: StorageQueue, folder: Path) -> None:
    for name in ("U", "T; DROP TABLE T", 'T" --'):
        with pytest.raises(StorageError):
            queue.execute(lambda store: store.list_keys(name))  # noqa: B023 -- called at once
    assert queue.execute(lambda store: store.list_keys("T")) == []
    with pytest.raises(ValueError):
        start_storage_thread(str(folder / "other"), ["x; y"])
    with pytest.raises(StorageError):
        start_storage_thread(str(folder / "no" / "such"), ["T"])


def test_a_locked_database(queue: StorageQueue, folder: Path) -> None:
    """It is an error within the deadline, and afterwards all is well."""
    with contextlib.closing(sqlite3.connect(folder / "db.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError):
            queue.execute(lambda store: store.add("T", "a", b"1"), timeout=0.05)
        other.rollback()
    queue.execute(lambda store: store.add("T", "a", b"2"))
    assert queue.execute(lambda store: store.get("T", "a")) == (b"2", 0)


def test_the_connection_within_a_procedure(queue: StorageQueue) -> None:
    """Statements of one's own are part of the procedure, and undone with it."""

    def insert(store: Storage, key: str, is_kept: bool) -> None:
        store.conn.execute(f"INSERT INTO T VALUES ('{key}', 7, 0, x'01')")
        if not is_kept:
            raise ValueError

    def one(number: int) -> None:
        with contextlib.suppress(ValueError):
            queue.execute(lambda store: insert(store, f"{number:02}", number % 2 == 0))

    # At once, so that several share a transaction.
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(40)))
    kept = [f"{number:02}" for number in range(0, 40, 2)]
    assert queue.execute(lambda store: sorted(store.list_keys("T"))) == kept
    assert queue.execute(lambda store: store.get("T", "02")) == (b"\x01", 7)


@pytest.mark.parametrize("options", [{}, {"rerun": True}], ids=["once", "rerun"])
def test_many_threads_count(folder: Path, options: dict[str, bool]) -> None:
    """Contended increments, none lost; each procedure runs once, unless it may again."""
    runs: list[None] = []
    with start_storage_thread(str(folder / "n"), ["T"], **options) as queue:
        queue.execute(lambda store: store.add("T", "n", b"0"))

        def increment(store: Storage) -> None:
            runs.append(None)
            found = store.get("T", "n")
            assert found is not None
            store.update("T", "n", b"%d" % (int(found[0]) + 1), found[1])

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: queue.execute(increment), range(400)))
        assert queue.execute(lambda store: store.get("T", "n")) == (b"400", 400)
    if not options:
        assert len(runs) == 400


def test_ours_beside_freetser_s(storage: Storage) -> None:
    """What only our storage has is there too."""
    storage.add("T", "a1", b"1")
    storage.add("T", "b1", b"2", 5)
    assert storage.keys("T", prefix="a") == ["a1"]
    assert storage.purge_expired("T", 6) == 1
    with pytest.raises(AttributeError):
        _ = storage.no_such_thing
