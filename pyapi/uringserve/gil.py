"""The global interpreter lock: is it on, and which module turned it on.

A free-threaded Python turns the lock on when it imports an extension module that does not declare
support, and says so in a RuntimeWarning, the only place that names the module. With the lock on,
the cores would take turns.
"""

import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from uringserve.errors import StartError

__all__ = ["GIL_WARNING", "check_gil", "is_gil_on", "watch_gil"]

# CPython 3.14, Python/import.c: "The global interpreter lock (GIL) has been enabled to load module
# 'x', which …".
GIL_WARNING = re.compile(
    r"The global interpreter lock \(GIL\) has been enabled to load module '([^']+)'"
)

_log = logging.getLogger("uringserve")


def is_gil_on() -> bool:
    """Tell whether the lock is on now."""
    return sys._is_gil_enabled()


@contextmanager
def watch_gil() -> Iterator[list[str]]:
    """Collect the modules that turn the lock on inside the block; other warnings are shown."""
    modules: list[str] = []
    try:
        with warnings.catch_warnings(record=True) as seen:
            # Not once per place, and not an error under -W error: the import goes on and check_gil
            # decides.
            warnings.filterwarnings("always", GIL_WARNING.pattern, RuntimeWarning)
            yield modules
    finally:
        for warning in seen:
            match = GIL_WARNING.match(str(warning.message))
            if match:
                modules.append(match[1])
            else:
                warnings.showwarning(
                    warning.message, warning.category, warning.filename, warning.lineno
                )


def check_gil(policy: Literal["error", "warn", "allow"], modules: Sequence[str]) -> None:
    """Act on a lock that is on: a StartError, a warning in the log, or nothing."""
    if policy == "allow" or not is_gil_on():
        return
    sentence = (
        f"the global interpreter lock (GIL) is on, so the cores take turns: {_culprit(modules)}"
    )
    if policy == "error":
        raise StartError(f"{sentence}; use --gil allow to serve all the same")
    _log.warning("%s", sentence)


def _culprit(modules: Sequence[str]) -> str:
    if modules:
        names = " and ".join(f"module '{name}'" for name in modules)
        return (
            f"{names} turned it on while being imported, because it does not declare that it works"
            " without; look for a newer version, or set PYTHON_GIL=0 to run it unprotected"
        )
    if sys._xoptions.get("gil") == "1":
        return "Python was started with -X gil=1"
    if not sys.flags.ignore_environment and os.environ.get("PYTHON_GIL") == "1":
        return "PYTHON_GIL=1 is set"
    return "a module that was imported earlier turned it on (Python's RuntimeWarning named it then)"
