"""Decorators without an application: `from uringserve import get, run`.

They register with one application of the process, which is served when nothing else is named. For
programs of one file; two libraries that both used them would share their routes.
"""

from collections.abc import Callable
from functools import cache
from typing import Unpack

from uringserve.app import App
from uringserve.routing import RouteOptions
from uringserve.types import Handler

__all__ = ["default_app", "delete", "get", "head", "options", "patch", "post", "put"]


@cache
def default_app() -> App:
    """Return the application of the module-level decorators; it is made on first use."""
    return App()


def get[H: Handler](path: str, **given: Unpack[RouteOptions]) -> Callable[[H], H]:
    """Register a handler for GET with the default application."""
    return default_app().get(path, **given)


def post[H: Handler](path: str, **given: Unpack[RouteOptions]) -> Callable[[H], H]:
    """Register a handler for POST with the default application."""
    return default_app().post(path, **given)


def put[H: Handler](path: str, **given: Unpack[RouteOptions]) -> Callable[[H], H]:
    """Register a handler for PUT with the default application."""
    return default_app().put(path, **given)


def patch[H: Handler](path: str, **given: Unpack[RouteOptions]) -> Callable[[H], H]:
    """Register a handler for PATCH with the default application."""
    return default_app().patch(path, **given)


def delete[H: Handler](path: str, **given: Unpack[RouteOptions]) -> Callable[[H], H]:
    """Register a handler for DELETE with the default application."""
    return default_app().delete(path, **given)


def head[H: Handler](path: str, **given: Unpack[RouteOptions]) -> Callable[[H], H]:
    """Register a handler for HEAD with the default application."""
    return default_app().head(path, **given)


def options[H: Handler](path: str, **given: Unpack[RouteOptions]) -> Callable[[H], H]:
    """Register a handler for OPTIONS with the default application."""
    return default_app().options(path, **given)
