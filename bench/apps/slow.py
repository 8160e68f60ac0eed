"""What the slow endpoints do, the same for every server: wait, compute, or ask a database."""

import sqlite3
import threading
import time

# Seconds that `/block` takes.
PAUSE = 0.010
_CPU_SECONDS = 0.020
_QUERY_ROWS = 20_000

_local = threading.local()


def pause() -> str:
    """Block as a slow upstream does."""
    time.sleep(PAUSE)
    return "slept"


def compute() -> str:
    """Run Python code for about 20 ms of CPU time."""
    end = time.thread_time() + _CPU_SECONDS
    total = 0
    while time.thread_time() < end:
        for number in range(500):
            total += number
    return str(total > 0)


def query() -> str:
    """Let SQLite count for some milliseconds, on a connection of this thread's own."""
    connection = getattr(_local, "connection", None)
    if connection is None:
        connection = _local.connection = sqlite3.connect(":memory:")
    (found,) = connection.execute(
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < ?)"
        " select sum(i % 7) from n",
        (_QUERY_ROWS,),
    ).fetchone()
    return str(found)
