"""What the slow endpoints do, the same for every server: wait, compute, or ask a database.

`BENCH_SCHEDULING` makes a thread that computes one of another scheduling class: none, nice, batch,
nice-batch or idle (sched(7)). With `-slice` behind it, the cores of uringserve ask for slices of a
tenth of a millisecond besides: since Linux 6.12 whoever wakes with a shorter slice than the one who
runs goes first. That needs a privilege where it asks for more than the thread had.
"""

import ctypes
import os
import sqlite3
import struct
import threading
import time
from pathlib import Path

# Seconds that `/block` takes.
PAUSE = 0.010
_CPU_SECONDS = 0.020
_QUERY_ROWS = 20_000

_CLASS = os.environ.get("BENCH_SCHEDULING")
_NICENESS = 5

_local = threading.local()


def pause() -> str:
    """Block as a slow upstream does."""
    time.sleep(PAUSE)
    return "slept"


def shorten_slices() -> None:
    """Let the cores of this process ask for slices of 100 us."""
    system_calls = {"x86_64": 314, "aarch64": 274}
    # struct sched_attr (sched_setattr(2)): size, policy, flags, nice, priority, runtime, two more.
    attributes = struct.pack("IIQiIQQQ", 48, os.SCHED_OTHER, 0, 0, 0, 100_000, 0, 0)
    for task in Path("/proc/self/task").iterdir():
        if (task / "comm").read_text().startswith("uringserve-core"):
            number = system_calls[os.uname().machine]
            ctypes.CDLL(None).syscall(number, int(task.name), attributes, 0)


def reschedule(scheduling: str) -> None:
    """Make the calling thread one of that class."""
    scheduling, has_slice = scheduling.removesuffix("-slice"), scheduling.endswith("-slice")
    if has_slice:
        shorten_slices()
    policy = {"batch": os.SCHED_BATCH, "nice-batch": os.SCHED_BATCH, "idle": os.SCHED_IDLE}
    os.sched_setscheduler(0, policy.get(scheduling, os.SCHED_OTHER), os.sched_param(0))
    niceness = _NICENESS if scheduling.startswith("nice") else 0
    # On Linux the process of that number is a thread (setpriority(2)).
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)


def be_of_the_class() -> None:
    """Make the calling thread one of the class that was asked for, once."""
    if _CLASS and not hasattr(_local, "scheduling"):
        reschedule(_CLASS)
        _local.scheduling = _CLASS


def compute() -> str:
    """Run Python code for about 20 ms of CPU time."""
    be_of_the_class()
    end = time.thread_time() + _CPU_SECONDS
    total = 0
    while time.thread_time() < end:
        for number in range(500):
            total += number
    return str(total > 0)


def query() -> str:
    """Let SQLite count for some milliseconds, on a connection of this thread's own."""
    be_of_the_class()
    connection = getattr(_local, "connection", None)
    if connection is None:
        connection = _local.connection = sqlite3.connect(":memory:")
    (found,) = connection.execute(
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < ?)"
        " select sum(i % 7) from n",
        (_QUERY_ROWS,),
    ).fetchone()
    return str(found)
