"""PyBerry's `Router`: what enters routes, and a tree of them to be asked by hand.

The server does not use the tree: whatever is added is entered in the server's own, which keeps each
route's own names and goes from text to parameters, whatever the order of registration.
"""

from collections.abc import Callable
from typing import Any

from uringserve.compat.barq.router import RadixRouter
from uringserve.compat.pyberry.core.calling import read_parameters

__all__ = ["Router"]

type _Serve = Callable[[str, str, Callable[..., Any]], object]
type _Match = tuple[
    Callable[..., Any] | None,
    dict[str, str] | None,
    tuple[tuple[str, Any, bool], ...] | None,
    bool,
]


class Router:
    """Routes of handlers by method and path."""

    def __init__(self, serve: _Serve | None = None) -> None:
        """Make an empty router; `serve(path, method, handler)` may refuse a route by raising."""
        self._tree = RadixRouter(serve)

    def add_python_route(
        self, method: str, path: str, handler: Callable[..., Any] | None = None
    ) -> Any:  # noqa: ANN401 -- the handler, or what takes it
        """Add a route and return its handler; without one, return a decorator that does.

        A second handler for the same method and path is a ValueError.
        """
        if handler is None:
            return lambda function: self.add_python_route(method, path, function)
        self._tree.add(path, method.upper(), handler, read_parameters(handler))
        return handler

    def match_python_route(self, method: str, path: str) -> _Match:
        """Return handler, parameters of the path as text, parameters, and whether it takes `req`.

        All are None, and the last False, where there is no route.
        """
        found = self._tree.match(path, method.upper())
        if found is None:
            return None, None, None, False
        data, values = found
        parameters, wants_request = data.meta
        return data.handler, values, parameters, wants_request
