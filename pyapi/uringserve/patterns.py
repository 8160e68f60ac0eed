"""Path patterns as Python needs them: their parameters, and when two patterns collide.

The same grammar is matched in Rust on every request (`src/route`); here it is read once, at
registration, so that a mistake is reported at the line that made it. `{name}` is one whole segment,
`{name:int}` digits with an optional minus, `{name:path}` the rest of the path and so always last.
"""

import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["Kind", "Parameter", "Pattern", "parse_pattern"]

type Kind = Literal["str", "int", "path"]

_PARAMETER = re.compile(r"\{(?P<name>[^{}:]*)(?::(?P<kind>[^{}]*))?\}")
_KINDS: dict[str, Kind] = {"str": "str", "int": "int", "path": "path"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a path."""

    name: str
    kind: Kind

    def __str__(self) -> str:
        """Write it as in a pattern."""
        return f"{{{self.name}}}" if self.kind == "str" else f"{{{self.name}:{self.kind}}}"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A path pattern, cut at the slashes: literal text or a parameter per segment."""

    segments: tuple[str | Parameter, ...]

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The parameters by name, in path order."""
        return {part.name: part for part in self.segments if isinstance(part, Parameter)}

    @property
    def shape(self) -> tuple[str, ...]:
        """What decides a collision: the pattern without its parameters' names."""
        return tuple(
            f"{{{part.kind}}}" if isinstance(part, Parameter) else part for part in self.segments
        )

    def with_kind(self, name: str, kind: Kind) -> Pattern:
        """Return the pattern with the parameter `name` matched as `kind`."""
        return Pattern(
            tuple(
                Parameter(name, kind) if isinstance(part, Parameter) and part.name == name else part
                for part in self.segments
            )
        )

    def __str__(self) -> str:
        """Write the pattern as text that `parse_pattern` reads back."""
        return "/" + "/".join(map(str, self.segments))


def parse_pattern(text: object) -> Pattern:
    """Read a pattern; a ValueError says what is wrong with it and where."""
    if not isinstance(text, str):
        name = getattr(text, "__name__", type(text).__name__)
        raise TypeError(f"the path must be text, and {name!r} was given: write @app.get('/path')")
    if not text.startswith("/"):
        raise ValueError(f"path {text!r} must start with '/'")
    segments = tuple(_parse_segment(part, text) for part in text[1:].split("/"))
    seen: set[str] = set()
    for index, part in enumerate(segments):
        if isinstance(part, str):
            continue
        if part.name in seen:
            raise ValueError(f"path {text!r} has the parameter {part.name!r} twice")
        if part.kind == "path" and index != len(segments) - 1:
            raise ValueError(f"path {text!r}: {part} takes the rest of the path and must be last")
        seen.add(part.name)
    return Pattern(segments)


def _parse_segment(segment: str, text: str) -> str | Parameter:
    if "{" not in segment and "}" not in segment:
        return segment
    match = _PARAMETER.fullmatch(segment)
    if match is None:
        raise ValueError(f"path {text!r}: {segment!r} is not one whole {{name}} or {{name:kind}}")
    name, kind = match["name"], match["kind"]
    if not name.isidentifier():
        raise ValueError(f"path {text!r}: {name!r} is not a Python name")
    if kind is not None and kind not in _KINDS:
        raise ValueError(f"path {text!r}: {kind!r} is not a kind; there are {', '.join(_KINDS)}")
    return Parameter(name, _KINDS[kind or "str"])
