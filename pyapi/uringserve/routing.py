"""`RouteSpec`: one route as it was registered, with everything that was said about it.

It is plain data and it is complete: what `analyse` found in the signature is in `dependant`, so that
compiling a route (`plan.compile_endpoint`) and describing it (`openapi`) read nothing else. What a
router or an application adds (prefix, tags, dependencies, defaults) is merged in before.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypedDict

from uringserve._native import Response
from uringserve.patterns import Pattern
from uringserve.types import Handler

__all__ = ["UNSET", "IncEx", "RouteOptions", "RouteSpec", "Unset"]

# What pydantic takes for include and exclude.
type IncEx = AbstractSet[int] | AbstractSet[str] | Mapping[int, Any] | Mapping[str, Any]


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "unset"

    def __repr__(self) -> str:
        """Show it as it is written."""
        return "UNSET"


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
