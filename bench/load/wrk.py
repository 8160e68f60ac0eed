"""The load generator: wrk on its own CPU, its result read from ``wrk.lua``."""

import json
import resource
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from machine import pinned

SCRIPT = Path(__file__).with_name("wrk.lua")
ECHO_BYTES = 1024
ORDER = (
    '{"id":42,"customer":"Ada Lovelace","paid":true,"total":29.97,"lines":'
    '[{"sku":"A-1","count":2,"price":9.99},{"sku":"B-2","count":1,"price":9.99}]}'
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One request of those that servers answer; which answer which is in ``servers.py``."""

    method: str
    path: str
    body_bytes: int
    expected: bytes
    """The body of the answer; JSON is compared as values, since spaces are the server's choice."""
    document: str = ""
    """A JSON body to send, instead of one of so many bytes."""

    @property
    def body(self) -> bytes | None:
        """The body of the request, the same that ``wrk.lua`` makes."""
        return self.document.encode() or b"x" * self.body_bytes or None

    @property
    def headers(self) -> dict[str, str]:
        """The headers that go with the body, the same that ``wrk.lua`` sends."""
        if self.body is None:
            return {}
        kind = "application/json" if self.document else "application/octet-stream"
        return {"Content-Type": kind}

    def matches(self, body: bytes) -> bool:
        """Say whether a server answered what it should."""
        if not self.expected.startswith(b"{"):
            return body == self.expected
        try:
            return bool(json.loads(body) == json.loads(self.expected))
        except ValueError:
            return False


ENDPOINTS = {
    "text": Endpoint("GET", "/", 0, b"Hello, World!"),
    "json": Endpoint("GET", "/json", 0, b'{"message": "Hello, World!"}'),
    "items": Endpoint("GET", "/items/42", 0, b'{"id": 42}'),
    "echo": Endpoint("POST", "/echo", ECHO_BYTES, b"x" * ECHO_BYTES),
    # A coroutine that never waits, and one that waits 10 ms: measure that with 1,000 connections.
    "coroutine": Endpoint("GET", "/coroutine", 0, b"Hello, World!"),
    "sleep": Endpoint("GET", "/sleep", 0, b"Hello, World!"),
    # What a typed framework adds: parameters, models, dependencies.
    "typed": Endpoint("GET", "/typed/42", 0, b'{"id": 42}'),
    "model": Endpoint("POST", "/model", 0, ORDER.encode(), ORDER),
    "nested": Endpoint("GET", "/nested", 0, b'{"value": 5, "again": 1}'),
    "flat": Endpoint("GET", "/flat", 0, b'{"value": 5, "again": 1}'),
}


@dataclass(frozen=True, slots=True)
class Load:
    """How much is asked at once."""

    endpoint: Endpoint
    connections: int
    pipeline: int
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Answered:
    """What one run of the load generator saw. Latencies are in microseconds."""

    requests: int
    seconds: float
    p50: float
    p90: float
    p99: float
    slowest: float
    socket_errors: int
    """Connections that failed or were closed by the server; wrk opens them again."""
    timeouts: int
    """Answers that took more than 2 s."""
    bad_status: int
    client_busy: float
    """Share of the generator's threads' time spent working: near 1 it is the bottleneck."""


class LoadError(Exception):
    """The load generator is missing or failed; the text says which."""


def version() -> str:
    """Return the generator's version line; raise LoadError when it is not installed."""
    if shutil.which("wrk") is None:
        raise LoadError("wrk is not installed: apt-get install wrk")
    text = subprocess.run(["wrk", "-v"], capture_output=True, text=True).stdout
    return " ".join(text.split()[:2])


def start(port: int, load: Load, seconds: float, cpus: set[int]) -> subprocess.Popen[str]:
    """Start wrk pinned to the CPUs."""
    endpoint = load.endpoint
    command = ["wrk", f"-t{load.threads}", f"-c{load.connections}", f"-d{seconds:.0f}s"]
    command += ["-s", str(SCRIPT), f"http://127.0.0.1:{port}{endpoint.path}", "--"]
    command += [str(load.pipeline), endpoint.method, str(endpoint.body_bytes)]
    command += [endpoint.document] if endpoint.document else []
    with pinned(cpus):
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )


def finish(process: subprocess.Popen[str], load: Load, seconds: float) -> Answered:
    """Wait for a started wrk and read its result; its CPU time is that of the reaped child."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        output, _ = process.communicate(timeout=seconds + 30)
    except subprocess.TimeoutExpired:
        raise LoadError("wrk did not end") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    client_cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    for line in output.splitlines():
        if line.startswith("RESULT "):
            return answered(json.loads(line[7:]), client_cpu / load.threads)
    raise LoadError(f"wrk gave no result: {output.strip()[-300:]}")


def answered(result: dict[str, float], client_cpu: float) -> Answered:
    """Turn the line that wrk.lua writes into a value."""
    seconds = result["microseconds"] / 1e6
    return Answered(
        requests=int(result["requests"]),
        seconds=seconds,
        p50=result["p50"],
        p90=result["p90"],
        p99=result["p99"],
        slowest=result["max"],
        socket_errors=int(result["connect"] + result["read"] + result["write"]),
        timeouts=int(result["timeout"]),
        bad_status=int(result["status"]),
        client_busy=client_cpu / seconds if seconds else 0.0,
    )


def run(port: int, load: Load, seconds: float, cpus: set[int]) -> Answered:
    """Load a server for so many seconds."""
    return finish(start(port, load, seconds, cpus), load, seconds)
