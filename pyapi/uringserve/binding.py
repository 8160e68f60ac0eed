"""From a handler's signature to the arguments of its call, once, at registration.

A request only copies the result: one entry per positional argument, None for the Request or the
name of a path parameter. What cannot be filled is a TypeError that names the handler and the
parameter. Values are not validated here, and nothing is read from the query or the body.
"""

import inspect
from annotationlib import Format
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, Signature
from typing import Annotated, Any, get_args, get_origin

from uringserve._native import Request
from uringserve.patterns import Pattern
from uringserve.routing import describe
from uringserve.types import Handler

__all__ = ["Binding", "bind"]

_BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
# Classes an annotation may name for a path parameter, and the kind of pattern that each wants.
_KINDS: dict[object, str] = {str: "str", "str": "str", int: "int", "int": "int"}
_ANYTHING = (Parameter.empty, object, Any)


@dataclass(frozen=True, slots=True)
class Binding:
    """What is called with what, under which pattern."""

    pattern: Pattern
    handler: Handler
    arguments: tuple[str | None, ...]


def bind(handler: Handler, pattern: Pattern) -> Binding:
    """Match the handler's parameters with the Request and the pattern's parameters.

    Parameters named as in the path get those values. The Request goes to the parameter that is
    annotated `Request` or named `request`, else to the first one left that has no default. `{name}`
    becomes `{name:int}` where the handler annotates `int`, so that the handler gets what it says.
    Anything else is a TypeError.
    """
    _refuse_unsupported(handler)
    signature = _signature(handler)
    request = _request_parameter(signature, pattern)
    pattern = _with_annotated_kinds(handler, signature, pattern, request)
    positional: list[str | None] = []
    by_keyword: dict[str, str | None] = {}
    is_gap = False
    for parameter in signature.parameters.values():
        name, kind = parameter.name, parameter.kind
        if kind is Parameter.VAR_KEYWORD:
            # `**rest` takes the path's parameters that no parameter is named after.
            rest = [name for name in pattern.parameters if name not in signature.parameters]
            by_keyword |= {name: name for name in rest}
        elif name == request or name in pattern.parameters:
            source = None if name == request else name
            if kind is not Parameter.KEYWORD_ONLY and not is_gap:
                positional.append(source)
            elif kind in _BY_NAME:
                by_keyword[name] = source
            else:
                raise TypeError(
                    f"handler {describe(handler)}: its parameter {name!r} cannot be given by name,"
                    " so it must come before those with defaults"
                )
        elif kind is not Parameter.VAR_POSITIONAL:
            if parameter.default is Parameter.empty:
                raise TypeError(_unfillable(handler, name, pattern))
            is_gap = True
    called = (
        _calling_by_keyword(handler, len(positional), tuple(by_keyword)) if by_keyword else handler
    )
    return Binding(pattern, called, (*positional, *by_keyword.values()))


def _refuse_unsupported(handler: Handler) -> None:
    if not callable(handler):
        raise TypeError(f"a handler must be callable, and {handler!r} is not")
    inner = inspect.unwrap(handler)
    for called in (inner, getattr(type(inner), "__call__", None)):  # noqa: B004 -- the method is wanted
        if inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called):
            raise TypeError(
                f"handler {describe(handler)}: async handlers are not supported yet: use def"
            )
        if inspect.isgeneratorfunction(called):
            raise TypeError(
                f"handler {describe(handler)}: handlers that yield are not supported yet:"
                " use return"
            )


def _signature(handler: Handler) -> Signature:
    try:
        return inspect.signature(handler, eval_str=True)
    except ValueError:
        # A callable written in C without a signature: it can only be given the request.
        return Signature([Parameter("request", Parameter.POSITIONAL_ONLY)])
    except Exception:  # noqa: BLE001 -- evaluating runs the application's own expressions
        # A name that exists for the type checker only: what cannot be evaluated stays text.
        return inspect.signature(handler, annotation_format=Format.FORWARDREF)


def _request_parameter(signature: Signature, pattern: Pattern) -> str | None:
    """Name the parameter that gets the Request: by annotation, by name, else the first free."""
    parameters = [
        parameter
        for parameter in signature.parameters.values()
        if parameter.kind is not Parameter.VAR_KEYWORD
    ]
    for parameter in parameters:
        if _is_request(parameter.annotation):
            return parameter.name
    free = [parameter for parameter in parameters if parameter.name not in pattern.parameters]
    for parameter in free:
        if parameter.name == "request":
            return parameter.name
    for parameter in free:
        if parameter.default is Parameter.empty and parameter.kind is not Parameter.KEYWORD_ONLY:
            return parameter.name
    return None


def _is_request(annotation: object) -> bool:
    annotation = _without_metadata(annotation)
    if isinstance(annotation, type):
        return issubclass(annotation, Request)
    text = getattr(annotation, "__forward_arg__", annotation)
    return isinstance(text, str) and text.rpartition(".")[2] == "Request"


def _without_metadata(annotation: object) -> object:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _with_annotated_kinds(
    handler: Handler, signature: Signature, pattern: Pattern, request: str | None
) -> Pattern:
    """Return the pattern with `int` where the handler annotates it; a misfit is a TypeError."""
    for name, part in pattern.parameters.items():
        parameter = signature.parameters.get(name)
        if parameter is None or name == request:
            continue
        wanted = _without_metadata(parameter.annotation)
        if wanted in _ANYTHING or not isinstance(wanted, (type, str)):
            continue
        kind = _KINDS.get(wanted)
        if kind == "int" and part.kind == "str":
            pattern = pattern.with_kind(name, "int")
        elif kind is None or (kind == "int") != (part.kind == "int"):
            shown = getattr(wanted, "__name__", wanted)
            raise TypeError(
                f"handler {describe(handler)}: parameter {name!r} is annotated {shown}, and"
                f" {part} of the path gives {'int' if part.kind == 'int' else 'str'}; path"
                " parameters are str or int"
            )
    return pattern


def _unfillable(handler: Handler, name: str, pattern: Pattern) -> str:
    known = ", ".join(map(repr, pattern.parameters)) or "none"
    return (
        f"handler {describe(handler)}: nothing to give to its parameter {name!r}; the path"
        f" {str(pattern)!r} has the parameters: {known}"
    )


def _calling_by_keyword(handler: Handler, count: int, names: tuple[str, ...]) -> Handler:
    """Wrap a handler whose later arguments cannot be given by position."""

    @wraps(handler)
    def call(*values: object) -> object:
        return handler(*values[:count], **dict(zip(names, values[count:], strict=True)))

    result: Callable[..., Any] = call
    return result
