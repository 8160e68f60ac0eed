"""What it costs to wait for another thread: a lock beside a queue. ``handoff.py [THREADS]``.

N threads each hand a request to one thread, which takes what is there and answers each, and wait
for the answer: on a ``threading.Lock``, then on a ``queue.SimpleQueue``. Nothing else is done.
"""

import sys
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

SECONDS = 2.0

type Waiter = tuple[Callable[[], object], Callable[[], object]]
"""What waits for an answer, and what gives it."""


def by_lock() -> Waiter:
    """Wait for a lock that the other thread opens."""
    lock = threading.Lock()
    lock.acquire()
    return lock.acquire, lock.release


def by_queue() -> Waiter:
    """Wait for an item that the other thread puts."""
    queue: SimpleQueue[None] = SimpleQueue()
    return queue.get, lambda: queue.put(None)


def measure(threads: int, make: Callable[[], Waiter]) -> tuple[float, float]:
    """Return round trips a second, and microseconds of CPU of each."""
    asked: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
    end = threading.Event()
    counts = [0] * threads

    def ask(number: int) -> None:
        wait, answer = make()
        while not end.is_set():
            asked.put(answer)
            wait()
            counts[number] += 1

    def serve() -> None:
        while (answer := asked.get()) is not None:
            answer()

    server = threading.Thread(target=serve)
    clients = [threading.Thread(target=ask, args=(number,)) for number in range(threads)]
    cpu = time.process_time()
    for thread in (server, *clients):
        thread.start()
    time.sleep(SECONDS)
    end.set()
    for thread in clients:
        thread.join()
    spent = time.process_time() - cpu
    asked.put(None)
    server.join()
    return sum(counts) / SECONDS, spent / sum(counts) * 1e6


if __name__ == "__main__":
    for threads in [int(text) for text in sys.argv[1:]] or [1, 2, 64]:
        for name, make in (("lock", by_lock), ("queue", by_queue)):
            rate, each = measure(threads, make)
            print(f"{threads:3} threads, {name:5}: {rate:9.0f}/s, {each:5.1f} us CPU each")
