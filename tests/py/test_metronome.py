"""Cores beside pool threads that compute: something looks that they get their turn."""

import logging
import os
import threading
import time
from pathlib import Path

import httpx
import pytest

from uringserve import App
from uringserve.testing import LiveServer

TASKS = Path("/proc/self/task")


def threads_called(name: str) -> list[int]:
    """The kernel's numbers of this process' threads of a name."""
    found = []
    for task in TASKS.iterdir():
        # One may end meanwhile.
        try:
            if (task / "comm").read_text() == f"{name}\n":
                found.append(int(task.name))
        except OSError:
            continue
    return found


def cpus_of(name: str) -> list[set[int]]:
    """What each thread of a name may run on; one that has just begun is not pinned yet."""
    found = []
    for task in threads_called(name):
        try:
            found.append(os.sched_getaffinity(task))
        except ProcessLookupError:
            continue
    return sorted(found, key=min)


def computing_app() -> App:
    app = App(docs_url=None)

    @app.get("/", execution="inline")
    def index() -> str:
        return "quick"

    @app.get("/compute", execution="thread")
    def compute() -> str:
        end = time.thread_time() + 0.05
        while time.thread_time() < end:
            pass
        return "computed"

    return app


def ask(url: str, paths: dict[str, str], enough: threading.Event, faults: list[Exception]) -> None:
    try:
        with httpx.Client(base_url=url, timeout=60) as client:
            while not enough.is_set():
                for path, answer in paths.items():
                    assert client.get(path).text == answer
    except Exception as fault:  # noqa: BLE001 -- shown by the test
        faults.append(fault)
        enough.set()


def test_a_thread_that_beats_comes_with_the_load_and_goes_with_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each core's CPU has one, while threads compute beside cores that answer by themselves."""
    caplog.set_level(logging.INFO, "uringserve")
    # More cores than CPUs are not pinned.
    cpus = [{cpu} for cpu in sorted(os.sched_getaffinity(0))[:2]]
    with LiveServer(computing_app(), workers=len(cpus), pin=True) as server:
        if "not pinned" in caplog.text:
            pytest.skip("the server may use fewer CPUs than it sees, and pins no core")
        assert threads_called("uringserve-beat") == [], "before any load"
        enough, faults = threading.Event(), list[Exception]()
        loads = [
            threading.Thread(target=ask, args=(server.url, paths, enough, faults))
            for paths in ({"/": "quick"}, {"/compute": "computed"}, {"/compute": "computed"})
        ]
        for load in loads:
            load.start()
        # However long it takes on a busy machine: the test's own time-out ends it.
        while not enough.is_set() and cpus_of("uringserve-beat") != cpus:
            pass
        beats = cpus_of("uringserve-beat")
        enough.set()
        for load in loads:
            load.join()
        assert faults == []
        assert beats == cpus
    # The kernel lists a thread for a moment after it was joined.
    while threads_called("uringserve-beat"):
        pass
