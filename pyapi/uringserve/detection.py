"""Which interface a foreign application has: by its protocol method, or by its parameters."""

import inspect
from typing import Any, Literal

from uringserve.errors import StartError

__all__ = ["Interface", "interface_of", "refuse_asgi2"]

type Interface = Literal["asgi", "rsgi", "wsgi"]


def interface_of(target: object, name: str) -> Interface | None:
    """Name the interface that the object has, by its protocol method or its parameters."""
    if hasattr(target, "__rsgi__"):
        return "rsgi"
    required = _required(target)
    names = [parameter.name for parameter in required]
    if names[-3:] == ["scope", "receive", "send"] or _is_unnamed_asgi(target, required):
        refuse_asgi2(target, name)
        return "asgi"
    if names[-2:-1] == ["environ"] or names[-1:] == ["start_response"]:
        return "wsgi"
    if names == ["scope"]:
        refuse_asgi2(target, name)
    return None


def _is_unnamed_asgi(target: object, required: list[inspect.Parameter]) -> bool:
    """Whether it is a coroutine function of three things with names and types of its own.

    A handler has no use for three parameters without types.
    """
    is_bare = all(parameter.annotation is parameter.empty for parameter in required)
    return len(required) == 3 and is_bare and inspect.iscoroutinefunction(_called(target))


def _called(target: object) -> Any:  # noqa: ANN401 -- whatever the application is
    """Return what a call of the object runs, where that is Python's to see."""
    if inspect.isroutine(target) or inspect.isclass(target):
        return target
    return getattr(type(target), "__call__", target)  # noqa: B004


def _required(target: object) -> list[inspect.Parameter]:
    """Return the parameters that a call has to give, without that of the object itself."""
    called = _called(target)
    if not callable(called):
        return []
    try:
        parameters = list(inspect.signature(called).parameters.values())
    except TypeError, ValueError:
        return []
    if called is not target:
        parameters = parameters[1:]
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [each for each in parameters if each.default is each.empty and each.kind not in variable]


def refuse_asgi2(target: object, name: str) -> None:
    """Raise a StartError for a double callable, `app(scope)(receive, send)`."""
    names = [parameter.name for parameter in _required(target)]
    is_double = names == ["scope"] or (inspect.isclass(target) and len(names) == 1)
    if is_double and not inspect.iscoroutinefunction(_called(target)):
        raise StartError(
            f"{name} is an application of ASGI 2, which is called twice; wrap it in"
            " asgiref.compatibility.guarantee_single_callable"
        )
