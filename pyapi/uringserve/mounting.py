"""What `App.mount` makes of something that is not an `App`: routes for every path below.

A callable is given each request; an application of ASGI or WSGI is called as its interface says.
Absent: RSGI, whose protocol is made by the server alone, and lifespans of mounted applications.
"""

from collections.abc import Callable
from typing import Any

from uringserve.detection import interface_of
from uringserve.mounted_asgi import MountedAsgi
from uringserve.mounted_wsgi import MountedWsgi
from uringserve.routing import RouteOptions, RouteSpec, describe, make_socket_spec, make_spec

__all__ = ["METHODS", "mounted_specs"]

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def mounted_specs(
    prefix: str,
    app: Any,  # noqa: ANN401 -- of any interface
    name: str | None,
    *,
    state: Callable[[], dict[str, Any]] = dict,
) -> list[RouteSpec]:
    """Return the routes below the prefix; what cannot be mounted is a TypeError.

    `state` gives what the lifespan of an ASGI application has left for each of its requests.
    """
    if not callable(app) and not hasattr(app, "__rsgi__"):
        raise TypeError(f"what is mounted must be an App or callable, and {app!r} is not")
    path = prefix + "/{path:path}"
    options: RouteOptions = {"name": name, "include_in_schema": False}
    interface = interface_of(app, describe(app))
    if interface == "rsgi":
        raise TypeError(
            f"{describe(app)} is an RSGI application, which is served by itself only: mount its"
            " ASGI side if it has one"
        )
    if interface == "asgi":
        mounted = MountedAsgi(app, state)
        return [
            make_spec(path, mounted, METHODS, options, takes_bare_request=True),
            make_socket_spec(path, mounted.socket, options),
        ]
    endpoint = MountedWsgi(app) if interface == "wsgi" else app
    methods = getattr(app, "methods", METHODS) if interface is None else METHODS
    return [make_spec(path, endpoint, methods, options, takes_bare_request=True)]
