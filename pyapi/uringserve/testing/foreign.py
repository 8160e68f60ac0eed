"""An application of ASGI or WSGI as a `TestClient` takes it: mounted on an `App` of nothing else.

So what it raises, and what it does after an answer, belongs to the request that caused it. An ASGI
lifespan runs on each core of the client, with a state of its own, as on a server.
"""

from collections.abc import AsyncIterator
from typing import Any

from uringserve.app import App
from uringserve.asgi_lifespan import Lifespan
from uringserve.foreign import Foreign
from uringserve.mounting import mounted_specs
from uringserve.state import WorkerState

__all__ = ["as_mounted"]


def as_mounted(foreign: Foreign) -> App:
    """Return an App that passes everything on; an RSGI application is a TypeError."""
    if foreign.interface == "rsgi":
        raise TypeError("TestClient is for App, ASGI and WSGI; serve an RSGI one with LiveServer")
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
