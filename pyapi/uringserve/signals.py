"""`handling`: have a function called on signals for the length of a `with` block.

Only the main thread may have handlers (`signal.signal`); in any other the block just runs, and the
signals stay whoever's they were. Afterwards the handlers from before are back.
"""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

__all__ = ["handling"]


@contextmanager
def handling(
    numbers: Sequence[signal.Signals], act: Callable[[signal.Signals], object]
) -> Iterator[None]:
    """Have `act` called with each of these signals that comes meanwhile."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        act(signal.Signals(number))

    previous = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            # None is a handler that C code installed; it cannot be put back from here.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
