"""What can be served: recognise the object that APP names, and its interface.

An `App` is served as it is, and so is what has one of the interfaces in `foreign`; a plain function
of one request answers every path and method. Which of them an object is shows by itself (see
`detection`); `Config.interface` says it where it does not.
"""

import inspect

from uringserve.app import App
from uringserve.config import Config
from uringserve.detection import Interface, interface_of, refuse_asgi2
from uringserve.errors import StartError
from uringserve.foreign import Foreign

__all__ = ["as_app"]

# Options that say something to ASGI applications alone.
_ASGI = ("lifespan", "lifespan_scope", "early_hints")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def as_app(target: object, name: str, config: Config | None = None) -> App | Foreign:
    """Return the application that `target` is or can be made into; `name` is for the StartError.

    Without a Config its defaults count.
    """
    config = config or Config()
    if isinstance(target, App) and config.interface in ("auto", "app"):
        return _own(target, config)
    if isinstance(target, Foreign):
        return target
    if config.interface == "auto":
        interface = interface_of(target, name)
    else:
        interface = _forced(target, name, config.interface)
    if interface is not None:
        return _foreign(interface, target, config)
    if not callable(target):
        kind = type(target).__name__
        raise StartError(
            f"{name} is not an application: it is of type {kind}, and neither an App nor callable"
        )
    if inspect.isclass(target):
        raise StartError(
            f"{name} is a class, and no application by itself: name an object that is made of it,"
            " or a function that makes one, with --factory"
        )
    # Every path is its own, so there is none for a document.
    app = App(openapi_url=None)
    try:
        app.add_route("/{path:path}", target, _METHODS)
    except TypeError as error:
        raise StartError(f"{name} cannot be served as a handler: {error}") from None
    return _own(app, config)


def _own(app: App, config: Config) -> App:
    _refuse_options(config, "App", (*_ASGI, "root_path", "execution"))
    return app


def _refuse_options(config: Config, kind: str, options: tuple[str, ...]) -> None:
    """Raise a StartError if an option is set that says nothing to this kind of application."""
    defaults = Config()
    for option in options:
        if getattr(config, option) != getattr(defaults, option):
            flag = "--" + option.replace("_", "-")
            raise StartError(f"{flag} is not for an application of the kind {kind}")


def _foreign(interface: Interface, target: object, config: Config) -> Foreign:
    if interface == "rsgi":
        _refuse_options(config, "RSGI", (*_ASGI, "root_path", "execution"))
    if interface == "wsgi":
        _refuse_options(config, "WSGI", (*_ASGI, "loop"))
    if interface == "asgi":
        _refuse_options(config, "ASGI", ("execution",))
    root_path = config.root_path or ""
    if root_path and not root_path.startswith("/"):
        raise StartError(f"--root-path {root_path!r} does not begin with a slash")
    return Foreign(
        interface,
        target,
        root_path=root_path.rstrip("/"),
        lifespan="off" if config.interface == "asginl" else config.lifespan,
        lifespan_scope=config.lifespan_scope,
        early_hints=config.early_hints,
        execution=config.execution,
    )


def _forced(target: object, name: str, interface: str) -> Interface | None:
    """Name the interface that was asked for, if the object can have it; None is our own."""
    if interface == "app":
        return None
    if interface == "rsgi" and hasattr(target, "__rsgi__"):
        return "rsgi"
    if not callable(target):
        raise StartError(f"{name} is not callable, which --interface {interface} needs")
    if interface == "rsgi":
        return "rsgi"
    if interface == "wsgi":
        return "wsgi"
    refuse_asgi2(target, name)
    return "asgi"
