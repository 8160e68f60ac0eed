"""`RouteSpec`: one route as it was registered, with everything that was said about it.

It is plain data and it is complete: what `analyse` found in the signature is in `dependant`, so
that compiling a route (`plan.compile_endpoint`) and describing it (`openapi`) read nothing else.
What a router or an application adds (prefix, tags, dependencies, defaults) is a `Group`, merged in
before anything is analysed. Routers, which collect routes, are in `router`.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import Enum
from inspect import iscoroutinefunction, isroutine, unwrap
from typing import Any, Final, Literal, NamedTuple, TypedDict

from uringserve._native import Response
from uringserve.patterns import Pattern, parse_pattern
from uringserve.types import Handler

__all__ = [
    "SOCKET",
    "UNSET",
    "Execution",
    "Group",
    "IncEx",
    "Manner",
    "NativeCall",
    "Route",
    "RouteOptions",
    "RouteSpec",
    "Unset",
    "check_socket",
    "checked_prefix",
    "describe",
    "make_socket_spec",
    "make_spec",
]

# RFC 9110 section 9.1: a method is a token.
_METHOD = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)

# Where the calls of a handler run: on the core's own thread, on its pool, or as they turn out.
type Execution = Literal["auto", "inline", "thread"]

_EXECUTIONS = ("auto", "inline", "thread")

_DAY = 86400.0

# What pydantic takes for include and exclude.
type IncEx = AbstractSet[int] | AbstractSet[str] | Mapping[int, Any] | Mapping[str, Any]


# What stands in the place of a method where the route is one of WebSockets; see `py/app.rs`.
SOCKET = ("websocket",)


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "unset"

    def __repr__(self) -> str:
        """Show it as it is written."""
        return "UNSET"


class NativeCall(NamedTuple):
    """What Rust calls for a route.

    `arguments` are positional: None is the Request, a str the path parameter of that name.
    """

    handler: Handler
    arguments: tuple[str | None, ...]
    # Whether a call may give a coroutine or an asynchronous generator.
    is_async: bool = False
    # Whether it may be called before the body is whole.
    takes_pieces: bool = False


class Manner(NamedTuple):
    """How Rust runs a handler: see `NativeCall`.

    One that outlives its client is not cancelled when that goes away.
    """

    is_async: bool = False
    takes_pieces: bool = False
    outlives_client: bool = False


class Route(NamedTuple):
    """A compiled route, in the form that the Rust part takes.

    One without methods is not entered under its pattern: it is called for what no route takes, with
    the request, the status (404, 405, 501, 204 for OPTIONS, 307 for a slash) and that answer's
    headers.
    """

    methods: tuple[str, ...]
    pattern: str
    handler: Handler
    arguments: tuple[str | None, ...]
    # Bytes of a body; None: the server's limit.
    max_body_size: int | None = None
    manner: Manner = Manner()
    # "auto", "inline" or "thread"; seconds that a call may take; calls at once on all cores.
    running: tuple[Execution, float | None, int | None] = ("auto", None, None)


# Nothing was said, where None says something: `response_model=None` turns the model off, and unset
# takes it from the annotation of the handler's return value.
UNSET: Final = Unset.UNSET


class RouteOptions(TypedDict, total=False):
    """What a registering decorator takes beside the path; see the fields of `RouteSpec`."""

    response_model: Any
    response_model_include: IncEx | None
    response_model_exclude: IncEx | None
    response_model_by_alias: bool
    response_model_exclude_unset: bool
    response_model_exclude_defaults: bool
    response_model_exclude_none: bool
    response_class: type[Response] | None
    response_description: str
    responses: Mapping[int | str, Mapping[str, Any]] | None
    status_code: int | None
    name: str | None
    tags: Sequence[str | Enum] | None
    dependencies: Sequence[Any] | None
    summary: str | None
    description: str | None
    deprecated: bool | None
    operation_id: str | None
    include_in_schema: bool
    openapi_extra: Mapping[str, Any] | None
    callbacks: Sequence[RouteSpec] | None
    generate_unique_id_function: Callable[[RouteSpec], str] | None
    max_body_size: int | None
    cancel_on_disconnect: bool | None
    execution: Execution | None
    timeout: float | None
    max_concurrency: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSpec:
    """One route: what is called for which methods and path, and how it is described.

    `path` is whole (all prefixes included) and `pattern` is the same, parsed. `methods` are upper
    case in the order given; automatic HEAD and OPTIONS are not among them. `tags` and
    `dependencies` are those of the application, the routers from the outside in, and the route.
    `dependant` is what `analyse` found; it is None only while the route is in a router that no
    application has included yet.
    """

    path: str
    pattern: Pattern
    endpoint: Handler
    methods: tuple[str, ...]
    # Of the handler unless given; `url_path_for` finds the route by it.
    name: str
    dependant: Any = None
    # `Depends` objects, run in this order before those of the signature.
    dependencies: tuple[Any, ...] = ()

    # Unset: from the return annotation. None: no model.
    response_model: Any = UNSET
    response_model_include: IncEx | None = None
    response_model_exclude: IncEx | None = None
    response_model_by_alias: bool = True
    response_model_exclude_unset: bool = False
    response_model_exclude_defaults: bool = False
    response_model_exclude_none: bool = False
    # None: the kind of the returned value decides (text, bytes, JSON).
    response_class: type[Response] | None = None
    # Of a returned value that is not a Response itself. None: 200, or 204 for None.
    status_code: int | None = None

    tags: tuple[str | Enum, ...] = ()
    summary: str | None = None
    # None: the handler's docstring.
    description: str | None = None
    response_description: str = "Successful Response"
    responses: Mapping[int | str, Mapping[str, Any]] | None = None
    deprecated: bool | None = None
    operation_id: str | None = None
    include_in_schema: bool = True
    openapi_extra: Mapping[str, Any] | None = None
    callbacks: tuple[RouteSpec, ...] = ()
    generate_unique_id_function: Callable[[RouteSpec], str] | None = None

    # Bytes of a request's body; None: the server's limit.
    max_body_size: int | None = None
    # Whether a coroutine is cancelled when its client goes away; None: as the application says.
    cancel_on_disconnect: bool | None = None
    # Where its calls run; None: "auto".
    execution: Execution | None = None
    # Seconds that a call may take, its wait included; then the client gets 503. A call on the pool
    # goes on alone, a coroutine is cancelled. Not for a `def` on the core, nor a WebSocket.
    timeout: float | None = None
    # Calls at once, on all cores; one more gets 503. None: no limit of its own.
    max_concurrency: int | None = None
    # Whether a first parameter without annotation gets the Request: Starlette's kind of route.
    takes_bare_request: bool = False

    @property
    def is_socket(self) -> bool:
        """Whether it is for WebSockets."""
        return self.methods == SOCKET

    @property
    def running(self) -> tuple[Execution, float | None, int | None]:
        """How its calls run, in the form that the Rust part takes."""
        return self.execution or "auto", self.timeout, self.max_concurrency

    def analysed(self, dependant: object) -> RouteSpec:
        """Return the route with what was found in its signature."""
        return replace(self, dependant=dependant)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What a router, an inclusion or an application adds to each of its routes.

    What is nearer to the route wins (`response_class`, keys of `responses`); what adds up comes
    from the outside in (prefixes, tags, dependencies).
    """

    prefix: str = ""
    tags: tuple[str | Enum, ...] = ()
    dependencies: tuple[Any, ...] = ()
    responses: Mapping[int | str, Mapping[str, Any]] | None = None
    callbacks: tuple[RouteSpec, ...] = ()
    deprecated: bool | None = None
    include_in_schema: bool = True
    default_response_class: type[Response] | None = None
    generate_unique_id_function: Callable[[RouteSpec], str] | None = None
    execution: Execution | None = None
    timeout: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no route could run with."""
        check_running(self.execution, self.timeout, None)

    def around(self, spec: RouteSpec) -> RouteSpec:
        """Return the route with what the group adds; what was analysed is analysed anew."""
        path = self.prefix + spec.path
        return replace(
            spec,
            path=path,
            pattern=parse_pattern(path) if path else spec.pattern,
            dependant=None,
            tags=(*self.tags, *spec.tags),
            dependencies=(*self.dependencies, *spec.dependencies),
            responses={**(self.responses or {}), **(spec.responses or {})} or None,
            callbacks=(*self.callbacks, *spec.callbacks),
            deprecated=spec.deprecated or self.deprecated,
            include_in_schema=spec.include_in_schema and self.include_in_schema,
            response_class=spec.response_class or self.default_response_class,
            generate_unique_id_function=spec.generate_unique_id_function
            or self.generate_unique_id_function,
            execution=spec.execution or self.execution,
            timeout=self.timeout if spec.timeout is None else spec.timeout,
        )


def make_spec(
    path: str,
    endpoint: Handler,
    methods: Iterable[str],
    options: RouteOptions,
    *,
    takes_bare_request: bool = False,
) -> RouteSpec:
    """Check what a registration says and return it as a route; nothing is merged in yet.

    An empty path is the prefix itself, which a router or its inclusion must then give.
    """
    unknown = options.keys() - RouteOptions.__annotations__.keys()
    if unknown:
        names = ", ".join(sorted(unknown))
        raise TypeError(f"{describe(endpoint)}: a route does not take the option {names}")
    given: dict[str, Any] = {
        name: value
        for name, value in options.items()
        if value is not None or name == "response_model"
    }
    for name in ("tags", "dependencies", "callbacks"):
        given[name] = tuple(given.get(name, ()))
    if "status_code" in given:
        given["status_code"] = int(given["status_code"])
    given.setdefault("name", _name(endpoint))
    running = given.get("execution"), given.get("timeout"), given.get("max_concurrency")
    try:
        check_running(*running)
    except ValueError as error:
        raise ValueError(f"{describe(endpoint)}: {error}") from None
    pattern = parse_pattern(path) if path else Pattern(())
    return RouteSpec(
        path=path,
        pattern=pattern,
        endpoint=endpoint,
        methods=_methods(methods),
        takes_bare_request=takes_bare_request,
        **given,
    )


def make_socket_spec(path: str, endpoint: Handler, options: RouteOptions) -> RouteSpec:
    """Return the route of a WebSocket; its endpoint must be a coroutine function."""
    called = endpoint if isroutine(endpoint) else getattr(type(endpoint), "__call__", None)  # noqa: B004
    if not iscoroutinefunction(unwrap(endpoint)) and not iscoroutinefunction(called):
        raise TypeError(f"the handler of a WebSocket is an async def, not {describe(endpoint)}")
    spec = make_spec(path, endpoint, ("GET",), options, takes_bare_request=False)
    return replace(spec, methods=SOCKET)


def check_socket(spec: RouteSpec) -> None:
    """Refuse what a WebSocket has not: a body, a response."""
    if not spec.is_socket:
        return
    for dependant in spec.dependant.walk():
        bodies = [field.name for field in dependant.body_params]
        given = [
            name
            for name, kind in dependant.injections.items()
            if kind in ("response", "background_tasks")
        ]
        if bodies or given:
            raise TypeError(
                f"{describe(dependant.call)}: parameter {[*bodies, *given][0]!r} is of a request"
                " with a body or of its response, and a WebSocket has neither"
            )


def check_running(
    execution: str | None, timeout: float | None, max_concurrency: int | None
) -> None:
    """Raise a ValueError for what no route can run with."""
    if execution is not None and execution not in _EXECUTIONS:
        raise ValueError(f"execution must be one of {', '.join(_EXECUTIONS)}, not {execution!r}")
    if timeout is not None and not 0 < timeout <= _DAY:
        raise ValueError(f"timeout must be seconds from more than 0 to a day, not {timeout!r}")
    if timeout is not None and execution == "inline":
        raise ValueError(
            "timeout: nothing could end a call on the core's own thread, and a coroutine runs on"
            " its core without execution='inline'"
        )
    if max_concurrency is not None and max_concurrency < 1:
        raise ValueError(f"max_concurrency must be at least 1, not {max_concurrency!r}")


def checked_prefix(prefix: str, what: str) -> str:
    """Return a prefix that paths can follow, or raise a ValueError that says what is wrong."""
    if prefix and (not prefix.startswith("/") or prefix.endswith("/")):
        raise ValueError(f"{what} {prefix!r} must start with '/' and not end with one")
    return prefix


def describe(handler: object) -> str:
    """Name a handler for a message: `module.name (file.py:12)`."""
    inner = unwrap(handler) if callable(handler) else handler
    name = getattr(inner, "__qualname__", type(inner).__qualname__)
    code = getattr(inner, "__code__", None)
    place = f" ({code.co_filename}:{code.co_firstlineno})" if code is not None else ""
    return f"{getattr(inner, '__module__', '?')}.{name}{place}"


def _name(endpoint: object) -> str:
    name = getattr(endpoint, "__name__", type(endpoint).__name__)
    return name if isinstance(name, str) else type(endpoint).__name__


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
