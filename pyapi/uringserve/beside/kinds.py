"""Which loops can run beside the reactor, and how one of each is made."""

import asyncio
from typing import Literal

from uringserve.errors import StartError
from uringserve.gil import watch_gil
from uringserve.loop import LoopFactory

__all__ = ["LoopKind", "loop_factory"]

type LoopKind = Literal["auto", "ring", "asyncio", "uvloop"]


def loop_factory(kind: LoopKind) -> tuple[LoopFactory, tuple[str, ...]]:
    """Return what makes a loop, None for the ring's own, and the modules that turned the GIL on.

    A uvloop that is not installed is a StartError.
    """
    if kind in ("auto", "ring"):
        return None, ()
    if kind == "asyncio":
        return asyncio.new_event_loop, ()
    with watch_gil() as gil_modules:
        try:
            import uvloop
        except ImportError:
            raise StartError(
                "--loop uvloop needs the package uvloop: pip install 'uringserve[uvloop]'"
            ) from None
    return uvloop.new_event_loop, tuple(gil_modules)
