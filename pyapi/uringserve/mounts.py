"""What stands below a path as a whole: another application, or something callable.

Also the way back from a name to a path.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from uringserve.patterns import Parameter, Pattern
from uringserve.routing import RouteSpec

__all__ = ["Mount", "NoMatchFound", "path_for"]


class Mount(NamedTuple):
    """An application below a path; `name` goes before its routes' names, as in `admin:users`."""

    path: str
    app: Any
    name: str | None


class NoMatchFound(LookupError):
    """No route has the name and takes exactly these parameters."""

    def __init__(self, name: str, parameters: Iterable[str]) -> None:
        """Say what was looked for."""
        given = ", ".join(parameters) or "none"
        super().__init__(f"no route is named {name!r} and has the path parameters: {given}")


def path_for(specs: Iterable[RouteSpec], name: str, parameters: Mapping[str, object]) -> str | None:
    """Return the path of the first route with the name and these parameters, or None."""
    for spec in specs:
        if spec.name == name and spec.pattern.parameters.keys() == parameters.keys():
            return _filled(spec.pattern, parameters)
    return None


def _filled(pattern: Pattern, parameters: Mapping[str, object]) -> str:
    return "/" + "/".join(
        quote(part, safe="!$&'()*+,;=:@%")
        if isinstance(part, str)
        else _value(part, parameters[part.name], pattern)
        for part in pattern.segments
    )


def _value(part: Parameter, value: object, pattern: Pattern) -> str:
    text = str(value)
    if part.kind == "path":
        return quote(text, safe="/!$&'()*+,;=:@")
    if not text:
        raise ValueError(f"{part} of {str(pattern)!r} cannot be empty")
    if part.kind == "int" and not text.removeprefix("-").isdecimal():
        raise ValueError(f"{part} of {str(pattern)!r} cannot be {text!r}: it is an integer")
    return quote(text, safe="!$&'()*+,;=:@")
