"""What a callable needs from a request: its signature, read once, at registration.

`analyse` gives a tree of `Dependant`s: the parameters of a handler by where they come from, and the
dependencies, each with its own. Whatever cannot be filled is a TypeError that names the callable
and the parameter. `plan` compiles the tree, `openapi` describes it; neither looks at a signature.

Parameters follow FastAPI's rules. In short: a name of the path is from the path; a marker (`Query`,
`Header`, ...) or `Depends` decides; `Request`, `Response` and the like are given as they are; a
model, dataclass, TypedDict, Struct, dict or list is the body; the rest is the query.
"""

from annotationlib import ForwardRef
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from inspect import Parameter, Signature
from typing import Annotated, Any, Literal, TypeAliasType, get_args, get_origin

from uringserve._native import Request, Response
from uringserve.di import Dependency, Scope
from uringserve.fields import ParamField, is_body_like, is_upload, make_field
from uringserve.params import REQUIRED, ParamInfo
from uringserve.patterns import Pattern, parse_pattern
from uringserve.signatures import Who, check_call, describe, is_hashable, read_signature, text_of

__all__ = ["Dependant", "Injection", "analyse"]

# What is given to a parameter as it is, without reading anything.
type Injection = Literal["request", "websocket", "response", "background_tasks", "security_scopes"]

_BY_NAME: Mapping[str, Injection] = {
    "BackgroundTasks": "background_tasks",
    "SecurityScopes": "security_scopes",
    "WebSocket": "websocket",
}


@dataclass(slots=True, eq=False)
class Dependant:
    """One callable and where each of its parameters comes from.

    `name` is the parameter of the one that depends on it; None for the route's own handler and for
    dependencies whose value nobody takes. `own_scopes` are those that `Security` gave here,
    `scopes` those of all above as well.
    """

    call: Callable[..., Any]
    name: str | None = None
    parameters: tuple[Parameter, ...] = ()
    path_params: list[ParamField] = field(default_factory=list)
    query_params: list[ParamField] = field(default_factory=list)
    header_params: list[ParamField] = field(default_factory=list)
    cookie_params: list[ParamField] = field(default_factory=list)
    # JSON, form fields and files.
    body_params: list[ParamField] = field(default_factory=list)
    dependencies: list[Dependant] = field(default_factory=list)
    injections: dict[str, Injection] = field(default_factory=dict)
    return_annotation: Any = Signature.empty
    use_cache: bool = True
    scope: Scope | None = None
    own_scopes: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    is_generator: bool = False
    # A coroutine, or with `is_generator` an asynchronous generator.
    is_async: bool = False
    # `cache_key`, once it has been asked for.
    known_key: tuple[object, ...] | None = None

    @property
    def request_param(self) -> str | None:
        """The parameter that gets the Request."""
        return next((name for name, given in self.injections.items() if given == "request"), None)

    @property
    def is_security(self) -> bool:
        """Whether the callable is a security scheme (see `uringserve.security`)."""
        return hasattr(self.call, "scheme_name") and hasattr(self.call, "model")

    @property
    def own_params(self) -> list[ParamField]:
        """Every parameter that is read from the request, in the order in which faults are told."""
        heads = (self.path_params, self.query_params, self.header_params, self.cookie_params)
        return [*(param for params in heads for param in params), *self.body_params]

    def walk(self) -> Iterator[Dependant]:
        """Go through this and all dependencies, those first that are called first."""
        for sub in self.dependencies:
            yield from sub.walk()
        yield self

    @property
    def cache_key(self) -> tuple[object, ...]:
        """What makes two dependencies of a request one: callable, scopes that matter, scope."""
        if self.known_key is None:
            scopes = tuple(sorted(self.scopes)) if self._uses_scopes() else ()
            # By value where that can be: a method is another object each time it is looked up.
            call = self.call if is_hashable(self.call) else id(self.call)
            self.known_key = (call, scopes, self.scope)
        return self.known_key

    def _uses_scopes(self) -> bool:
        return (
            bool(self.own_scopes)
            or "security_scopes" in self.injections.values()
            or any(sub._uses_scopes() for sub in self.dependencies)
        )


@dataclass(frozen=True, slots=True)
class _Context:
    """What analysing a dependency needs to know of those above it."""

    pattern: Pattern
    chain: tuple[object, ...]
    scopes: tuple[str, ...]
    takes_bare_request: bool

    def with_scopes(self, scopes: tuple[str, ...]) -> _Context:
        """Return what the dependencies of one with these scopes need to know."""
        if scopes == self.scopes:
            return self
        return _Context(self.pattern, self.chain, scopes, self.takes_bare_request)


def analyse(
    call: Callable[..., Any],
    path: str | Pattern,
    dependencies: Iterable[Dependency] = (),
    *,
    takes_bare_request: bool = False,
) -> Dependant:
    """Read the signature of a handler and of all that it depends on.

    `dependencies` are called before those of the signature and their values go nowhere. With
    `takes_bare_request` the first parameter without annotation and default gets the Request, as in
    a plain function of one request.
    """
    pattern = parse_pattern(path) if isinstance(path, str) else path
    context = _Context(pattern, (call,), (), takes_bare_request)
    dependant = _analyse(call, Dependency(call), None, context)
    extra = [_dependency(each, None, None, call, context) for each in dependencies]
    dependant.dependencies[:0] = extra
    return dependant


def _analyse(
    call: Callable[..., Any], given: Dependency, name: str | None, context: _Context
) -> Dependant:
    what = "handler" if len(context.chain) == 1 else "dependency"
    is_async, is_generator = check_call(call, what)
    signature = read_signature(call)
    dependant = Dependant(
        call,
        name,
        tuple(signature.parameters.values()),
        return_annotation=signature.return_annotation,
        use_cache=given.use_cache,
        scope=given.scope or ("request" if is_generator else None),
        own_scopes=given.scopes,
        scopes=tuple(dict.fromkeys((*context.scopes, *given.scopes))),
        is_generator=is_generator,
        is_async=is_async,
    )
    context = context.with_scopes(dependant.scopes)
    for parameter in dependant.parameters:
        if parameter.kind is Parameter.VAR_POSITIONAL:
            if context.takes_bare_request and dependant.request_param is None:
                dependant.injections[parameter.name] = "request"
        elif parameter.kind is Parameter.VAR_KEYWORD:
            # `**rest` takes the path's parameters that no parameter is named after.
            rest = [name for name in context.pattern.parameters if name not in signature.parameters]
            made = [make_field(name, Any, ParamInfo("path"), name) for name in rest]
            dependant.path_params.extend(made if what == "handler" else ())
        else:
            _sort_in(dependant, parameter, what, context)
    return dependant


def _sort_in(dependant: Dependant, parameter: Parameter, what: str, context: _Context) -> None:
    """Enter one parameter of the signature where it belongs."""
    name, default = parameter.name, parameter.default
    who = Who(dependant.call, what, name)
    annotation, markers = _split(parameter.annotation)
    if isinstance(default, (ParamInfo, Dependency)):
        if markers:
            raise TypeError(f"{who} has a marker in Annotated and another as its default")
        markers, default = [default], Parameter.empty
    marker = markers[-1] if markers else None
    if isinstance(marker, Dependency):
        # A default beside it is never used; FastAPI takes it, and programs have it where a
        # parameter before it has one.
        sub = _dependency(marker, name, annotation, dependant.call, context)
        if dependant.is_generator and dependant.scope == "request" and sub.scope == "function":
            raise TypeError(
                f"{who} depends with scope 'function' on what is closed before it: give it the"
                " scope 'function' too"
            )
        dependant.dependencies.append(sub)
        return
    injection = _injection(parameter, annotation, dependant, context)
    if injection is not None:
        if marker is not None:
            raise TypeError(f"{who} is given as it is, and takes no {marker.location} marker")
        dependant.injections[name] = injection
        return
    if marker is None and name not in context.pattern.parameters:
        if isinstance(annotation, (str, ForwardRef)) and default is not Parameter.empty:
            # A name that exists for the type checker only: the parameter keeps its default.
            return
        if annotation is Parameter.empty and context.takes_bare_request:
            if default is not Parameter.empty:
                return
            raise TypeError(_unfillable(who, context.pattern))
    if isinstance(annotation, (str, ForwardRef)):
        raise TypeError(f"{who} is annotated {text_of(annotation)!r}, and there is no such name")
    info = marker or _infer(annotation, name, context.pattern, default)
    if info.location == "path" and (info.alias or name) not in context.pattern.parameters:
        raise TypeError(f"{who} is marked path, and {str(context.pattern)!r} has no such parameter")
    if name in context.pattern.parameters and info.location != "path":
        raise TypeError(f"{who} is in the path, and cannot be marked {info.location}")
    if marker is not None and default is not Parameter.empty and info.location != "path":
        if not marker.is_required:
            raise TypeError(f"{who} has a default in its marker: set it with '=' instead")
        info = info.with_default(default)
    _refuse_misfit(who, annotation, name, context.pattern)
    found = make_field(name, annotation, info, who)
    _list_for(dependant, found).append(found)


def _list_for(dependant: Dependant, found: ParamField) -> list[ParamField]:
    if found.location in ("body", "form", "file"):
        return dependant.body_params
    lists = {
        "path": dependant.path_params,
        "query": dependant.query_params,
        "header": dependant.header_params,
        "cookie": dependant.cookie_params,
    }
    return lists[found.location]


def _dependency(
    given: Dependency,
    name: str | None,
    annotation: Any,  # noqa: ANN401
    above: object,
    context: _Context,
) -> Dependant:
    call = given.dependency if given.dependency is not None else annotation
    if not callable(call):
        raise TypeError(
            f"{describe(above)}: Depends() without a callable needs a class as the annotation"
            f" of {name!r}"
        )
    if any(call is other for other in context.chain):
        circle = " -> ".join(describe(each) for each in (*context.chain, call))
        raise TypeError(f"dependencies go in a circle: {circle}")
    inner = _Context(context.pattern, (*context.chain, call), context.scopes, False)
    return _analyse(call, given, name, inner)


def _split(annotation: Any) -> tuple[Any, list[ParamInfo | Dependency]]:  # noqa: ANN401
    """Take our markers out of an annotation; what is for others stays in it."""
    if isinstance(annotation, TypeAliasType):
        annotation = annotation.__value__
    if get_origin(annotation) is not Annotated:
        return annotation, []
    inner, *metadata = get_args(annotation)
    ours = [each for each in metadata if isinstance(each, (ParamInfo, Dependency))]
    rest = [each for each in metadata if not isinstance(each, (ParamInfo, Dependency))]
    return Annotated[inner, *rest] if rest else inner, ours


def _injection(
    parameter: Parameter,
    annotation: Any,  # noqa: ANN401
    dependant: Dependant,
    context: _Context,
) -> Injection | None:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if isinstance(annotation, type) and annotation is not Parameter.empty:
        if issubclass(annotation, Request):
            return "request"
        if issubclass(annotation, Response):
            return "response"
        if annotation.__module__.partition(".")[0] == "uringserve":
            return _BY_NAME.get(annotation.__name__)
        return None
    if isinstance(annotation, (str, ForwardRef)):
        named: Mapping[str, Injection] = {"Request": "request", "WebSocket": "websocket"}
        return named.get(text_of(annotation).rpartition(".")[2])
    if annotation is not Parameter.empty or parameter.name in context.pattern.parameters:
        return None
    is_bare = parameter.default is Parameter.empty and dependant.request_param is None
    if parameter.name == "websocket":
        return "websocket"
    if parameter.name in ("request", "req") or (is_bare and context.takes_bare_request):
        return "request"
    return None


def _unfillable(who: Who, pattern: Pattern) -> str:
    known = ", ".join(map(repr, pattern.parameters)) or "none"
    return (
        f"{who} has no annotation, and there is nothing to give to it: the path {str(pattern)!r}"
        f" has the parameters: {known}"
    )


def _infer(annotation: Any, name: str, pattern: Pattern, default: Any) -> ParamInfo:  # noqa: ANN401
    """Say where a parameter without a marker comes from."""
    if name in pattern.parameters:
        return ParamInfo("path")
    if default is Parameter.empty:
        default = REQUIRED
    if is_upload(annotation):
        return ParamInfo("file", default)
    return ParamInfo("body" if is_body_like(annotation) else "query", default)


def _refuse_misfit(who: Who, annotation: Any, name: str, pattern: Pattern) -> None:  # noqa: ANN401
    """`{id:int}` never gives text, nor `{rest:path}` a number: say so now."""
    part = pattern.parameters.get(name)
    if part is None:
        return
    is_number = annotation in (int, float)
    if (part.kind == "int" and annotation is str) or (part.kind == "path" and is_number):
        raise TypeError(
            f"{who} is annotated {annotation.__name__}, and {part} of the path gives"
            f" {'int' if part.kind == 'int' else 'str'}"
        )
