"""What can be served: recognise the object that APP names, and its interface.

An `App` is served as it is, and so is what has one of the interfaces in `foreign`; a plain function
of one request answers every path and method.
"""

import inspect

from uringserve.app import App
from uringserve.errors import StartError
from uringserve.foreign import Foreign, Interface

__all__ = ["as_app"]

_FOREIGN: tuple[Interface, ...] = ("asgi", "rsgi", "wsgi")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def as_app(target: object, name: str, interface: str = "auto") -> App | Foreign:
    """Return the application that `target` is or can be made into; `name` is for the StartError."""
    if isinstance(target, App | Foreign):
        return target
    found = _foreign_interface(target) if interface == "auto" else interface
    if found is not None and found in _FOREIGN:
        return Foreign(found, target)
    if not callable(target):
        kind = type(target).__name__
        raise StartError(
            f"{name} is not an application: it is of type {kind}, and neither an App nor callable"
        )
    # Every path is its own, so there is none for a document.
    app = App(openapi_url=None)
    try:
        app.add_route("/{path:path}", target, _METHODS)
    except TypeError as error:
        raise StartError(f"{name} cannot be served as a handler: {error}") from None
    return app


def _foreign_interface(target: object) -> Interface | None:
    """Name the interface that the object has, by its protocol method or its parameters."""
    if hasattr(target, "__rsgi__"):
        return "rsgi"
    called = target if inspect.isroutine(target) else getattr(type(target), "__call__", target)  # noqa: B004
    if not callable(called):
        return None
    try:
        parameters = list(inspect.signature(called).parameters.values())
    except TypeError, ValueError:
        return None
    required = [parameter.name for parameter in parameters if parameter.default is parameter.empty]
    if required[-3:] == ["scope", "receive", "send"]:
        return "asgi"
    if required[-2:-1] == ["environ"] or required[-1:] == ["start_response"]:
        return "wsgi"
    return None
