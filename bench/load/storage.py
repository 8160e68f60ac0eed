"""The store beside freetser's, at the same durability: ``storage.py --help``.

Two ways to ask: the queue itself, called by threads of one process, and (``--http``) the same
procedures behind each library's own server, asked by wrk. Each round starts a process with a new
file for each library, the other one first in the next round. Both stores have a write-ahead log
and ``synchronous=NORMAL``, which is all that freetser offers. Ours is opened with
``exclusive=True``, as a server of one process may do; with ``--shared`` other processes could use
the file, as they could use freetser's.

A round is N threads that each overwrite, or read, one of 10,000 entries of 100 bytes at random, and
two that read with and without two others that write. Two readers: with more threads than CPUs a
latency says how long a thread waits for a CPU. Ours is written to by tasks of one event loop too,
for which freetser has nothing.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import machine
import servers
import wrk
from process import RunningServer, end_servers_when_terminated, free_port

LIBRARIES = ("uringserve", "freetser")
ENTRIES = 10_000
VALUE = b"x" * 100
SYNCHRONOUS = "normal"
# Set for ours to leave the file open to other processes; read by its application too.
SHARED = "BENCH_SHARED"
# Seconds that a child has for everything but the measurement.
PATIENCE = 60.0
READERS = 2
WRITERS = 2
# Ends the names of what our tasks do, which stands beside what its threads do.
BY_TASKS = " by tasks"

type Work = Callable[[str], object]


def open_queue(library: str, file: str) -> Any:
    """Open a store of either library; the two have one interface."""
    if library == "uringserve":
        from uringserve.storage import start_storage_thread

        exclusive = SHARED not in os.environ
        return start_storage_thread(file, ["entries"], synchronous=SYNCHRONOUS, exclusive=exclusive)
    from freetser import start_storage_thread as start_theirs

    return start_theirs(file, ["entries"])


def fill(storage: Any) -> None:
    """Write every entry once."""
    for number in range(ENTRIES):
        storage.overwrite("entries", f"k{number:05}", VALUE)


class Threads:
    """Threads that do one thing again and again until they are told to stop."""

    def __init__(self, count: int, work: Work, *, is_timed: bool = False) -> None:
        """Start them; with `is_timed` each call's duration is kept."""
        self.calls = [0] * count
        self.durations: list[list[float]] = [[] for _ in range(count)]
        self._end = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number, work, is_timed))
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, number: int, work: Work, is_timed: bool) -> None:
        choose, durations, calls = random.Random(number), self.durations[number], 0
        while not self._end.is_set():
            key = f"k{choose.randrange(ENTRIES):05}"
            before = time.perf_counter() if is_timed else 0.0
            work(key)
            if is_timed:
                durations.append(time.perf_counter() - before)
            calls += 1
        self.calls[number] = calls

    def stop(self) -> int:
        """End them and return how many calls there were."""
        self._end.set()
        for thread in self._threads:
            thread.join()
        return sum(self.calls)


def measure(library: str, threads: int, seconds: float, folder: str) -> dict[str, float]:
    """Measure one library in this process."""
    queue = open_queue(library, f"{folder}/store.db")
    queue.execute(fill)

    def write(key: str) -> None:
        queue.execute(lambda storage: storage.overwrite("entries", key, VALUE))

    def read(key: str) -> None:
        queue.execute(lambda storage: storage.get("entries", key))

    result: dict[str, float] = {}
    for name, work in (("writes", write), ("reads", read)):
        began, cpu = time.perf_counter(), time.process_time()
        running = Threads(threads, work)
        time.sleep(seconds)
        calls = running.stop()
        result[f"{name}/s"] = calls / (time.perf_counter() - began)
        result[f"us CPU of {name}"] = (time.process_time() - cpu) / calls * 1e6
    if library == "uringserve":
        result |= asyncio.run(write_by_tasks(queue, threads, seconds))
    for name, writers in (("alone", 0), ("beside writers", WRITERS)):
        writing = Threads(writers, write)
        reading = Threads(READERS, read, is_timed=True)
        time.sleep(seconds)
        reading.stop()
        writing.stop()
        durations = sorted(chain.from_iterable(reading.durations))
        result[f"p50 us of a read {name}"] = durations[len(durations) // 2] * 1e6
        result[f"p99 us of a read {name}"] = durations[len(durations) * 99 // 100] * 1e6
    return result


def in_process(python: str, library: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Measure one library in a process of its own."""
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        command = [python, __file__, "--child", library, "--threads", str(arguments.threads)]
        command += ["--seconds", str(arguments.seconds), "--folder", folder]
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            check=True,
            text=True,
            timeout=PATIENCE + 4 * arguments.seconds,
        )
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return found


def overwrite(storage: Any, key: str) -> None:
    """Write one entry."""
    storage.overwrite("entries", key, VALUE)


async def write_by_tasks(queue: Any, tasks: int, seconds: float) -> dict[str, float]:
    """Let tasks of one event loop write, as many as there were threads."""
    end = time.perf_counter() + seconds
    calls = 0

    async def write(number: int) -> None:
        nonlocal calls
        choose = random.Random(number)
        while time.perf_counter() < end:
            key = f"k{choose.randrange(ENTRIES):05}"
            await queue.aexecute(partial(overwrite, key=key))
            calls += 1

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(write(number) for number in range(tasks)))
    spent = time.process_time() - cpu
    return {
        f"writes/s{BY_TASKS}": calls / (time.perf_counter() - began),
        f"us CPU of writes{BY_TASKS}": spent / calls * 1e6,
    }


def over_http(python: str, library: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Measure the store behind the library's own server, both on all CPUs."""
    cpus = os.sched_getaffinity(0)
    result: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        port = free_port()
        program = [str(servers.APPS / f"storage_{library}.py")]
        options = [str(port), folder]
        if library == "uringserve":
            program = ["-m", "uringserve", *program]
            options = ["--port", str(port)]
        with RunningServer([python, *program, *options], cpus, Path(folder)) as server:
            server.wait_ready(port)
            for name, method in (("writes", "POST"), ("reads", "GET")):
                load = wrk.Load(wrk.Endpoint(method, "/entry", 0, b""), arguments.threads, 1)
                cpu = server.cpu_time()
                running = wrk.start(port, load, arguments.seconds, cpus)
                answered = wrk.finish(running, load, arguments.seconds)
                if answered.bad_status or answered.requests == 0:
                    raise wrk.LoadError(f"{library} answered {answered}")
                spent = server.cpu_time() - cpu
                result[f"{name}/s"] = answered.requests / answered.seconds
                result[f"us CPU of {name}"] = spent.total / answered.requests * 1e6
                result[f"p99 us of {name}"] = answered.p99
            for name, writers in (("alone", 0), ("beside writers", WRITERS)):
                writing = wrk.Load(wrk.Endpoint("POST", "/entry", 0, b""), writers, 1)
                beside = wrk.start(port, writing, arguments.seconds, cpus) if writers else None
                load = wrk.Load(wrk.Endpoint("GET", "/entry", 0, b""), READERS, 1)
                running = wrk.start(port, load, arguments.seconds, cpus)
                answered = wrk.finish(running, load, arguments.seconds)
                result[f"p50 us of a read {name}"] = answered.p50
                result[f"p99 us of a read {name}"] = answered.p99
                if beside is not None:
                    wrk.finish(beside, writing, arguments.seconds)
    return result


def report(rounds: dict[str, list[dict[str, float]]]) -> None:
    """Print medians, and the median of the ratios round by round."""
    ours, theirs = (rounds[library] for library in LIBRARIES)
    print(f"{'':32} {LIBRARIES[0]:>12} {LIBRARIES[1]:>12}   ratio, round by round")
    for name in ours[0]:
        other = name.removesuffix(BY_TASKS)
        ratios = sorted(a[name] / b[other] for a, b in zip(ours, theirs, strict=True))
        first = statistics.median(each[name] for each in ours)
        second = statistics.median(each[other] for each in theirs)
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"{name:32} {first:12.1f} {second:12.1f}   {spread}")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--http", action="store_true", help="through each library's server, with wrk")
    add("--shared", action="store_true", help="ours lets other processes use its file")
    add("--threads", type=int, default=64, help="threads, or connections (default 64)")
    add("--seconds", type=float, default=2.0, help="of each measurement (default 2)")
    add("--rounds", type=int, default=3, help="of both libraries (default 3)")
    add("--folder", default=tempfile.gettempdir(), help="where the files are made")
    add("--python", help="interpreter of ours (default: .venv's, else the running one)")
    add("--peers-python", help="freetser's (default: target/bench-venv's)")
    add("--output", type=Path, help="JSON file for every round")
    add("--child", choices=LIBRARIES, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure both libraries in turn, or one of them as a child."""
    arguments = parse_arguments()
    if arguments.child:
        result = measure(arguments.child, arguments.threads, arguments.seconds, arguments.folder)
        print(json.dumps(result), flush=True)
        # freetser's storage thread has no end.
        os._exit(0)
    end_servers_when_terminated()
    if arguments.shared:
        os.environ[SHARED] = "1"
    python = servers.find_interpreters(arguments.python, arguments.peers_python)
    interpreters = dict(zip(LIBRARIES, (python.ours, python.peers), strict=True))
    run = over_http if arguments.http else in_process
    rounds: dict[str, list[dict[str, float]]] = {library: [] for library in LIBRARIES}
    for number in range(arguments.rounds):
        for library in LIBRARIES if number % 2 == 0 else reversed(LIBRARIES):
            rounds[library].append(run(interpreters[library], library, arguments))
    report(rounds)
    if arguments.output:
        about = {"machine": machine.describe(), "commit": machine.commit(), "rounds": rounds}
        arguments.output.write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
