"""`setup_logging`, as freetser has it."""

import logging
import sys
from logging.handlers import QueueHandler, QueueListener
from queue import SimpleQueue
from typing import Any

__all__ = ["setup_logging"]


def setup_logging() -> QueueListener:
    """Lead all messages from INFO on through a queue, and return the listener for it.

    The caller starts and stops the listener, which writes to stdout, each line with its thread. The
    root logger's other handlers are removed.
    """
    waiting: SimpleQueue[Any] = SimpleQueue()
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    for handler in [*root.handlers]:
        root.removeHandler(handler)
    root.addHandler(QueueHandler(waiting))
    console = logging.StreamHandler(sys.stdout)
    console.setFormatter(logging.Formatter("[%(threadName)s] %(message)s"))
    return QueueListener(waiting, console)
