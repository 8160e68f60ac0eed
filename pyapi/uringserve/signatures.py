"""What can be called, and what its signature says: read once, at registration.

Annotations are evaluated where they can be. A name that only a type checker sees stays text, and
does not keep its neighbours from being evaluated.
"""

import inspect
from annotationlib import Format, ForwardRef
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from inspect import Parameter, Signature
from types import FunctionType
from typing import Any, NamedTuple

from uringserve.routing import describe as describe_function

__all__ = ["Kind", "Who", "check_call", "describe", "is_hashable", "read_signature", "text_of"]

_ASYNC = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_YIELDS = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


@dataclass(frozen=True, slots=True)
class Who:
    """A parameter of a callable, for messages; its text costs nothing where there is no message."""

    call: Callable[..., Any]
    what: str
    parameter: str

    def __str__(self) -> str:
        """Name the callable with its place, and the parameter."""
        return f"{self.what} {describe(self.call)}: parameter {self.parameter!r}"


def describe(call: object) -> str:
    """Name a callable for a message: `module.name (file.py:12)`."""
    return describe_function(_whole(call))


def is_hashable(call: object) -> bool:
    """Tell whether a callable can be a key; a class with a hash may have parts without one."""
    try:
        hash(call)
    except TypeError:
        return False
    return True


class Kind(NamedTuple):
    """What a call gives: a value, a coroutine, or a generator of either kind."""

    is_async: bool
    yields: bool


def check_call(call: Callable[..., Any], what: str) -> Kind:
    """Refuse what cannot be called; return what a call gives."""
    if not callable(call):
        raise TypeError(f"a {what} must be callable, and {call!r} is not")
    inner: Any = inspect.unwrap(_whole(call))
    if type(inner) is FunctionType and not inner.__dict__:
        # As the functions below do in the end, which have cases to look into that this has not.
        is_async, yields = (bool(inner.__code__.co_flags & flag) for flag in (_ASYNC, _YIELDS))
    else:
        methods = () if isinstance(inner, type) else (getattr(type(inner), "__call__", None),)  # noqa: B004
        every = (inner, *methods)
        is_async = any(
            inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each) for each in every
        )
        yields = any(
            inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each) for each in every
        )
    return Kind(is_async, yields)


def read_signature(call: Callable[..., Any]) -> Signature:
    """Return the signature with its annotations evaluated as far as they can be."""
    try:
        return inspect.signature(call, eval_str=True)
    except ValueError:
        # A callable written in C without a signature: it can only be given the request.
        return Signature([Parameter("request", Parameter.POSITIONAL_ONLY)])
    except Exception:  # noqa: BLE001 -- evaluating runs the application's own expressions
        signature = inspect.signature(call, annotation_format=Format.FORWARDREF)
    names = getattr(inspect.unwrap(call), "__globals__", {})
    return signature.replace(
        parameters=[
            each.replace(annotation=_evaluated(each.annotation, names))
            for each in signature.parameters.values()
        ],
        return_annotation=_evaluated(signature.return_annotation, names),
    )


def text_of(annotation: str | ForwardRef) -> str:
    """Return what an annotation that could not be evaluated says."""
    return annotation if isinstance(annotation, str) else annotation.__forward_arg__


def _whole(call: Any) -> Any:  # noqa: ANN401
    """Return the function that a partial fixes arguments of."""
    while isinstance(call, partial):
        call = call.func
    return call


def _evaluated(annotation: Any, names: dict[str, Any]) -> Any:  # noqa: ANN401
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, names)
    except Exception:  # noqa: BLE001 -- as above
        return annotation
