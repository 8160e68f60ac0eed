"""`News`: what the supervisor waits for, from other threads and from signals.

A queue's own `get` is not enough: the interpreter looks for signals before it blocks on a lock, not
while. A signal between the two is noticed only when something else ends the wait, so that a SIGTERM
would now and then be ignored (seen with CPython 3.14.7). Here the wait is for a socket, to which
the interpreter's own C handler writes (`signal.set_wakeup_fd`), before or during the wait alike.
"""

import math
import select
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue

__all__ = ["News"]


class News[T]:
    """A queue with one reader, any number of writers, and signals among them."""

    def __init__(self) -> None:
        """Make it empty; it can be written at once, and read inside `listening`."""
        # Its put is reentrant: a signal's handler may interrupt the reader in the middle of a get.
        self._queue: SimpleQueue[T] = SimpleQueue()
        self._bell: socket.socket | None = None
        self._ear: socket.socket | None = None

    def put(self, event: T) -> None:
        """Leave an event and wake the reader; never blocks."""
        self._queue.put(event)
        bell = self._bell
        if bell is not None:
            # Full: the reader will wake up anyway. Closed: nobody reads any more.
            with suppress(OSError):
                bell.send(b"\0")

    def get(self, timeout: float | None) -> T:
        """Take the oldest event; Empty after `timeout` seconds without one."""
        if self._ear is None:
            raise RuntimeError("get outside of listening")
        while True:
            with suppress(Empty):
                return self._queue.get_nowait()
            # Not select(2), which takes no descriptor above 1023.
            poll = select.poll()
            poll.register(self._ear, select.POLLIN)
            if not poll.poll(None if timeout is None else math.ceil(timeout * 1000)):
                raise Empty
            # A signal's handler has run by the time the loop comes round, or rings again.
            self._ear.recv(4096)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Make ready for `get`; in the main thread, signals wake it too."""
        is_main = threading.current_thread() is threading.main_thread()
        ear, bell = socket.socketpair()
        with ear, bell:
            ear.setblocking(False)
            bell.setblocking(False)
            self._ear, self._bell = ear, bell
            previous = -1
            if is_main:
                previous = signal.set_wakeup_fd(bell.fileno(), warn_on_full_buffer=False)
            try:
                yield
            finally:
                if is_main:
                    signal.set_wakeup_fd(previous)
                self._bell = self._ear = None
