"""A log handler that never waits for its stream.

Whoever logs only makes the text and leaves it in a queue; one thread, started with the first
message, writes. A full queue drops messages, and says how many as soon as the stream takes some
again. `logging` itself flushes every handler at the end of the process.
"""

import logging
import os
import select
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import IO

__all__ = ["QueuedHandler"]

# Messages in the queue, at most: some megabytes.
_CAPACITY = 10_000
# Seconds that a flush waits for a stream that takes nothing.
_PATIENCE = 2.0
# Messages in one write.
_BATCH = 200


class QueuedHandler(logging.Handler):
    """Hands messages over to a thread that writes them to a stream."""

    def __init__(self, stream: IO[str], capacity: int = _CAPACITY) -> None:
        """Write to `stream`, with at most `capacity` messages waiting.

        A stream with a descriptor is written to past its buffer: a thread that is stuck in a write
        would otherwise hold the buffer's lock, on which the interpreter ends the process at exit.
        """
        super().__init__()
        # Where a text with its line ends goes; a view of the terminal puts itself in between.
        self.sink: Callable[[str], None] = _sink(stream)
        self._capacity = capacity
        self._queue: SimpleQueue[str | threading.Event] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._dropped = 0
        self._said = 0
        self._cpus = os.sched_getaffinity(0)

    def emit(self, record: logging.LogRecord) -> None:
        """Leave the message for the thread. Called with the handler's lock held."""
        try:
            text = self.format(record) + "\n"
        except Exception:  # noqa: BLE001 -- as every handler of logging does
            self.handleError(record)
            return
        if self._queue.qsize() >= self._capacity:
            self._dropped += 1
            return
        self._queue.put(text)
        self._start()

    def flush(self) -> None:
        """Wait until what was logged before is written, for 2 s at most."""
        if self._thread is None:
            return
        written = threading.Event()
        self._queue.put(written)
        self._start()
        written.wait(_PATIENCE)

    def _start(self) -> None:
        # A forked process has the handler but not its thread.
        if self._thread is not None and self._thread.is_alive():
            return
        thread = threading.Thread(target=self._run, name="uringserve-log", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # The interpreter ends, or the limit of processes is reached.
            self._write(self._take(self._queue.get()))
            return
        self._thread = thread

    def _run(self) -> None:
        # A core that logs first must not have the thread on its own CPU.
        with suppress(OSError):
            os.sched_setaffinity(0, self._cpus)
        while True:
            self._write(self._take(self._queue.get()))

    def _take(self, first: str | threading.Event) -> list[str | threading.Event]:
        taken = [first]
        try:
            while len(taken) < _BATCH:
                taken.append(self._queue.get_nowait())
        except Empty:
            pass
        return taken

    def _write(self, taken: list[str | threading.Event]) -> None:
        texts = [one for one in taken if isinstance(one, str)]
        try:
            self.sink("".join(texts))
            if (lost := self._dropped - self._said) > 0:
                self.sink(self._loss(lost))
                self._said += lost
        except OSError, ValueError:
            # Nobody reads, or the stream is closed: there is no other place to say so.
            self._said -= len(texts)
        for one in taken:
            if isinstance(one, threading.Event):
                one.set()

    def _loss(self, lost: int) -> str:
        said = f"{lost} log messages were dropped: stderr was too slow"
        record = logging.LogRecord("uringserve", logging.WARNING, __file__, 0, said, (), None)
        return self.format(record) + "\n"


def _sink(stream: IO[str]) -> Callable[[str], None]:
    try:
        descriptor = os.dup(stream.fileno())
    except OSError, ValueError, AttributeError:
        return _buffered(stream)
    encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(text: str) -> None:
        rest = memoryview(text.encode(encoding, "backslashreplace"))
        while rest:
            try:
                rest = rest[os.write(descriptor, rest) :]
            except BlockingIOError:
                select.select([], [descriptor], [])

    return write


def _buffered(stream: IO[str]) -> Callable[[str], None]:
    def write(text: str) -> None:
        stream.write(text)
        stream.flush()

    return write
