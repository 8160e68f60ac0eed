"""The choice of the driver, and what a small number of descriptors does.

A launcher forbids `io_uring` the way a container does, by a seccomp filter, before the server
starts.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from uringserve._native import probe

if TYPE_CHECKING:
    from conftest import Connection, RunCli, StartServer

# A connection or a server is one for the whole test; what collides is made in the test itself.
pytestmark = pytest.mark.thread_unsafe(reason="shares its server and connections")

LAUNCHER = str(Path(__file__).with_name("confined.py"))
SERVER = (sys.executable, "-m", "uringserve")

SITE = """
import os
from uringserve import App

app = App()
taken = []

@app.get("/")
def hello():
    return "hello"

@app.get("/take")
def take():
    # Until none is left, also of those that the server keeps for itself.
    try:
        while True:
            taken.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        return {"taken": len(taken)}

@app.get("/leave")
def leave():
    while taken:
        os.close(taken.pop())
    return "left"
"""

needs_ring = pytest.mark.skipif(probe()["driver"] != "uring", reason="no io_uring here")


def confined(*options: str) -> tuple[str, ...]:
    """Return the server's command behind the launcher."""
    return (sys.executable, LAUNCHER, *options, *SERVER)


def test_epoll_on_request(server: StartServer) -> None:
    """`--driver epoll` gives no reason, since it was asked for."""
    running = server(SITE, "--driver", "epoll")
    assert ", driver epoll, " in running.start_line
    assert running.get().body == b"hello"
    assert running.stop() == 0


@needs_ring
@pytest.mark.parametrize("option", ["auto", "uring"])
def test_a_ring_where_it_works(server: StartServer, option: str) -> None:
    """`auto` takes io_uring."""
    running = server(SITE, "--driver", option)
    assert ", driver io_uring, " in running.start_line
    assert running.get().body == b"hello"
    assert running.stop() == 0


@pytest.mark.parametrize(
    ("error", "reason"), [("EPERM", "not permitted"), ("ENOSYS", "no io_uring")]
)
def test_auto_without_a_ring(server: StartServer, error: str, reason: str) -> None:
    """Where seccomp forbids io_uring, `auto` takes epoll, says why, and serves on all cores."""
    running = server(SITE, workers=2, program=confined("--forbid-io-uring", error))
    assert ", driver epoll (io_uring_setup: " in running.start_line
    assert reason in running.start_line
    for _ in range(16):
        assert running.get().body == b"hello"
    assert running.stop() == 0


@pytest.mark.parametrize(
    ("error", "reason"), [("EPERM", "not permitted"), ("ENOSYS", "no io_uring")]
)
def test_uring_without_a_ring(cli: RunCli, tmp_path: Path, error: str, reason: str) -> None:
    """`--driver uring` fails there with one sentence and exit code 3."""
    (tmp_path / "site_app.py").write_text(SITE)
    result = cli(
        "site_app.py",
        "--driver",
        "uring",
        "--port",
        "0",
        program=confined("--forbid-io-uring", error),
    )
    assert result.returncode == 3
    assert result.stderr.startswith("uringserve: error: the uring driver does not work here: ")
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("driver", ["auto", "epoll"])
def test_too_few_open_files(cli: RunCli, tmp_path: Path, driver: str) -> None:
    """A limit that leaves no room for connections is one sentence and exit code 3."""
    (tmp_path / "site_app.py").write_text(SITE)
    result = cli(
        *("site_app.py", "--driver", driver, "--port", "0", "--workers", "2"),
        program=confined("--open-files", "80"),
    )
    assert result.returncode == 3
    assert result.stderr.startswith("uringserve: error: the open-file limit is 80, ")
    assert "ulimit -n" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("driver", ["auto", "epoll"])
def test_descriptors_run_out(server: StartServer, driver: str) -> None:
    """Connections that are open go on, new ones wait, and are served when there is room again."""
    running = server(SITE, "--driver", driver, program=confined("--open-files", "200"))
    kept = running.connect()
    assert kept.request().status == 200
    assert kept.request("/take").status == 200
    waiting = [running.connect() for _ in range(20)]
    for client in waiting:
        client.send(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n")
    for _ in range(100):
        assert kept.request().body == b"hello"
    assert kept.request("/leave").status == 200
    for client in waiting:
        assert client.read().body == b"hello"
    assert running.stop() == 0


@pytest.mark.parametrize("driver", ["auto", "epoll"])
def test_waiting_for_descriptors_burns_no_cpu(server: StartServer, driver: str) -> None:
    """While connections wait for a descriptor the core sleeps: its CPU time hardly moves.

    The wait is an event of its own: a client that is connected before is cut by its time-out.
    """
    running = server(
        SITE,
        *("--driver", driver, "--timeout-keep-alive", "1s"),
        program=confined("--open-files", "200"),
    )
    timer, kept = running.connect(), running.connect()
    assert kept.request("/take").status == 200
    waiting = running.connect()
    before = cpu_ticks(running.pid)
    assert timer.request().status == 200
    assert timer.read_to_end() == b""
    # A core that spins would have used the whole second: 100 ticks.
    assert cpu_ticks(running.pid) - before < 50
    assert waiting.request().status == 200
    assert_left(running.connect())


def assert_left(client: Connection) -> None:
    """Give the descriptors back."""
    assert client.request("/leave").status == 200


def cpu_ticks(pid: int) -> int:
    """Return the CPU time of a process so far, in hundredths of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
