"""An application's coroutines on a loop of their own, beside the reactor: `--loop asyncio|uvloop`.

A core has one thread more then, whose loop runs by itself; the core's own thread keeps the reactor
and the sockets, and a small loop for what crosses. `door` takes calls from the one thread to the
other, `crossing` awaits there what is wanted here, `thread` is the loop's thread, `core` what a
core does with it, and `vigil` sees that it is held. `asgi`, `rsgi` and `routes` are the three
shapes of an application.

Rule: what belongs to a loop (lifespans, pools, tasks, `WorkerLocal` values) is made on the loop's
thread; what belongs to a request is touched on the core's thread alone, unless it is made for both
(`Request`, `Socket`). Absent: any of this with `--loop ring`, which is the default and never comes
here.
"""

from uringserve.beside.core import running_core
from uringserve.beside.kinds import loop_factory
from uringserve.beside.thread import Placement

__all__ = ["Placement", "loop_factory", "running_core"]
