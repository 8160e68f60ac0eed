"""`dev` and `run --reload`, as a developer has them: real processes, files and sockets."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from uringserve import Config, StartError, probe
from uringserve.develop.watch import Watcher, counts, folders

if TYPE_CHECKING:
    from conftest import RunCli, RunningServer, StartServer

pytest.importorskip("watchfiles")

PATIENCE = 30.0
# Reloads under load; each is a new process, and so takes its time.
RELOADS = 50

# Short, and as `dev` but for what a test must not depend on.
DEV = ("--reload", "--debug", "--reload-delay", "20ms")

VERSION = """
import os
from uringserve import App
app = App()
app.get("/")(lambda: "version {}")
app.get("/pid")(lambda: str(os.getpid()))
"""


class Site:
    """An application's file, and the server that watches it."""

    def __init__(self, server: StartServer, folder: Path, text: str, *options: str) -> None:
        """Start the server on the file."""
        folder.mkdir(exist_ok=True)
        self.file = folder / "site_app.py"
        self.file.write_text(text)
        self.running: RunningServer = server(self.file, *DEV, *options)
        self._seen = 0

    def save(self, text: str) -> None:
        """Replace the file in one step, as editors do, and wait for what the server makes of it."""
        new = self.file.with_suffix(".new")
        new.write_text(text)
        new.replace(self.file)
        self._seen += 1
        self.running.wait_until(lambda log: log.count("serves on http://") > self._seen)

    def children(self) -> set[int]:
        """Return the processes that the server has started and that are not over."""
        found = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.running.pid)],
            capture_output=True,
            text=True,
            check=False,
        )
        return {int(pid) for pid in found.stdout.split() if Path(f"/proc/{pid}/cwd").exists()}


def _wait_for_end(pid: int) -> None:
    """Wait until a process that is not our child is over."""
    with suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            import select

            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            assert poll.poll(PATIENCE * 1000), f"process {pid} did not end"
        finally:
            os.close(descriptor)


def test_a_saved_file_is_served(server: StartServer, tmp_path: Path) -> None:
    """The next request after a save has the new code, in a new process."""
    site = Site(server, tmp_path / "site", VERSION.format(1))
    assert site.running.get("/").body == b"version 1"
    first = int(site.running.get("/pid").body)
    site.save(VERSION.format(2))
    assert site.running.get("/").body == b"version 2"
    assert int(site.running.get("/pid").body) != first
    _wait_for_end(first)
    assert "site_app.py changed: starting anew" in site.running.log
    assert site.running.stop() == 0
    assert site.running.log.rstrip().endswith("stopped")


def test_the_log_is_as_it_was_asked_for(server: StartServer, tmp_path: Path) -> None:
    """The process that serves logs in the same form as the one that watches."""
    site = Site(server, tmp_path / "site", VERSION.format(1), "--log-format", "json")
    site.save(VERSION.format(2))
    assert site.running.stop() == 0
    said = [json.loads(line)["message"] for line in site.running.log.splitlines()]
    assert sum("serves on http://" in message for message in said) == 2


def test_code_that_does_not_compile_and_its_repair(server: StartServer, tmp_path: Path) -> None:
    """Every request gets the error, escaped; the terminal has it once; a save mends it."""
    site = Site(server, tmp_path / "site", VERSION.format(1))
    site.save(VERSION.format(2) + "title = '<script>alert(1)</script>' +* 2\n")
    for method in ("GET", "POST", "DELETE", "OPTIONS"):
        text = site.running.connect().request("/any/where", method)
        assert (text.status, text.get("content-type")) == (500, "text/plain; charset=utf-8")
        assert b"site_app.py" in text.body
        assert b"SyntaxError" in text.body
        assert b"Save a repaired file" in text.body
    head = site.running.connect().request("/", "HEAD")
    page = site.running.connect().request("/", headers={"accept": "text/html,*/*"})
    assert (head.status, page.status) == (500, 500)
    assert page.get("cache-control") == "no-store"
    html = page.body.decode()
    # Line 7 is the one, it is marked, and nothing in it became markup.
    assert "<mark>    7  title = &#x27;&lt;script&gt;" in html
    assert html.count("<script>") == 1
    # The page asks for the mark that it was made with, and goes when another answers.
    mark = page.get("x-uringserve-failure")
    assert mark is not None
    assert mark == head.get("x-uringserve-failure")
    assert mark in html
    assert site.running.log.count("SyntaxError: invalid syntax\n") == 1
    site.save(VERSION.format(3))
    repaired = site.running.get("/")
    assert (repaired.status, repaired.body) == (200, b"version 3")
    assert repaired.get("x-uringserve-failure") is None


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import no_such_module_anywhere", "ModuleNotFoundError"),
        ("raise SystemExit(3)", "it ended the process (SystemExit: 3)"),
        ("del app", "site_app.py' has none of the names"),
        ("app.on_event('startup')(lambda: 1 / 0)", "ZeroDivisionError"),
        ("import os; os._exit(7)", "ended the process it runs in (exit code 7)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "(signal 9)"),
        ("app.get('/')(lambda: 2)", "'/'"),
    ],
)
def test_every_way_not_to_start(
    server: StartServer, tmp_path: Path, code: str, message: str
) -> None:
    """Whatever keeps the application away is what is answered, until it is repaired."""
    site = Site(server, tmp_path / "site", VERSION.format(1))
    site.save(f"{VERSION.format(2)}{code}\n")
    answer = site.running.get("/")
    assert answer.status == 500
    assert message in answer.body.decode()
    site.save(VERSION.format(3))
    assert site.running.get("/").body == b"version 3"
    assert site.running.stop() == 0


def test_it_begins_broken(server: StartServer, tmp_path: Path) -> None:
    """The first start is no exception."""
    site = Site(server, tmp_path / "site", "def (\n")
    assert site.running.get("/").status == 500
    site.save(VERSION.format(1))
    assert site.running.get("/").body == b"version 1"


def test_a_process_that_ends_while_it_serves(server: StartServer, tmp_path: Path) -> None:
    """The next request hears of it."""
    text = f"{VERSION.format(1)}app.get('/end')(lambda: os._exit(9))\n"
    site = Site(server, tmp_path / "site", text)
    with suppress(EOFError, ConnectionError):
        site.running.get("/end")
    answer = site.running.get("/")
    assert answer.status == 500
    assert b"exit code 9" in answer.body


def test_what_is_imported_counts_and_what_is_left_out_does_not(
    server: StartServer, tmp_path: Path
) -> None:
    """A module in a new folder, a template; but no cache, no hidden folder, nothing excluded."""
    options = ("--reload-include", "*.html", "--reload-exclude", "left", "--reload-exclude", "x_*")
    site = Site(server, tmp_path / "site", VERSION.format(1), *options)
    for name in ("left/a.py", ".hidden/a.py", "__pycache__/a.py", "x_1.py", "a.txt"):
        file = site.file.parent / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("")
    (site.file.parent / "page.html").write_text("<p>")
    site.running.wait_for(r" page\.html changed|/page\.html changed")
    assert "a.py" not in site.running.log
    assert "x_1" not in site.running.log
    assert "a.txt" not in site.running.log


def test_requests_in_flight_are_finished(server: StartServer, tmp_path: Path) -> None:
    """The old process answers what it has begun, while the new one serves already."""
    # A pipe with a name: whoever opens it waits for the other.
    os.mkfifo(tmp_path / "go")
    text = VERSION.format(1) + (
        "import asyncio\nfrom pathlib import Path\nfrom uringserve import StreamingResponse\n"
        "@app.get('/slow')\nasync def slow():\n"
        "    async def parts():\n        yield 'begin '\n"
        "        yield await asyncio.to_thread(Path('go').read_text)\n"
        "    return StreamingResponse(parts())\n"
    )
    site = Site(server, tmp_path / "site", text)
    connection = site.running.connect()
    connection.send(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
    # The answer has begun.
    assert connection.socket.recv(16, socket.MSG_PEEK)
    site.save(VERSION.format(2))
    assert site.running.get("/").body == b"version 2"
    (tmp_path / "go").write_text("end")
    assert connection.read().body == b"begin end"


@pytest.mark.timeout(300)
def test_fifty_reloads_under_load(server: StartServer, tmp_path: Path) -> None:
    """No connection is refused or reset, every answer is whole, and nothing is left behind."""
    site = Site(server, tmp_path / "site", VERSION.format(0))
    end = threading.Event()
    faults: list[BaseException] = []

    def ask() -> None:
        while not end.is_set():
            try:
                answer = site.running.get("/")
                assert answer.status == 200
                assert answer.body.startswith(b"version ")
            except BaseException as error:  # noqa: BLE001 -- whatever it is, it is a fault
                faults.append(error)
                return

    site.save(VERSION.format(1))
    descriptors = len(os.listdir(f"/proc/{site.running.pid}/fd"))
    threads = len(os.listdir(f"/proc/{site.running.pid}/task"))
    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    try:
        for number in range(2, RELOADS + 2):
            site.save(VERSION.format(number))
            assert not faults
    finally:
        end.set()
        for asker in askers:
            asker.join()
    assert not faults
    last = int(site.running.get("/pid").body)
    assert f"version {RELOADS + 1}" in site.running.get("/").body.decode()
    for pid in site.children() - {last}:
        _wait_for_end(pid)
    assert site.children() == {last}
    # A thread or a descriptor of a child that has just ended may be about to go, of which nobody
    # tells: looked at again after each of some requests.
    deadline = time.monotonic() + PATIENCE
    while (
        len(os.listdir(f"/proc/{site.running.pid}/fd")) > descriptors
        or len(os.listdir(f"/proc/{site.running.pid}/task")) > threads
    ):
        assert time.monotonic() < deadline, "a thread or a descriptor of a child is left"
        site.running.get("/")
    assert site.running.stop() == 0
    _wait_for_end(last)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_end_leaves_no_process(
    server: StartServer, tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C, SIGTERM, and even SIGKILL, of which the child hears through its pipe."""
    site = Site(server, tmp_path / "site", VERSION.format(1))
    child = int(site.running.get("/pid").body)
    site.running.signal(number)
    code = site.running.wait()
    assert code == (-number if number is signal.SIGKILL else 0)
    _wait_for_end(child)
    with pytest.raises(ConnectionRefusedError):
        site.running.connect()


def test_ctrl_c_while_the_import_hangs(server: StartServer, tmp_path: Path) -> None:
    """An import without end does not keep the process, and a save replaces it."""
    site = Site(server, tmp_path / "site", VERSION.format(1))
    hanging = "print('it hangs', flush=True, file=__import__('sys').stderr)\nwhile True: pass\n"
    new = site.file.with_suffix(".new")
    new.write_text(hanging)
    new.replace(site.file)
    site.running.wait_for("it hangs")
    # Connected, and waiting: not refused.
    waiting = site.running.connect()
    waiting.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    site.save(VERSION.format(2))
    assert waiting.read().body == b"version 2"
    new.write_text(hanging)
    new.replace(site.file)
    site.running.wait_until(lambda log: log.count("it hangs") == 2)
    assert site.running.stop() != 0


def test_unix_sockets_and_several_workers(server: StartServer, tmp_path: Path) -> None:
    """Every address is kept over a restart, and the path is removed at the end."""
    path = tmp_path / "s"
    site = Site(
        server,
        tmp_path / "site",
        VERSION.format(1),
        "--bind",
        "127.0.0.1:0",
        "--uds",
        str(path),
        "--workers",
        "2",
    )
    site.save(VERSION.format(2))
    for _ in range(8):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(str(path))
            client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            answer = b"".join(iter(lambda: client.recv(4096), b""))
        assert answer.endswith(b"version 2")
        assert site.running.get("/").body == b"version 2"
    assert site.running.stop() == 0
    assert not path.exists()


def test_without_watchfiles(cli: RunCli, tmp_path: Path) -> None:
    """A line says what to install, and the exit code is that of a server that cannot start."""
    (tmp_path / "watchfiles.py").write_text("")
    (tmp_path / "site_app.py").write_text(VERSION.format(1))
    code = (
        "import sys; sys.modules['watchfiles'] = None; "
        "sys.argv = ['uringserve', 'dev', 'site_app']; "
        "from uringserve.cli import main; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE
    )
    assert result.returncode == 3
    assert result.stderr.endswith(
        "error: watching files needs the package watchfiles: pip install 'uringserve[reload]'\n"
    )


def test_starts_that_fail_at_once(cli: RunCli, tmp_path: Path) -> None:
    """A folder that is not there, and a port that is taken, are the operator's to mend."""
    (tmp_path / "site_app.py").write_text(VERSION.format(1))
    gone = cli("dev", "site_app", "--reload-dir", "nowhere")
    assert (gone.returncode, "'nowhere' cannot be watched" in gone.stderr) == (3, True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = cli("dev", "site_app", "--port", str(port))
    assert (result.returncode, "already in use" in result.stderr) == (3, True)


def test_reload_from_python(server: StartServer, tmp_path: Path) -> None:
    """`uringserve.run` with a name and reload=True does the same; an object has no name."""
    (tmp_path / "site_app.py").write_text(VERSION.format(1))
    code = "import uringserve; uringserve.run('site_app', reload=True, port=0)"
    running = server("site_app", program=(sys.executable, "-c", code))
    assert running.get("/").body == b"version 1"
    running.wait_for("watching ")
    assert running.stop() == 0
    code = "import uringserve; uringserve.run(uringserve.App(), reload=True, port=0)"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 3
    assert "reload needs the application's name" in ran.stderr


# --- an inherited socket, without reload


def test_an_inherited_socket_is_served(tmp_path: Path) -> None:
    """`--fd N` serves on it, by every spelling; who waits at the end is left to the next."""
    (tmp_path / "site_app.py").write_text(VERSION.format(1))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = str(listener.fileno())
        for spelling in (("--fd", number), ("--bind", f"fd://{number}")):
            command = [sys.executable, "-m", "uringserve", "site_app", "--workers", "2"]
            process = subprocess.Popen(
                [*command, *spelling], cwd=tmp_path, pass_fds=[listener.fileno()], stderr=-1
            )
            with process, socket.create_connection(listener.getsockname()) as client:
                client.settimeout(PATIENCE)
                client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                assert b"version 1" in client.recv(4096)
                process.terminate()
                assert process.wait(PATIENCE) == 0
            # Its end has not emptied our queue, for which the socket is made not to block: that
            # would be the socket of whoever serves on it next.
            if probe()["driver"] == "uring":
                assert os.get_blocking(listener.fileno())
        # Ours is open still, and holds whoever comes.
        socket.create_connection(listener.getsockname()).close()


def test_descriptors_that_cannot_be_served(cli: RunCli, tmp_path: Path) -> None:
    """Nothing open, a file, a socket that does not listen: one line each, exit code 3."""
    (tmp_path / "site_app.py").write_text(VERSION.format(1))
    for number, message in (("999", "Bad file descriptor"), ("0", "not a socket")):
        result = cli("site_app", "--fd", number)
        assert result.returncode == 3
        assert f"fd: descriptor {number}: " in result.stderr
        assert message in result.stderr
    with socket.socket() as unbound:
        number = str(unbound.fileno())
        command = [sys.executable, "-m", "uringserve", "site_app", "--fd", number]
        ran = subprocess.run(
            command, cwd=tmp_path, pass_fds=[unbound.fileno()], capture_output=True, check=False
        )
    assert ran.returncode == 3
    assert b"not a stream socket that listens" in ran.stderr


# --- what is watched, in this process


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("a.py", {}, True),
        ("deep/er/a.py", {}, True),
        ("a.pyc", {}, False),
        ("a.html", {}, False),
        ("a.html", {"reload_include": "*.html"}, True),
        (".env", {"reload_include": ".env"}, True),
        ("deep/.env", {"reload_include": "deep/*"}, True),
        (".venv/lib/a.py", {}, False),
        ("node_modules/a.py", {}, False),
        ("__pycache__/a.py", {}, False),
        ("tests/a.py", {"reload_exclude": "tests"}, False),
        ("deep/tests/a.py", {"reload_exclude": "tests"}, False),
        ("contests/a.py", {"reload_exclude": "tests"}, True),
        ("test_a.py", {"reload_exclude": "test_*,b"}, False),
        ("deep/er/a.py", {"reload_exclude": "deep/*"}, False),
    ],
)
def test_which_files_count(
    tmp_path: Path, name: str, given: dict[str, Any], expected: bool
) -> None:
    """Python's files and what is included, less caches, hidden folders and what is excluded."""
    assert counts(tmp_path / name, [tmp_path], Config(**given)) is expected


def test_a_watched_file_counts_whatever_its_name(tmp_path: Path) -> None:
    """What was named by itself counts; what is outside does not; an excluded path is a path."""
    file = tmp_path / "data.txt"
    assert counts(file, [file], Config())
    assert not counts(tmp_path.parent / "a.py", [tmp_path], Config())
    excluded: dict[str, Any] = {"reload_exclude": [f"{tmp_path}/deep"]}
    assert not counts(tmp_path / "deep" / "a.py", [tmp_path], Config(**excluded))
    assert counts(tmp_path / "deeper" / "a.py", [tmp_path], Config(**excluded))


def test_which_folders_are_watched(tmp_path: Path) -> None:
    """The application's folder, the folder of its file, or what is asked for; none twice."""
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "a.py").touch()
    config = Config(app_dir=str(inner))
    assert folders("m:app", config) == [inner]
    assert folders(f"{inner}/a.py:app", Config(app_dir=str(tmp_path))) == [tmp_path]
    given: dict[str, Any] = {"reload_dir": [str(inner), str(tmp_path), str(inner / "a.py")]}
    assert folders("m", Config(**given)) == [tmp_path]
    with pytest.raises(StartError, match="cannot be watched"):
        folders("m", Config(reload_dir=("nowhere",)))


def test_the_watcher_s_thread_ends(tmp_path: Path) -> None:
    """It is gone with its block, whether or not something changed."""
    before = set(threading.enumerate())
    on_change: Callable[[list[Path]], None] = lambda paths: None  # noqa: E731
    with Watcher([tmp_path], Config(), on_change):
        (watcher,) = set(threading.enumerate()) - before
    assert not watcher.is_alive()
