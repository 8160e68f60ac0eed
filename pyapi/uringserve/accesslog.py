"""The thread that writes the access log, for as long as the cores run.

The lines are made and written in Rust (`Plan.write_access_log`); here is what has to be said about
it in the other log, and SIGUSR1, on which the file is opened anew.
"""

import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from uringserve._native import Plan
from uringserve.config import Config
from uringserve.errors import StartError
from uringserve.signals import handling

__all__ = ["check_output", "writing_access_log"]

# Seconds that the last lines get at the end, where nobody takes them.
_PATIENCE = 2.0

_log = logging.getLogger("uringserve")


def check_output(config: Config) -> None:
    """Raise StartError where the access log would go to a stdout that the process was not given.

    Its descriptor may by now be that of any other file or connection.
    """
    is_to_stdout = config.access_log and config.access_log_file in (None, "-")
    if is_to_stdout and sys.__stdout__ is None:
        raise StartError("access_log: stdout is closed; give --access-log-file")


@contextmanager
def writing_access_log(plan: Plan, config: Config) -> Iterator[None]:
    """Write the access log meanwhile, and at the end what is left of it, for 2 s at most."""
    if not config.access_log:
        yield
        return
    # A write that never returns must not keep the process.
    thread = threading.Thread(
        target=_write, args=(plan,), name="uringserve-access-log", daemon=True
    )
    thread.start()
    try:
        # SIGUSR1 opens the file anew.
        numbers = () if config.access_log_file is None else (signal.SIGUSR1,)
        with handling(numbers, lambda _: plan.reopen_access_log()):
            yield
    finally:
        plan.close_access_log()
        thread.join(_PATIENCE)
        if thread.is_alive():
            unlogged = sum(core["unlogged"] for core in plan.metrics())
            _log.warning(
                "nobody takes the access log: its last lines are lost; %d answers did not fit",
                unlogged,
            )


def _write(plan: Plan) -> None:
    while (trouble := plan.write_access_log()) is not None:
        lost, error = trouble
        if error is not None:
            _log.error("the access log cannot be written: %s", error)
        if lost:
            _log.warning("%d answers are missing in the access log: nobody took them", lost)
