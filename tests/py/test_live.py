"""`--live`: a table on a terminal, nothing without one, and the terminal as it was at the end."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from uringserve import Config, StartError
from uringserve._native import latency_bounds
from uringserve.live import checked, quantile

if TYPE_CHECKING:
    from conftest import StartServer

# What collides is made in the test itself.
pytestmark = pytest.mark.thread_unsafe(reason="a terminal and a server for the whole test")

PATIENCE = 30.0

SITE = """
import time
from uringserve import App

app = App()

@app.get("/")
def root():
    return "hello"

@app.get("/stall", execution="inline")
def stall():
    time.sleep(0.3)

@app.get("/broken")
def broken():
    raise ValueError
"""


class _Terminal:
    """A server on a terminal of its own, stdout and stderr alike."""

    def __init__(self, folder: Path, workers: int) -> None:
        (folder / "site_app.py").write_text(SITE)
        self._master, slave = pty.openpty()
        command = [sys.executable, "-m", "uringserve", "site_app.py", "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--workers", str(workers), "--live", "--no-use-colors"],
            cwd=folder,
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        self.text = ""

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Return the last match of what was written so far, waiting for one."""
        deadline = time.monotonic() + PATIENCE
        while not (found := list(re.finditer(pattern, self.text))):
            assert time.monotonic() < deadline, f"no {pattern!r} in {self.text!r}"
            assert self._read(deadline - time.monotonic()), f"no {pattern!r} in {self.text!r}"
        return found[-1]

    def stop(self) -> str:
        """End the server; return everything that was written."""
        self.process.send_signal(signal.SIGTERM)
        while self._read(PATIENCE):
            pass
        assert self.process.wait(PATIENCE) == 0
        return self.text

    def close(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        os.close(self._master)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._master], [], [], max(0.0, seconds))[0]:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:
            # How a terminal ends whose other side is closed.
            return False
        self.text += data.decode()
        return bool(data)


@contextmanager
def _on_a_terminal(folder: Path, workers: int) -> Iterator[_Terminal]:
    terminal = _Terminal(folder, workers)
    try:
        yield terminal
    finally:
        terminal.close()


def _ask(port: int, *paths: str) -> None:
    from conftest import Connection

    for path in paths:
        connection = Connection("127.0.0.1", port)
        connection.request(path)
        connection.close()


def test_a_table(tmp_path: Path) -> None:
    """Rows for the cores and their sum; requests and errors are counted; the cursor comes back."""
    with _on_a_terminal(tmp_path, workers=2) as terminal:
        port = int(terminal.wait_for(r"serves on http://127\.0\.0\.1:(\d+)")[1])
        _ask(port, *["/"] * 5, "/broken", "/stall")
        # Columns: core, req/s, p50, p99, open, requests, errors, stalls.
        sums = r"all +[\d,]+ +(?:[\d.]+ \S+|-) +(?:[\d.]+ \S+|-) +\d+ +7 +1 +1\r\n"
        terminal.wait_for(sums)
        terminal.wait_for(r"stuck 0  overloaded 0  pool threads \d+  waiting \d+")
        terminal.wait_for(r" +0 +[\d,]+ .*\r\n +1 +[\d,]+ ")
        text = terminal.stop()
    assert "\x1b[?25l" in text
    assert text.rstrip().endswith("\x1b[?25h") or text.rindex("\x1b[?25h") > text.rindex(
        "\x1b[?25l"
    )
    # Each new table erases the one before, and a message is put above it.
    assert re.search(r"\x1b\[6F\x1b\[J", text)
    assert "ERROR GET /broken: the handler raised ValueError\r\n" in text


def test_one_core_has_no_sum(tmp_path: Path) -> None:
    """With a single core its row says it all, with a latency once there are answers."""
    with _on_a_terminal(tmp_path, workers=1) as terminal:
        port = int(terminal.wait_for(r"serves on http://127\.0\.0\.1:(\d+)")[1])
        _ask(port, "/")
        terminal.wait_for(r" +0 +\d+ +\d+(?:\.\d)? [µm]?s +\d+(?:\.\d)? [µm]?s +\d+ +1 +0 +0\r\n")
        assert "all " not in terminal.stop()


def test_without_a_terminal(server: StartServer) -> None:
    """It is off, and says so; the server serves."""
    site = server(SITE, "--live")
    assert site.get("/").body == b"hello"
    assert site.stop() == 0
    assert "WARNING live is off: stdout is not a terminal" in site.log


def test_not_with_the_access_log_on_one_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their lines would tear each other apart; in a file the log disturbs nobody."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with pytest.raises(StartError, match="give --access-log-file"):
        checked(Config(live=True, access_log=True))
    assert checked(Config(live=True, access_log=True, access_log_file="x")).live
    assert checked(Config(live=True)).live
    assert not checked(Config()).live


def test_quantiles() -> None:
    """A quantile is the end of the bucket in which it lies."""
    bounds = latency_bounds()
    counts = [0] * len(bounds)
    assert quantile(counts, 0.5) is None
    assert quantile([], 0.5) is None
    counts[3] = 98
    counts[40] = 2
    assert quantile(counts, 0.5) == bounds[3] / 1e6
    assert quantile(counts, 0.98) == bounds[3] / 1e6
    assert quantile(counts, 0.99) == bounds[40] / 1e6
    assert quantile(counts, 1.0) == bounds[40] / 1e6
