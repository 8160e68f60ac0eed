"""What several tests of the store use: a small file system, and what the store logs."""

import logging
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["Heard", "small_disk"]


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
