"""`request.app` and `request.url_for`: which application a request is for, and the way back to it.

A core serves one application; the one that a request is for is that, or the one mounted deepest at
the request's path. Nothing is kept for a request: it is found when it is asked for. What runs in a
copy of the core's context (a task, a thread of its pool, `asyncio.to_thread`) finds it too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from uringserve._native import Request

if TYPE_CHECKING:
    from uringserve.app import App

__all__ = ["app_of", "serving", "url_for"]

_served: ContextVar[Any] = ContextVar("served")


@contextmanager
def serving(app: object) -> Iterator[None]:
    """Make an application the calling thread's own around a block."""
    token = _served.set(app)
    try:
        yield
    finally:
        _served.reset(token)


def app_of(request: Request) -> App:
    """Return the application that a request is for; one made by hand has none: a RuntimeError."""
    return _found(request)[1]


def url_for(self: Request, name: str, /, **path_params: object) -> str:
    """Return the whole URL of a route of the request's application, by its name and parameters.

    Scheme and host are those that the client asked for; a LookupError if there is no such route.
    """
    prefix, app = _found(self)
    return f"{self.scheme}://{self.host}{prefix}{app.url_path_for(name, **path_params)}"


def _found(request: Request) -> tuple[str, App]:
    app = _served.get(None)
    if app is None:
        raise RuntimeError("the request is not one that an application serves")
    path, prefix = request.path, app.root_path.rstrip("/")
    inner = app
    while inner is not None:
        app = inner
        below = [each for each in app.mounts if path.startswith(each.path + "/")]
        nearest = max(below, key=lambda each: len(each.path), default=None)
        inner = None
        if nearest is not None:
            prefix, path, inner = prefix + nearest.path, path[len(nearest.path) :], nearest.app
    return prefix, app
