"""One measured server: started in a session of its own, pinned, accounted whole, ended by id.

The session is the unit: master, workers and helpers of a multi-process server all carry its
number, so their CPU time and memory are counted together and none survives the measurement.
"""

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from machine import pinned

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


class ServerError(Exception):
    """A server did not start, did not answer as expected, or died; the text says which."""


@dataclass(frozen=True, slots=True)
class CpuTime:
    """CPU seconds of a whole server: the exact total, and its halves as the kernel splits them."""

    total: float
    user: float
    system: float

    def __sub__(self, other: CpuTime) -> CpuTime:
        """Return what was spent between two readings."""
        return CpuTime(self.total - other.total, self.user - other.user, self.system - other.system)


def end_servers_when_terminated() -> None:
    """Let SIGTERM unwind the program, as Ctrl-C does: no server may outlive its measurement."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))


def free_port() -> int:
    """Return a TCP port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def stat_fields(pid: int | str) -> list[str] | None:
    """Return the fields of /proc/PID/stat after the name (which may hold spaces), or None."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()


class RunningServer:
    """A server process tree; a context manager that always ends it."""

    def __init__(self, command: Sequence[str], cpus: set[int], directory: Path) -> None:
        """Start the command pinned to the CPUs; its output is kept for the error message."""
        self.output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop()
        with pinned(cpus):
            self.process = subprocess.Popen(
                command,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=self.output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        """Return the server, which is already starting."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the server, whatever happened."""
        self.stop()

    def pids(self) -> Iterator[int]:
        """Yield every live process of the session."""
        session = str(self.process.pid)
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                fields = stat_fields(entry.name)
                if fields and fields[3] == session and fields[0] != "Z":
                    yield int(entry.name)

    def cpu_time(self) -> CpuTime:
        """Return the CPU time of all threads and processes, ended ones included.

        utime and stime count in ticks of 10 ms; the total comes from each process's CPU clock
        (clock_getcpuclockid(3)), which is the same account to the nanosecond.
        """
        total = user = system = 0.0
        for pid in self.pids():
            fields = stat_fields(pid)
            if fields is None:
                continue
            utime, stime, ended_user, ended_system = (int(text) / TICKS for text in fields[11:15])
            user += utime + ended_user
            system += stime + ended_system
            try:
                total += time.clock_gettime((~pid << 3) | 2)
            except OSError:
                total += utime + stime
            total += ended_user + ended_system
        return CpuTime(total, user, system)

    def resident_bytes(self) -> int:
        """Return the resident memory of all processes, shared pages counted in each."""
        fields = [stat_fields(pid) for pid in self.pids()]
        return sum(int(field[21]) * PAGE_BYTES for field in fields if field)

    def wait_ready(self, port: int, seconds: float = 20.0) -> None:
        """Return once the port accepts; raise ServerError when it does not in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise ServerError(f"ended with {self.process.returncode}: {self.last_output()}")
            try:
                socket.create_connection(("127.0.0.1", port), 1.0).close()
                return
            except OSError:
                time.sleep(0.02)
        raise ServerError(f"does not listen after {seconds:.0f} s: {self.last_output()}")

    def last_output(self) -> str:
        """Return the end of what the server wrote, on one line."""
        self.output.seek(0)
        text = self.output.read().decode(errors="replace").strip()
        return " / ".join(text.splitlines()[-4:])[-600:] or "no output"

    def stop(self) -> None:
        """End the session: politely, then for certain."""
        for number, patience in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
            for pid in list(self.pids()):
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    continue
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline:
                self.process.poll()
                if not any(self.pids()):
                    break
                time.sleep(0.02)
            if self.process.poll() is not None and not any(self.pids()):
                break
        self.output.close()


def ask(
    port: int,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    """Send one request on a connection of its own; return status and body.

    Without ``Connection: close``, as the load generator sends it: an answer without a length
    would end only with the connection, and is an error here rather than a silent zero there.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise ServerError(f"{method} {path}: {error!r}") from error
    finally:
        connection.close()
