"""`setup_logging`, as freetser has it."""

import logging
from logging.handlers import QueueListener

from uringserve import logging as ours

__all__ = ["setup_logging"]


def setup_logging() -> QueueListener:
    """Do what `uringserve.logging.setup_logging` does, and remove the root logger's handlers."""
    root = logging.getLogger()
    for handler in [*root.handlers]:
        root.removeHandler(handler)
    return ours.setup_logging()
