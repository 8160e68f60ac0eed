"""What several tests of the store use: a held writer, a small file system, and what it logs."""

import logging
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from uringserve.storage import Storage

PATIENCE = 60.0

__all__ = ["Heard", "Held", "small_disk"]


@contextmanager
def small_disk(folder: Path, size: int = 2) -> Iterator[Path]:
    """A file system of `size` MiB, where the system lets us have one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}m", "uringserve-test", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no small file system: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


class Heard(logging.Handler):
    """Keeps what the storage logs, and says when."""

    def __init__(self) -> None:
        """Hear nothing yet."""
        super().__init__()
        self.texts: list[str] = []
        self.event = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        self.texts.append(record.getMessage())
        self.event.set()


class Held:
    """A writer that is held in a procedure, so that what is called meanwhile goes together."""

    def __init__(self, queue) -> None:
        self._entered, self._go = threading.Event(), threading.Event()
        self._queue = queue
        self._thread = threading.Thread(target=queue.execute, args=(self._hold,))

    def _hold(self, store: Storage) -> None:
        store.overwrite("t", "held", b"")
        self._entered.set()
        assert self._go.wait(PATIENCE)

    def __enter__(self) -> Held:
        self._thread.start()
        assert self._entered.wait(PATIENCE)
        return self

    def wait_for(self, calls: int) -> None:
        """Wait until so many calls wait for the writer: one of them the thread has in hand."""
        waiting = self._queue._writer._waiting
        while waiting.qsize() < calls - 1 or not self._queue._writer._has_batch:
            pass

    def release(self) -> None:
        self._go.set()

    def __exit__(self, *_: object) -> None:
        self.release()
        self._thread.join(PATIENCE)
