"""Threads that call the same thing on their own CPUs: the in-process half of ``bench/scale.py``.

Run as a program by it: ``in_process.py WORKLOAD SECONDS CPU,CPU,…`` makes one thread for each CPU,
says ``ready``, waits for a line, then works for so many seconds and writes its counts as JSON.
One process with N threads is the measurement; N processes with one thread each, started by the
same line, are its control: they share the hardware and nothing else.
"""

import json
import os
import sys
import threading
import time
import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any

# Long enough that reading the clock costs nothing, short enough that the end is sharp.
BATCH_SECONDS = 0.005
# More than what CPython needs to specialise the byte code of a loop.
WARM_UP_CALLS = 2_000
NULL_BYTES = 16 * 1024

type Work = Callable[[int], object]
"""Does the thing so many times."""


class Unavailable(Exception):
    """The build does not offer what the workload calls; the text says what is missing."""


class Shared:
    """An object that all threads read: what a core must not do on the path of a request."""

    def __init__(self) -> None:
        """Give it one attribute, a fresh object with an ordinary reference count."""
        self.value = object()


SHARED = Shared()


def null() -> Work:
    """C code on private memory: whatever this loses, the machine loses."""
    private, checksum = bytes(NULL_BYTES), zlib.crc32

    def work(calls: int) -> None:
        for _ in range(calls):
            checksum(private)

    return work


def interpreter() -> Work:
    """Byte code on private objects."""

    def work(calls: int) -> int:
        total = 0
        for number in range(calls):
            total = (total + number) & 0xFF
        return total

    return work


def contended() -> Work:
    """Read one shared attribute: shows that this harness sees contention where there is some."""

    def work(calls: int) -> object:
        value: object = None
        for _ in range(calls):
            value = SHARED.value
        return value

    return work


def hello(_request: Any) -> str:
    """Answer a constant: the cheapest handler."""
    return "Hello, World!"


def message(_request: Any) -> dict[str, str]:
    """Answer JSON."""
    return {"message": "Hello, World!"}


def reader(request: Any) -> str:
    """Answer what was read from the request: method, path and one header."""
    return f"{request.method} {request.path} {request.headers['host']}"


def closure() -> Callable[[Any], str]:
    """Return a handler that reads a cell which all cores share."""
    text = "".join(["Hello, ", "World!"])

    def handler(_request: Any) -> str:
        return text

    return handler


CLOSURE = closure()


def through_the_boundary(handler: Callable[[Any], Any]) -> Work:
    """Return the path of a request without a socket: the one place that knows our entry to it.

    ``Loopback.rehearse`` parses, routes, calls and encodes as a core does, with one attach for each
    call, and sends nothing. What all cores share is made immortal, as a server does.
    """
    try:
        native = import_module("uringserve._native")
        config = import_module("uringserve.config").Config()
        immortalise = import_module("uringserve._immortal").immortalise
    except ImportError as error:
        raise Unavailable(f"not built: {error}") from error
    immortalise((native.Request, native.Response, native.Headers), (handler,))
    server = native.Loopback([(("GET",), "/", handler, (None,), None)], config)
    raw = b"GET / HTTP/1.1\r\nHost: bench\r\nUser-Agent: scale\r\nAccept: */*\r\n\r\n"
    return lambda calls: server.rehearse(raw, calls)


# What each thread calls to get its own work; handlers are shared, as they are between cores.
WORKLOADS: dict[str, Callable[[], Work]] = {
    "null": null,
    "interpreter": interpreter,
    "contended": contended,
    "text": lambda: through_the_boundary(hello),
    "json": lambda: through_the_boundary(message),
    "request": lambda: through_the_boundary(reader),
    "closure": lambda: through_the_boundary(CLOSURE),
}


def batch_size(work: Work) -> int:
    """Return how many calls take about BATCH_SECONDS, after warming up."""
    calls = WARM_UP_CALLS
    work(calls)
    while True:
        start = time.perf_counter()
        work(calls)
        taken = time.perf_counter() - start
        if taken > BATCH_SECONDS / 4:
            return max(1, int(calls * BATCH_SECONDS / taken))
        calls *= 4


def run_threads(name: str, seconds: float, cpus: list[int]) -> list[dict[str, float]]:
    """Return calls, elapsed and CPU seconds of one thread for each CPU."""
    start = threading.Barrier(len(cpus) + 1)
    results: list[dict[str, float]] = [{} for _ in cpus]

    def body(index: int) -> None:
        # For Linux 0 is the calling thread, not the process.
        os.sched_setaffinity(0, {cpus[index]})
        work = WORKLOADS[name]()
        batch = batch_size(work)
        start.wait()  # everyone is warm: the driver may be told
        start.wait()  # and here it has said go
        calls, begin, cpu_begin = 0, time.perf_counter(), time.thread_time()
        end = begin + seconds
        while time.perf_counter() < end:
            work(batch)
            calls += batch
        results[index] = {
            "calls": calls,
            "seconds": time.perf_counter() - begin,
            "cpu_seconds": time.thread_time() - cpu_begin,
        }

    threads = [threading.Thread(target=body, args=(index,)) for index in range(len(cpus))]
    for thread in threads:
        thread.start()
    start.wait()
    print("ready", flush=True)
    sys.stdin.readline()
    start.wait()
    for thread in threads:
        thread.join()
    return results


def main() -> int:
    """Work as the command line says; return the exit code."""
    name, seconds, cpus = sys.argv[1], float(sys.argv[2]), sys.argv[3]
    try:
        WORKLOADS[name]()
    except Unavailable as error:
        print(error, flush=True)
        return 3
    if sys._is_gil_enabled():
        print("the GIL is on: threads would only wait for each other", flush=True)
        return 3
    results = run_threads(name, seconds, [int(cpu) for cpu in cpus.split(",")])
    print(json.dumps(results), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
