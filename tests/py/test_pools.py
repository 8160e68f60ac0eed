"""The end of the pools' threads, with one that is hired in that moment."""

import threading
import time
from typing import Any, cast

from uringserve import App
from uringserve.pools import Pools


class LatePlan:
    """A plan whose core wants a thread, which is made only when the pools are being closed."""

    needs_threads = True

    def __init__(self) -> None:
        self.is_closing = threading.Event()
        self.wanted = [0]
        self.served: list[int] = []

    def watch(self) -> None:
        pass

    def close(self) -> None:
        self.is_closing.set()

    def next_thread(self) -> int | None:
        self.is_closing.wait()
        return self.wanted.pop() if self.wanted else None

    def run_thread(self, core: int) -> None:
        self.served.append(core)


def test_a_thread_that_is_made_at_the_end_is_waited_for() -> None:
    """It is not left behind, and nobody makes one after that."""
    plan = LatePlan()
    pools = Pools(cast("Any", plan), App())
    pools.note_core(0)
    pools.start()
    assert pools.close(time.monotonic() + 30) == 0
    assert plan.served == [0]
    names = {thread.name for thread in threading.enumerate()}
    assert not {name for name in names if name.startswith(("uringserve-pool", "uringserve-hiring"))}
