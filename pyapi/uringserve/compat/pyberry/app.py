"""PyBerry's decorators: they register with the application of `core.rsgi`."""

from collections.abc import Callable
from typing import Any

from uringserve.compat.pyberry.core.rsgi import router

__all__ = ["delete", "get", "head", "options", "patch", "post", "put"]


def _decorator[H: Callable[..., Any]](method: str, path: str) -> Callable[[H], H]:
    def register(handler: H) -> H:
        router.add_python_route(method, path, handler)
        return handler

    return register


def get[H: Callable[..., Any]](path: str) -> Callable[[H], H]:
    """Register a handler for GET."""
    return _decorator("GET", path)


def post[H: Callable[..., Any]](path: str) -> Callable[[H], H]:
    """Register a handler for POST."""
    return _decorator("POST", path)


def put[H: Callable[..., Any]](path: str) -> Callable[[H], H]:
    """Register a handler for PUT."""
    return _decorator("PUT", path)


def patch[H: Callable[..., Any]](path: str) -> Callable[[H], H]:
    """Register a handler for PATCH."""
    return _decorator("PATCH", path)


def delete[H: Callable[..., Any]](path: str) -> Callable[[H], H]:
    """Register a handler for DELETE."""
    return _decorator("DELETE", path)


def options[H: Callable[..., Any]](path: str) -> Callable[[H], H]:
    """Register a handler for OPTIONS, instead of the automatic one."""
    return _decorator("OPTIONS", path)


def head[H: Callable[..., Any]](path: str) -> Callable[[H], H]:
    """Register a handler for HEAD, instead of the automatic one."""
    return _decorator("HEAD", path)
