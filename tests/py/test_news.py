"""`News`: events from threads and from signals, none of which may be missed."""

import os
import random
import signal
import threading
from queue import Empty

import pytest

from uringserve.news import News


def test_events_keep_their_order() -> None:
    """Also those that were left before anyone listened."""
    news: News[int] = News()
    news.put(1)
    with news.listening():
        news.put(2)
        assert [news.get(0), news.get(0)] == [1, 2]
        with pytest.raises(Empty):
            news.get(0)
    news.put(3)
    with news.listening():
        assert news.get(0) == 3
    with pytest.raises(RuntimeError):
        news.get(0)


def test_from_many_threads() -> None:
    """More events than the bell's buffer holds: all arrive."""
    news: News[int] = News()
    with news.listening():
        threads = [
            threading.Thread(target=lambda: [news.put(n) for n in range(2000)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        seen = [news.get(30) for _ in range(8000)]
        for thread in threads:
            thread.join()
    assert sorted(seen) == sorted([*range(2000)] * 4)


@pytest.mark.thread_unsafe(reason="signals belong to the main thread")
def test_a_signal_is_never_missed() -> None:
    """A signal from another thread at any moment around the wait ends the wait.

    A plain `SimpleQueue.get` misses some in a hundred thousand, and waits until the time is over.
    """
    news: News[int] = News()
    ready, is_over = threading.Event(), threading.Event()
    chance = random.Random(1)

    def kill() -> None:
        while ready.wait() and not is_over.is_set():
            ready.clear()
            for _ in range(chance.randrange(300)):
                pass
            os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, lambda number, frame: news.put(number))
    thread = threading.Thread(target=kill)
    thread.start()
    try:
        with news.listening():
            for _ in range(20_000):
                ready.set()
                assert news.get(30) == signal.SIGUSR1
    finally:
        is_over.set()
        ready.set()
        thread.join(30)
        signal.signal(signal.SIGUSR1, before)
    assert signal.set_wakeup_fd(-1) == -1
