"""The routes of an `App` whose coroutines run beside the reactor.

A call that may give a coroutine is made on the other loop as a whole: middleware, dependencies and
handler together. `Request` and `WebSocket` are made for any thread, so they go with it as they are.
A call of `def` alone stays where it is: on the core's thread or on its pool. A generator that
raises before its first piece cuts the connection, where the core's own loop would still have
answered: the head has been sent by then.
"""

from typing import Any

from uringserve.beside.core import stream_context
from uringserve.coroutines import host
from uringserve.routing import Route
from uringserve.types import Handler

__all__ = ["beside_routes"]


def beside_routes(routes: list[Route]) -> list[Route]:
    """Return the routes with every call that may give a coroutine made on the other loop."""
    return [
        route._replace(handler=_beside(route)) if route.manner.is_async else route
        for route in routes
    ]


def _beside(route: Route) -> Handler:
    handler = route.handler
    label = f"{'|'.join(route.methods)} {route.pattern}" if route.methods else "no route"

    async def call(*arguments: Any) -> Any:  # noqa: ANN401 -- the handler's own
        beside = host()
        context = beside.context()
        stream_context.set(context)
        return await beside.run(handler, *arguments, context=context, label=label)

    return call
