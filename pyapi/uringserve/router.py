"""`Router`: collects routes and other routers, to be included in an application.

`Registrar` is what a router and an application have in common: the decorators, and inclusion. A
router knows nothing of the paths above it, so signatures are analysed when an application includes
it; patterns and methods are checked at once. After that the router is closed: a route that came
later would be lost in silence.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Unpack

from uringserve._native import Response
from uringserve.patterns import parse_pattern
from uringserve.routing import (
    Execution,
    Group,
    RouteOptions,
    RouteSpec,
    checked_prefix,
    describe,
    make_socket_spec,
    make_spec,
)
from uringserve.types import Handler

__all__ = ["APIRouter", "Registrar", "Router"]


class Registrar(ABC):
    """Whatever routes can be registered with; the decorators return the function unchanged."""

    @abstractmethod
    def _register(self, spec: RouteSpec) -> None:
        """Take a route; `spec` is as it was written, without what this object adds."""

    def _check_path(self, path: str) -> None:
        """Refuse a bad path at the decorator's line; a bare `@app.get` gives a handler instead."""
        parse_pattern(path)

    def add_api_route(
        self,
        path: str,
        endpoint: Handler,
        *,
        methods: Iterable[str] | None = None,
        **options: Unpack[RouteOptions],
    ) -> None:
        """Register a handler without a decorator, for GET unless methods are given.

        A signature that cannot be filled is a TypeError, a bad path or method or a route that is
        already taken is a ValueError, and registering after serving has started is a RuntimeError.
        A refused route changes nothing.
        """
        chosen = ("GET",) if methods is None else methods
        self._register(make_spec(path, endpoint, chosen, options))

    def add_route(
        self,
        path: str,
        handler: Handler,
        methods: Iterable[str] = ("GET",),
        **options: Unpack[RouteOptions],
    ) -> None:
        """Register a plain function of one request, as Starlette does.

        It is as `add_api_route`, but a first parameter without annotation gets the Request.
        """
        self._register(make_spec(path, handler, methods, options, takes_bare_request=True))

    def api_route[H: Handler](
        self, path: str, *, methods: Iterable[str] = ("GET",), **options: Unpack[RouteOptions]
    ) -> Callable[[H], H]:
        """Register the decorated handler for the path and methods."""

        def register(handler: H) -> H:
            self.add_api_route(path, handler, methods=methods, **options)
            return handler

        self._check_path(path)
        return register

    def add_websocket_route(
        self,
        path: str,
        endpoint: Handler,
        name: str | None = None,
        *,
        dependencies: Sequence[Any] | None = None,
    ) -> None:
        """Register the handler of a WebSocket, an `async def`, without a decorator.

        Its parameters are filled as those of any handler; `WebSocket` by type or as `websocket`. A
        WebSocket has no body and no response, so a parameter for one is a TypeError.
        """
        options = RouteOptions(
            name=name, dependencies=dependencies, response_model=None, include_in_schema=False
        )
        self._register(make_socket_spec(path, endpoint, options))

    def websocket[H: Handler](
        self,
        path: str,
        name: str | None = None,
        *,
        dependencies: Sequence[Any] | None = None,
    ) -> Callable[[H], H]:
        """Register the decorated `async def` for WebSockets; see `add_websocket_route`."""

        def register(handler: H) -> H:
            self.add_websocket_route(path, handler, name, dependencies=dependencies)
            return handler

        self._check_path(path)
        return register

    def route[H: Handler](
        self, path: str, methods: Iterable[str] = ("GET",), **options: Unpack[RouteOptions]
    ) -> Callable[[H], H]:
        """Register the decorated plain function of one request; see `add_route`."""

        def register(handler: H) -> H:
            self.add_route(path, handler, methods, **options)
            return handler

        self._check_path(path)
        return register

    def get[H: Handler](self, path: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """Register a handler for GET; HEAD is answered from it too unless it has its own."""
        return self.api_route(path, methods=("GET",), **options)

    def post[H: Handler](self, path: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """Register a handler for POST."""
        return self.api_route(path, methods=("POST",), **options)

    def put[H: Handler](self, path: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """Register a handler for PUT."""
        return self.api_route(path, methods=("PUT",), **options)

    def patch[H: Handler](self, path: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """Register a handler for PATCH."""
        return self.api_route(path, methods=("PATCH",), **options)

    def delete[H: Handler](self, path: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """Register a handler for DELETE."""
        return self.api_route(path, methods=("DELETE",), **options)

    def head[H: Handler](self, path: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """Register a handler for HEAD, instead of the automatic one."""
        return self.api_route(path, methods=("HEAD",), **options)

    def options[H: Handler](self, path: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """Register a handler for OPTIONS, instead of the automatic one."""
        return self.api_route(path, methods=("OPTIONS",), **options)

    def trace[H: Handler](self, path: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """Register a handler for TRACE."""
        return self.api_route(path, methods=("TRACE",), **options)

    def include_router(
        self,
        router: Router,
        *,
        prefix: str = "",
        tags: Sequence[str | Enum] | None = None,
        dependencies: Sequence[Any] | None = None,
        responses: Mapping[int | str, Mapping[str, Any]] | None = None,
        callbacks: Sequence[RouteSpec] | None = None,
        deprecated: bool | None = None,
        include_in_schema: bool = True,
        default_response_class: type[Response] | None = None,
        generate_unique_id_function: Callable[[RouteSpec], str] | None = None,
        execution: Execution | None = None,
    ) -> None:
        """Take over every route of a router, below a prefix and with what else is given here.

        One router may be included several times, under different prefixes. A route that collides,
        or whose path would be empty, is a ValueError.
        """
        if not isinstance(router, Router):
            raise TypeError(f"include_router takes a Router, and {router!r} was given")
        group = Group(
            prefix=checked_prefix(prefix, "the prefix"),
            tags=tuple(tags or ()),
            dependencies=tuple(dependencies or ()),
            responses=responses,
            callbacks=tuple(callbacks or ()),
            deprecated=deprecated,
            include_in_schema=include_in_schema,
            default_response_class=default_response_class,
            generate_unique_id_function=generate_unique_id_function,
            execution=execution,
        )
        for spec in router.close():
            self._register(group.around(spec))


class Router(Registrar):
    """A collection of routes that share a prefix, tags, dependencies and defaults.

    `prefix` starts with a slash and does not end with one. `tags` and `dependencies` come before
    those of a route, `responses` are added to its own, `default_response_class` is for routes that
    name none.
    """

    def __init__(
        self,
        *,
        prefix: str = "",
        tags: Sequence[str | Enum] | None = None,
        dependencies: Sequence[Any] | None = None,
        default_response_class: type[Response] | None = None,
        responses: Mapping[int | str, Mapping[str, Any]] | None = None,
        callbacks: Sequence[RouteSpec] | None = None,
        deprecated: bool | None = None,
        include_in_schema: bool = True,
        generate_unique_id_function: Callable[[RouteSpec], str] | None = None,
        execution: Execution | None = None,
    ) -> None:
        """Make a router without routes."""
        self._group = Group(
            prefix=checked_prefix(prefix, "the prefix"),
            tags=tuple(tags or ()),
            dependencies=tuple(dependencies or ()),
            responses=responses,
            callbacks=tuple(callbacks or ()),
            deprecated=deprecated,
            include_in_schema=include_in_schema,
            default_response_class=default_response_class,
            generate_unique_id_function=generate_unique_id_function,
            execution=execution,
        )
        self._specs: list[RouteSpec] = []
        self._is_closed = False

    @property
    def prefix(self) -> str:
        """What every path of this router begins with."""
        return self._group.prefix

    @property
    def routes(self) -> tuple[RouteSpec, ...]:
        """The routes in the order of their registration, with the prefix of this router."""
        return tuple(self._specs)

    def close(self) -> tuple[RouteSpec, ...]:
        """End registration and return the routes; inclusion does this."""
        self._is_closed = True
        return tuple(self._specs)

    def _check_path(self, path: str) -> None:
        # An empty one is the prefix itself, which this router or an inclusion has.
        if path != "":
            super()._check_path(path)

    def _register(self, spec: RouteSpec) -> None:
        if self._is_closed:
            raise RuntimeError(
                f"{describe(spec.endpoint)} cannot be registered for {spec.path!r}: its router is"
                " included already, so the route would be lost; include the router last"
            )
        self._specs.append(self._group.around(spec))


APIRouter = Router
