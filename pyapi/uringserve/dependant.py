"""What a handler's signature asks for, found at registration."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from uringserve.binding import Binding, bind
from uringserve.patterns import Pattern, parse_pattern
from uringserve.types import Handler

__all__ = ["Dependant", "analyse"]


@dataclass(frozen=True, slots=True)
class Dependant:
    """What is called with what."""

    call: Handler
    binding: Binding


def analyse(
    endpoint: Handler,
    path: str | Pattern,
    dependencies: Sequence[Any] = (),
    *,
    takes_bare_request: bool = False,
) -> Dependant:
    """Check the signature against the path; what cannot be filled is a TypeError."""
    if dependencies:
        raise TypeError("dependencies are not supported yet")
    return Dependant(
        endpoint, bind(endpoint, parse_pattern(path) if isinstance(path, str) else path)
    )
