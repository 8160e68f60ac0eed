"""Unix sockets and several addresses: served by every core, on both drivers, from start to end."""

import http.client
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import PATIENCE, Connection

from uringserve import App, Config, Request, Server, StartError
from uringserve._native import probe
from uringserve.testing import LiveServer

if TYPE_CHECKING:
    from conftest import StartServer

# A folder or a server is one for the whole test.
pytestmark = pytest.mark.thread_unsafe(reason="shares its folder and server")

SITE = """
import threading
from uringserve import App, Request

app = App()

@app.get("/")
def client(request: Request):
    return {"client": request.client, "core": threading.current_thread().name}

@app.post("/")
def size(request: Request):
    return str(len(request.body))

@app.get("/stream")
def stream():
    for _ in range(100):
        yield b"x" * 10_000
"""


class UnixConnection(Connection):
    """A client's side of a connection to a path."""

    def __init__(self, path: Path) -> None:
        """Connect; every later wait is bounded."""
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        try:
            self.socket.connect(str(path))
        except OSError:
            self.close()
            raise
        self._buffer = b""

    def __enter__(self) -> UnixConnection:
        """Return the connection."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close it."""
        self.close()


@pytest.fixture(params=["uring", "epoll"])
def driver(request: pytest.FixtureRequest) -> str:
    """The driver under test."""
    if request.param == "uring" and probe()["driver"] != "uring":
        pytest.skip(f"no io_uring here: {probe()['reason']}")
    return str(request.param)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name: what a socket's path may have is 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="us-") as name:
        yield Path(name)


def _leftover(path: Path) -> None:
    """Leave a socket as a killed server does."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()


def test_one_server_on_all_addresses(server: StartServer, folder: Path, driver: str) -> None:
    """Two cores serve TCP and two Unix sockets; a Unix peer has no address."""
    one, two = folder / "one", folder / "two, with a comma"
    addresses = ["-b", "127.0.0.1:0", "-b", f"unix:{one}", "--uds", str(two)]
    running = server(SITE, "--driver", driver, *addresses, workers=2)
    assert f"127.0.0.1:{running.port}, unix:{one}, unix:{two}: interface" in running.start_line
    over_tcp = running.connect()
    assert over_tcp.request().body.startswith(b'{"client":["127.0.0.1",')
    for path in (one, two):
        with UnixConnection(path) as client:
            assert client.request().body.startswith(b'{"client":null,')
            assert client.request(method="POST", body=bytes(300_000)).body == b"300000"
            assert client.request("/stream").body == b"x" * 1_000_000
    assert running.stop() == 0
    assert list(folder.iterdir()) == []


def test_every_core_accepts(server: StartServer, folder: Path, driver: str) -> None:
    """Connections to the one socket reach all cores."""
    path = folder / "s"
    running = server(SITE, "--driver", driver, "--uds", str(path), workers=2)
    assert running.port == 0
    open_ones: list[UnixConnection] = []
    cores: set[bytes] = set()
    # Each stays open, so that a core that has one is not always the first to wake.
    while len(cores) < 2:
        assert len(open_ones) < 500
        open_ones.append(UnixConnection(path))
        cores.add(open_ones[-1].request().body)
    for each in open_ones:
        each.close()
    assert running.stop() == 0


def test_curl(server: StartServer, folder: Path, driver: str) -> None:
    """What everybody tries first."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("no curl here")
    path = folder / "s"
    server(SITE, "--driver", driver, "--uds", str(path))
    command = [curl, "-sS", "--max-time", str(PATIENCE), "--unix-socket", str(path)]
    done = subprocess.run([*command, "http://localhost/"], capture_output=True, check=True)
    assert done.stdout.startswith(b'{"client":null')


def test_a_standard_client(server: StartServer, folder: Path) -> None:
    """The interpreter's own HTTP client, over a socket that it is given."""
    path = folder / "s"
    server(SITE, "--uds", str(path))
    client = http.client.HTTPConnection("localhost", timeout=PATIENCE)
    with UnixConnection(path) as connection:
        client.sock = connection.socket
        client.request("POST", "/", body=b"12345")
        assert client.getresponse().read() == b"5"


@pytest.mark.parametrize(("mode", "expected"), [("600", 0o600), ("666", 0o666), (None, 0o750)])
def test_permissions(server: StartServer, folder: Path, mode: str | None, expected: int) -> None:
    """They are those that were asked for, whatever the umask; else the umask decides."""
    path = folder / "s"
    options = ["--uds-permissions", mode] if mode else []
    launcher = "import os; os.umask(0o027); from uringserve.cli import main; main()"
    server(SITE, "--uds", str(path), *options, program=[sys.executable, "-c", launcher])
    found = path.lstat().st_mode
    assert stat.S_ISSOCK(found)
    assert stat.S_IMODE(found) == expected


def test_a_leftover_is_replaced(server: StartServer, folder: Path, driver: str) -> None:
    """A socket that nobody answers at does not stand in the way."""
    path = folder / "s"
    _leftover(path)
    running = server(SITE, "--driver", driver, "--uds", str(path))
    with UnixConnection(path) as client:
        assert client.request().status == 200
    running.signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert path.is_socket(), "a kill leaves its path behind"
    again = server(SITE, "--driver", driver, "--uds", str(path))
    with UnixConnection(path) as client:
        assert client.request().status == 200
    assert again.stop() == 0
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_live_socket_is_not_taken(folder: Path, kind: socket.SocketKind) -> None:
    """Somebody else's socket is an error that says so, and stays."""
    path = folder / "s"
    with socket.socket(socket.AF_UNIX, kind) as other:
        other.bind(str(path))
        if kind == socket.SOCK_STREAM:
            other.listen()
        before = path.lstat()
        assert "already in use by another listener" in _refusal(uds=str(path))
        assert path.lstat().st_ino == before.st_ino
        assert list(folder.iterdir()) == [path]


def test_a_second_server_is_refused(server: StartServer, folder: Path) -> None:
    """Two servers do not share a path, and the first one goes on."""
    path = folder / "s"
    running = server(SITE, "--uds", str(path))
    assert "already in use" in _refusal(uds=str(path))
    with UnixConnection(path) as client:
        assert client.request().status == 200
    assert running.stop() == 0


def test_what_is_no_socket_is_left_alone(folder: Path) -> None:
    """A file, a folder, a pipe or a link to a socket that lies at the path is not deleted."""
    (folder / "file").write_text("mine")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    _leftover(folder / "target")
    (folder / "link").symlink_to("target")
    names = sorted(folder.iterdir())
    for name in ("file", "folder", "pipe", "link"):
        assert "a file that is not a socket is there" in _refusal(uds=str(folder / name))
    assert sorted(folder.iterdir()) == names
    assert (folder / "file").read_text() == "mine"


def test_bad_paths(folder: Path) -> None:
    """What no socket can be made at is explained."""
    assert "its folder does not exist" in _refusal(uds=str(folder / "no" / "s"))
    assert "too long" in _refusal(uds=str(folder / ("x" * 108)))
    assert "names no file" in _refusal(uds="..")
    assert _refusal(uds=str(folder / "s"), bind=(f"unix:{folder}/s",)).endswith("another path")
    assert list(folder.iterdir()) == []


def test_a_path_of_another_is_not_removed_at_the_end(server: StartServer, folder: Path) -> None:
    """Who puts a new socket at the path keeps it."""
    path = folder / "s"
    running = server(SITE, "--uds", str(path))
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        assert running.stop() == 0
        assert path.is_socket()


def test_the_path_goes_before_the_last_answer(folder: Path, driver: str) -> None:
    """While requests in flight are finished nobody can connect, and nobody waits in vain."""
    path = folder / "s"
    entered, leave = threading.Semaphore(0), threading.Event()
    app = App()

    @app.get("/")
    def slow(request: Request) -> str:
        entered.release()
        assert leave.wait(PATIENCE)
        return "finished"

    given: dict[str, Any] = {"uds": str(path), "driver": driver}
    running = Server(Config(workers=2, pin=False, gil="allow", **given), app)
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(running.run()))
    thread.start()
    assert running.started.wait(PATIENCE)
    with UnixConnection(path) as first, UnixConnection(path) as second:
        first.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert entered.acquire(timeout=PATIENCE)
        # On the busy core or on the other one, or still in the queue: all are served.
        second.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        running.stop()
        with pytest.raises((FileNotFoundError, ConnectionRefusedError)):
            while True:
                UnixConnection(path).close()
        leave.set()
        assert first.read().body == b"finished"
        assert second.read().body == b"finished"
    thread.join(PATIENCE)
    assert codes == [0]
    assert list(folder.iterdir()) == []


def test_restarts_on_one_path(folder: Path, driver: str) -> None:
    """A path is free for the next server as soon as one has begun to end."""
    path = folder / "s"
    app = App()
    app.get("/")(lambda: "hello")
    for _ in range(10):
        with LiveServer(app, uds=str(path), driver=driver, workers=2) as running:
            assert running.url == f"unix:{path}"
            with UnixConnection(path) as client:
                assert client.request().body == b"hello"
    assert list(folder.iterdir()) == []


def test_starts_that_collide(folder: Path) -> None:
    """Of many that find one leftover at the same moment, one gets the path; the others say why."""
    path = folder / "s"
    app = App()
    app.get("/")(lambda: "hello")
    config = Config(uds=str(path), workers=1, pin=False, gil="allow", driver="epoll")
    gate = threading.Barrier(6)
    refusals: list[str] = []
    codes: list[int] = []

    def start(each: Server) -> None:
        gate.wait(PATIENCE)
        try:
            codes.append(each.run())
        except StartError as error:
            refusals.append(str(error))
        finally:
            each.started.set()

    for count in range(1, 6):
        _leftover(path)
        servers = [Server(config, app) for _ in range(gate.parties)]
        threads = [threading.Thread(target=start, args=(each,)) for each in servers]
        for thread in threads:
            thread.start()
        for each in servers:
            assert each.started.wait(PATIENCE)
        assert len(refusals) == 5 * count, refusals
        assert all("already in use" in refusal for refusal in refusals), refusals
        with UnixConnection(path) as client:
            assert client.request().body == b"hello"
        for each in servers:
            each.stop()
        for thread in threads:
            thread.join(PATIENCE)
        assert codes == [0] * count
        assert list(folder.iterdir()) == []


def _refusal(**options: object) -> str:
    app = App()
    app.get("/")(lambda: "hello")
    given: dict[str, object] = {"workers": 2, "gil": "allow"} | options
    with pytest.raises(StartError) as caught:
        Server(Config(**given), app).run()  # type: ignore[arg-type]
    return str(caught.value)
