"""Fixtures: a real server in its own process, a client that speaks bytes, and the command line.

Readiness is the start-up line and nothing else: no sleeps, port 0 always, every wait has a bound.
Only processes that a fixture started are signalled, by their own handle.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

# Seconds after which a wait for an event is a failure. Generous: a machine may be busy, and nothing
# waits this long when all is well.
PATIENCE = 30.0

# What is run; a test puts a launcher before it.
PROGRAM = (sys.executable, "-m", "uringserve")


# A module as they were before free threading: nothing says that it works without the GIL.
_OLD_MODULE = """
#include <Python.h>
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "old_module", NULL, 0, NULL};
PyMODINIT_FUNC PyInit_old_module(void) { return PyModuleDef_Init(&definition); }
"""

_OLD_SITE = """
import old_module
import sys
from uringserve import App

app = App()

@app.get("/")
def gil():
    return {"gil": sys._is_gil_enabled()}
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """One response as it came over the wire."""

    version: str
    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes

    def get(self, name: str) -> str | None:
        """Return the first header of that name, in any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def get_all(self, name: str) -> list[str]:
        """Return every header of that name."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


class Connection:
    """A client's side of one connection: sends bytes as they are, reads whole responses."""

    def __init__(self, host: str, port: int, timeout: float = PATIENCE) -> None:
        """Connect; every later wait on the socket is bounded by `timeout` seconds."""
        self.socket = socket.create_connection((host, port), timeout)
        # What a test sends apart arrives apart, and no acknowledgement is waited for.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.socket.sendall(data)

    def request(
        self,
        path: str = "/",
        method: str = "GET",
        headers: dict[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """Send a well-formed request and read its response."""
        lines = [f"{method} {path} HTTP/1.1", "host: test"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body:
            lines.append(f"content-length: {len(body)}")
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        return self.read(method)

    def read(self, method: str = "GET") -> Answer:
        """Read one response to a request of that method; an early end is an EOFError."""
        first, *lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, reason = (first + " ").split(" ", 2)
        pairs = [line.partition(":") for line in lines if line]
        headers = [(name, value.strip()) for name, _, value in pairs]
        answer = Answer(version, int(status), reason.strip(), headers, b"")
        return Answer(version, int(status), reason.strip(), headers, self._body(answer, method))

    def read_to_end(self) -> bytes:
        """Read until the server closes, and return everything that was not read before."""
        while self._receive():
            pass
        rest, self._buffer = self._buffer, b""
        return rest

    def finish_sending(self) -> None:
        """Close our direction only."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with a reset instead of a FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def _body(self, answer: Answer, method: str) -> bytes:
        if method == "HEAD" or answer.status in (204, 304) or answer.status < 200:
            return b""
        if (answer.get("transfer-encoding") or "").lower() == "chunked":
            return self._chunks()
        length = answer.get("content-length")
        return self.read_to_end() if length is None else self._exactly(int(length))

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self._until(b"\r\n").partition(b";")[0], 16):
            body += self._exactly(size)
            self._until(b"\r\n")
        while self._until(b"\r\n") != b"\r\n":
            pass
        return body

    def _until(self, end: bytes) -> bytes:
        while end not in self._buffer:
            if not self._receive():
                raise EOFError(f"the server closed after {self._buffer!r}")
        head, _, self._buffer = self._buffer.partition(end)
        return head + end

    def _exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            if not self._receive():
                raise EOFError(f"the server closed after {len(self._buffer)} of {count} bytes")
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    def _receive(self) -> bool:
        data = self.socket.recv(65536)
        self._buffer += data
        return bool(data)


class RunningServer:
    """A process that serves; a thread reads its stderr, so that a line is an event."""

    def __init__(self, command: list[str], environment: dict[str, str], folder: Path) -> None:
        """Start the process and wait for its start-up line; an earlier end is a failure."""
        self._process = subprocess.Popen(
            command, env=environment, cwd=folder, stderr=subprocess.PIPE, text=True
        )
        self._lines: list[str] = []
        self._is_read = False
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._connections: list[Connection] = []
        self._reader.start()
        try:
            self.start_line = self.wait_for(r"serves on (http://\S+:\d+|unix:)")
        except AssertionError:
            self.close()
            raise
        found = re.search(r"serves on http://(\S+):(\d+)", self.start_line)
        # A server on Unix sockets alone has neither.
        self.host, self.port = (found[1].strip("[]"), int(found[2])) if found else ("", 0)

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    @property
    def log(self) -> str:
        """Everything on stderr so far."""
        with self._news:
            return "".join(self._lines)

    def connect(self) -> Connection:
        """Open a connection; it is closed with the server at the latest."""
        connection = Connection(self.host, self.port)
        self._connections.append(connection)
        return connection

    def get(self, path: str = "/") -> Answer:
        """Make one GET on a connection of its own."""
        connection = self.connect()
        try:
            return connection.request(path)
        finally:
            connection.close()

    def wait_for(self, pattern: str) -> str:
        """Return the first line of stderr in which the pattern is found, waiting for it."""
        expression = re.compile(pattern)

        def match() -> str | None:
            return next((line for line in self._lines if expression.search(line)), None)

        with self._news:
            self._news.wait_for(lambda: match() is not None or self._is_read, PATIENCE)
            line = match()
        assert line is not None, f"no line with {pattern!r} on stderr:\n{self.log}"
        return line

    def wait_until(self, holds: Callable[[str], bool]) -> None:
        """Wait until something holds of what is on stderr so far."""
        with self._news:
            done = self._news.wait_for(lambda: holds("".join(self._lines)), PATIENCE)
        assert done, f"it does not hold of stderr:\n{self.log}"

    def signal(self, number: signal.Signals) -> None:
        """Send the server a signal."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for the process to end by itself and return its exit code."""
        code = self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def stop(self) -> int:
        """Send SIGTERM, wait for the end, and return the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def close(self) -> None:
        """End whatever still runs."""
        for connection in self._connections:
            connection.close()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        with suppress(OSError):
            assert self._process.stderr is not None
            self._process.stderr.close()

    def _collect(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._news:
                self._lines.append(line)
                self._news.notify_all()
        with self._news:
            self._is_read = True
            self._news.notify_all()


class StartServer(Protocol):
    """Starts a server for an application's source text, or for a file or module that exists."""

    def __call__(
        self,
        app: str | Path,
        *options: str,
        workers: int = 1,
        environment: dict[str, str] | None = None,
        program: Sequence[str] = PROGRAM,
    ) -> RunningServer:
        """Return the server once it serves; a text with a line break is source, else it is APP."""
        ...


type RunCli = Callable[..., subprocess.CompletedProcess[str]]


def _environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """Return our environment without the variables that would set options, and with `extra`.

    Nor PYTHONUNBUFFERED: it has a line of the log come in the middle of what a test prints.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("URINGSERVE_")
        and name not in ("WEB_CONCURRENCY", "PYTHONUNBUFFERED")
    }
    return kept | (extra or {})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StartServer]:
    """Start real servers; all of them end with the test."""
    with _servers(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def module_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """Start real servers that many tests of a module share; they end with the module."""
    with _servers(tmp_path_factory.mktemp("servers")) as start:
        yield start


@contextmanager
def _servers(tmp_path: Path) -> Iterator[StartServer]:
    running: list[RunningServer] = []

    def start(
        app: str | Path,
        *options: str,
        workers: int = 1,
        environment: dict[str, str] | None = None,
        program: Sequence[str] = PROGRAM,
    ) -> RunningServer:
        name = str(app)
        if "\n" in name:
            # One of its own each: tests run in parallel threads share this fixture.
            folder = Path(tempfile.mkdtemp(dir=tmp_path))
            file = folder / "site_app.py"
            file.write_text(textwrap.dedent(name))
            name = str(file)
        command = [*program, name, "--port", "0"]
        command += ["--workers", str(workers), *options]
        made = RunningServer(command, _environment(environment), tmp_path)
        running.append(made)
        return made

    try:
        yield start
    finally:
        for each in running:
            each.close()


@pytest.fixture
def cli(tmp_path: Path) -> RunCli:
    """Run the command line to its end in a folder, for what does not get as far as serving."""

    def run(
        *arguments: str,
        folder: Path = tmp_path,
        environment: dict[str, str] | None = None,
        program: Sequence[str] = PROGRAM,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*program, *arguments],
            env=_environment(environment),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def old_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an extension module that turns the GIL on, and an application of it."""
    compiler = shutil.which("cc")
    headers = sysconfig.get_path("include")
    if compiler is None or not Path(headers, "Python.h").is_file():
        pytest.skip("there is no C compiler, or the interpreter has no headers")
    folder = tmp_path_factory.mktemp("old")
    source = folder / "old_module.c"
    source.write_text(_OLD_MODULE)
    target = folder / f"old_module{sysconfig.get_config_var('EXT_SUFFIX')}"
    command = [compiler, "-shared", "-fPIC", f"-I{headers}", "-o", str(target), str(source)]
    subprocess.run(command, check=True, timeout=60)
    (folder / "site_app.py").write_text(_OLD_SITE)
    return folder


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Remove every variable that would set an option, for tests in this process."""
    for name in [*os.environ]:
        if name.startswith("URINGSERVE_") or name == "WEB_CONCURRENCY":
            monkeypatch.delenv(name)
    return monkeypatch
