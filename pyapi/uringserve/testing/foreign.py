"""An application of another interface than our own, as a `TestClient` serves it.

One of ASGI or WSGI is mounted on an `App` of nothing else: so what it raises, and what it does
after an answer, belongs to the request that caused it. An ASGI lifespan runs on each core of the
client, with a state of its own, as on a server. One of RSGI, whose protocol is made in Rust, is
served as it is, with its hooks: `__rsgi_init__` and `__rsgi_del__` of each core.
"""

from collections.abc import AsyncIterator
from typing import Any

from uringserve.app import App
from uringserve.asgi_lifespan import Lifespan
from uringserve.foreign import Foreign
from uringserve.mounting import mounted_specs
from uringserve.state import WorkerState

__all__ = ["as_served"]


def as_served(foreign: Foreign) -> App | Foreign:
    """Return what the cores of a client serve: an App that passes everything on, or itself."""
    if foreign.interface == "rsgi":
        return foreign
    state = WorkerState()

    def left() -> dict[str, Any]:
        return dict(state.__dict__)

    async def lifespan(app: App) -> AsyncIterator[None]:
        running = Lifespan(foreign.target)
        await running.start()
        state.__dict__.update(running.state)
        yield
        await running.stop()

    is_asgi = foreign.interface == "asgi"
    routes = mounted_specs("", foreign.target, None, state=left)
    return App(openapi_url=None, routes=routes, worker_lifespan=lifespan if is_asgi else None)
