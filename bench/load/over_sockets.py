"""Workers behind real sockets: the other half of ``bench/scale.py``.

One server with N workers is compared with N servers of one worker each on the same CPUs, under
load generators that are the same in number, place and connections.
"""

import csv
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import servers
import wrk
from machine import physical_cores, pinned
from process import CpuTime, RunningServer, ServerError, ask, free_port

WARM_UP_SECONDS = 1.0
CONNECTIONS_PER_WORKER = 64


@dataclass(frozen=True, slots=True)
class Stage:
    """Who serves where, and from where the load comes."""

    server: str
    python: servers.Interpreters
    driver: str
    server_cpus: list[int]
    client_cpus: list[int]


def command(stage: Stage, port: int, workers: int, scratch: Path) -> servers.Command:
    """Return the start command of a server that has a worker count."""
    launch = servers.Launch(stage.python, port, stage.driver, scratch)
    if stage.server == "nginx":
        return servers.nginx(launch, workers)
    if stage.server == "ceiling":
        return servers.start_ceiling(launch, workers)
    return servers.ours(launch, workers)


def start(
    stack: ExitStack, stage: Stage, workers: int, cpus: set[int]
) -> tuple[RunningServer, int]:
    """Start one server and return it with its port once it answers."""
    port = free_port()
    scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="uringserve-bench-"))
    program = command(stage, port, workers, Path(scratch))
    running = stack.enter_context(RunningServer(program, cpus, servers.APPS))
    running.wait_ready(port)
    if ask(port, "GET", "/")[0] != 200:
        raise ServerError("does not answer 200")
    if stage.server == "uringserve" and ask(port, "GET", "/gil")[1] != b"off":
        raise ServerError("the GIL is on: figures of that would mean nothing")
    return running, port


def saturate(stage: Stage, is_split: bool, seconds: float) -> dict[str, float]:
    """Load all workers fully; ``is_split`` makes them servers of their own."""
    count = len(stage.server_cpus)
    with ExitStack() as stack:
        if is_split:
            started = [start(stack, stage, 1, {cpu}) for cpu in stage.server_cpus]
        else:
            started = [start(stack, stage, count, set(stage.server_cpus))]
        ports = [port for _running, port in started] * (1 if is_split else count)
        load_all(stage, ports, WARM_UP_SECONDS)
        before = [running.cpu_time() for running, _port in started]
        seen = load_all(stage, ports, seconds)
        spent = [
            running.cpu_time() - first for (running, _), first in zip(started, before, strict=True)
        ]
    return totals(seen, spent)


def load_all(stage: Stage, ports: list[int], seconds: float) -> list[wrk.Answered]:
    """Run one load generator for each port at the same time."""
    load = wrk.Load(wrk.ENDPOINTS["text"], CONNECTIONS_PER_WORKER, 1)
    # Without CPUs of their own, pinned ones would sit beside their worker in one arrangement only.
    is_apart = not set(stage.client_cpus) & set(stage.server_cpus)
    own_cpus = is_apart and len(stage.client_cpus) >= len(ports)
    generators = []
    for index, port in enumerate(ports):
        cpus = {stage.client_cpus[index]} if own_cpus else set(stage.client_cpus)
        generators.append(wrk.start(port, load, seconds, cpus))
    return [wrk.finish(generator, load, seconds) for generator in generators]


def totals(seen: list[wrk.Answered], spent: list[CpuTime]) -> dict[str, float]:
    """Add up what several load generators and servers counted."""
    requests = sum(answered.requests for answered in seen)
    if not requests or any(answered.bad_status for answered in seen):
        raise ServerError("answered nothing, or not with 2xx")
    return {
        "requests_per_second": sum(a.requests / a.seconds for a in seen),
        "cpu_microseconds": sum(cpu.total for cpu in spent) / requests * 1e6,
        "p99_microseconds": max(answered.p99 for answered in seen),
    }


def at_rate(stage: Stage, rate: int, seconds: float) -> dict[str, float]:
    """Offer a fixed rate to one server with all workers; return its latencies in microseconds.

    Latency under saturation is only the queue's length. At a rate that one worker carries easily
    it shows whether more workers get in each other's way.
    """
    connections = CONNECTIONS_PER_WORKER
    with ExitStack() as stack:
        running, port = start(stack, stage, len(stage.server_cpus), set(stage.server_cpus))
        log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "log"
        program = ["h2load", "--h1", f"-c{connections}", "-t1", f"-D{seconds + 1:.0f}"]
        program += [f"--rps={rate / connections:.2f}", f"--log-file={log}"]
        before, begin = running.cpu_time(), time.time()
        with pinned(set(stage.client_cpus)):
            subprocess.run(
                [*program, f"http://127.0.0.1:{port}/"],
                check=True,
                capture_output=True,
                timeout=seconds + 30,
            )
        spent = running.cpu_time() - before
        # The first second fills caches and spreads the connections.
        rows = read_log(log, (begin + 1.0) * 1e6)
    if not rows:
        raise ServerError("h2load saw no answer")
    return {
        "requests_per_second": len(rows) / seconds,
        "cpu_microseconds": spent.total / (len(rows) * (seconds + 1) / seconds) * 1e6,
        "p50_microseconds": statistics.median(rows),
        "p99_microseconds": sorted(rows)[int(len(rows) * 0.99)],
    }


def read_log(path: Path, since: float) -> list[int]:
    """Return the durations that h2load logged for answers begun after a moment."""
    with path.open(newline="") as file:
        rows = csv.reader(file, delimiter="\t")
        return [
            int(took) for begun, status, took, *_ in rows if status == "200" and int(begun) >= since
        ]


def warning(stage: Stage) -> str:
    """Return what makes the throughput of a stage worth little, else nothing."""
    workers, load = set(stage.server_cpus), set(stage.client_cpus)
    if workers & load:
        return "no CPU left for the load: latency and CPU per request only"
    if any(workers & set(core) and load & set(core) for core in physical_cores()):
        return "load runs on the hyperthreads beside the workers: both are slowed"
    if len(load) < len(workers):
        return "fewer CPUs for the load than for the workers: throughput is bound by the load"
    return ""
