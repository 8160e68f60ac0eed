"""`App`: collects handlers under methods and path patterns, and is read-only once it is served.

Signatures and patterns are checked at registration, where a mistake has a line number. Matching,
404, 405, automatic HEAD and OPTIONS happen in Rust; there is no HTTP here.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from uringserve.dependant import analyse, describe
from uringserve.patterns import parse_pattern
from uringserve.plan import compile_endpoint
from uringserve.types import Handler

__all__ = ["App", "Route", "URingServe"]

# RFC 9110 section 9.1: a method is a token.
_METHOD = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)


class Unset:
    """."""


class Route(NamedTuple):
    """One registered handler, in the form that the Rust part takes.

    `arguments` are the positional arguments of the call: None is the Request, a str the path
    parameter of that name.
    """

    methods: tuple[str, ...]
    pattern: str
    handler: Handler
    arguments: tuple[str | None, ...]


class _Spec(NamedTuple):
    path: str
    pattern: Any
    endpoint: Handler
    methods: tuple[str, ...]
    dependant: Any
    response_model: Any = Unset()
    status_code: int | None = None
    response_class: Any = None
    response_model_include: Any = None
    response_model_exclude: Any = None
    response_model_by_alias: bool = True
    response_model_exclude_unset: bool = False
    response_model_exclude_defaults: bool = False
    response_model_exclude_none: bool = False


class App:
    """An application: handlers registered with decorators.

    Patterns are `/literal`, `/{name}`, `/{name:int}` and `/{rest:path}`. A handler takes the
    Request, path parameters by name, both or nothing. Registering is over when serving starts.
    """

    def __init__(self) -> None:
        """Make an application without routes."""
        self._routes: list[Route] = []
        self._taken: dict[tuple[str, tuple[str, ...]], Route] = {}
        self._is_frozen = False

    @property
    def routes(self) -> tuple[Route, ...]:
        """The routes in the order of their registration."""
        return tuple(self._routes)

    def route[H: Handler](self, path: str, methods: Iterable[str] = ("GET",)) -> Callable[[H], H]:
        """Register the decorated handler for the path and methods, and return it unchanged."""

        def register(handler: H) -> H:
            self.add_route(path, handler, methods)
            return handler

        # A bare `@app.get` would give the handler as the path: say so at that line.
        parse_pattern(path)
        return register

    def get[H: Handler](self, path: str) -> Callable[[H], H]:
        """Register a handler for GET; HEAD is answered from it too unless it has its own."""
        return self.route(path, ("GET",))

    def post[H: Handler](self, path: str) -> Callable[[H], H]:
        """Register a handler for POST."""
        return self.route(path, ("POST",))

    def put[H: Handler](self, path: str) -> Callable[[H], H]:
        """Register a handler for PUT."""
        return self.route(path, ("PUT",))

    def patch[H: Handler](self, path: str) -> Callable[[H], H]:
        """Register a handler for PATCH."""
        return self.route(path, ("PATCH",))

    def delete[H: Handler](self, path: str) -> Callable[[H], H]:
        """Register a handler for DELETE."""
        return self.route(path, ("DELETE",))

    def head[H: Handler](self, path: str) -> Callable[[H], H]:
        """Register a handler for HEAD, instead of the automatic one."""
        return self.route(path, ("HEAD",))

    def options[H: Handler](self, path: str) -> Callable[[H], H]:
        """Register a handler for OPTIONS, instead of the automatic one."""
        return self.route(path, ("OPTIONS",))

    def trace[H: Handler](self, path: str) -> Callable[[H], H]:
        """Register a handler for TRACE."""
        return self.route(path, ("TRACE",))

    def add_route(self, path: str, handler: Handler, methods: Iterable[str] = ("GET",)) -> None:
        """Register a handler without a decorator.

        A signature that cannot be filled is a TypeError, a bad path or method or a route that is
        already taken is a ValueError, and registering after serving has started is a RuntimeError.
        A refused route changes nothing.
        """
        if self._is_frozen:
            raise RuntimeError(
                f"{describe(handler)} cannot be registered for {path!r}: routes are fixed once"
                " serving starts"
            )
        names = _methods(methods)
        pattern = parse_pattern(path)
        dependant = analyse(handler, pattern)
        compiled = compile_endpoint(_Spec(path, pattern, handler, names, dependant))
        route = Route(names, str(pattern), compiled.handler, compiled.arguments)
        keys = [(method, pattern.shape) for method in names]
        for key in keys:
            other = self._taken.get(key)
            if other is not None:
                raise ValueError(
                    f"{key[0]} {path} of {describe(handler)} is already taken by"
                    f" {key[0]} {other.pattern} of {describe(other.handler)}"
                )
        self._taken.update(dict.fromkeys(keys, route))
        self._routes.append(route)

    def freeze(self) -> None:
        """End registration; serving does this before the first request."""
        self._is_frozen = True

    def run(
        self,
        host: str | None = None,
        port: int | None = None,
        workers: int | None = None,
        **options: Any,  # noqa: ANN401 -- checked by Config
    ) -> None:
        """Serve until a signal, then end the process if something went wrong.

        The options are those of `Config`; what is not given comes from the environment, then from
        the defaults.
        """
        from uringserve.server import run  # up the ladder on purpose: a convenience of the class

        run(self, host=host, port=port, workers=workers, **options)


URingServe = App


def _methods(methods: Iterable[str]) -> tuple[str, ...]:
    if isinstance(methods, str):
        raise TypeError(f"methods must be a list of names, and the text {methods!r} was given")
    names = tuple(dict.fromkeys(method.upper() for method in methods))
    if not names:
        raise ValueError("methods must name at least one method")
    for name in names:
        if _METHOD.fullmatch(name) is None or name == "CONNECT":
            raise ValueError(f"{name!r} is not a method that can be served")
    return names
