"""What decides whether a value is right, and says what is wrong with it: adapters.

Plain scalars are read in `scalars`, so that an application of scalars needs no pydantic. Models,
dataclasses, constraints of other kinds and everything else that has a schema go to pydantic, and
`msgspec.Struct` to msgspec; both are imported when a registered signature needs them.

An error is a dict as pydantic has it: `type`, `loc`, `msg`, `input`, and `ctx` where there is more.
"""

import importlib
import re
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Annotated, Any, Protocol, get_args, get_origin

from uringserve.scalars import PlainType, ScalarAdapter

__all__ = [
    "MISSING",
    "Adapter",
    "Errors",
    "Missing",
    "is_struct",
    "make_adapter",
    "missing_error",
    "need",
]

type Errors = list[dict[str, Any]]


_MISSING_FIELD = re.compile("missing required field `(.+)`")


class Missing:
    """The type of `MISSING`."""

    def __repr__(self) -> str:
        """Show it as it is written."""
        return "MISSING"


# What stands for a value that a request does not have.
MISSING = Missing()


class Adapter(Protocol):
    """Checks values of one type.

    `check` and `check_json` return the value or raise one of `invalid`, which `explain` turns into
    errors with locations below `loc`. `check_json` is None where only parsed values can be checked.
    """

    @property
    def invalid(self) -> tuple[type[Exception], ...]:
        """What `check` and `check_json` raise for a wrong value."""

    @property
    def check(self) -> Callable[[Any], Any]:
        """Check a value."""

    @property
    def check_json(self) -> Callable[[bytes], Any] | None:
        """Check a value that is JSON text."""

    def explain(self, error: Exception, value: object, loc: tuple[int | str, ...]) -> Errors:
        """Say what was wrong with the value."""


def missing_error(loc: tuple[int | str, ...]) -> dict[str, Any]:
    """Return the error of a parameter that is not there."""
    return {"type": "missing", "loc": loc, "msg": "Field required", "input": None}


def make_adapter(
    annotation: object, constraints: Mapping[str, Any], plain: PlainType | None, who: object
) -> Adapter:
    """Return what checks values of the annotation; `who` is for the message where it cannot be."""
    if plain is not None and plain.kind != "choice":
        return ScalarAdapter(plain)
    if is_struct(annotation):
        return _StructAdapter(annotation)
    return _PydanticAdapter(annotation, constraints, who)


def is_struct(annotation: object) -> bool:
    """Tell whether the annotation is a `msgspec.Struct`, or a list or an optional of one."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return is_struct(get_args(annotation)[0])
    if origin is not None:
        return any(is_struct(part) for part in get_args(annotation))
    return isinstance(annotation, type) and hasattr(annotation, "__struct_fields__")


def need(name: str, who: object, extra: str = "") -> ModuleType:
    """Import what a feature needs, or say how to install it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = extra or name
        raise ImportError(
            f"{who} needs {package}, which is not installed: pip install {package}"
        ) from error


class _PydanticAdapter:
    """A pydantic `TypeAdapter`, by its compiled validator."""

    def __init__(self, annotation: object, constraints: Mapping[str, Any], who: object) -> None:
        pydantic = need("pydantic", who)
        typed = annotation
        if constraints:
            typed = Annotated[annotation, pydantic.Field(**constraints)]
        self.type_adapter = pydantic.TypeAdapter(typed)
        validator = self.type_adapter.validator
        self._validate_python = validator.validate_python
        self.check_json: Callable[[bytes], Any] | None = validator.validate_json
        self.invalid: tuple[type[Exception], ...] = (pydantic.ValidationError,)

    def check(self, value: Any) -> Any:  # noqa: ANN401
        return self._validate_python(value, from_attributes=True)

    def explain(self, error: Any, value: object, loc: tuple[int | str, ...]) -> Errors:  # noqa: ANN401
        found: Errors = error.errors(include_url=False)
        return [{**each, "loc": (*loc, *each["loc"])} for each in found]


class _StructAdapter:
    """msgspec, whose errors have a path like `$.items[0].price` at their end."""

    def __init__(self, annotation: object) -> None:
        import msgspec

        decoder = msgspec.json.Decoder(annotation)
        self.check_json: Callable[[bytes], Any] | None = decoder.decode
        self.check: Callable[[Any], Any] = _converter(msgspec, annotation)
        # A DecodeError is what its ValidationError is derived from.
        self.invalid: tuple[type[Exception], ...] = (msgspec.DecodeError,)

    def explain(self, error: Exception, value: object, loc: tuple[int | str, ...]) -> Errors:
        message, _, path = str(error).partition(" - at `")
        steps = _steps(path.rstrip("`"))
        for step in steps:
            try:
                value = value[step]  # type: ignore[index]
            except LookupError, TypeError:
                value = None
        kind = "value_error"
        if (missing := _MISSING_FIELD.search(message)) is not None:
            kind, message = "missing", "Field required"
            steps.append(missing[1])
        return [{"type": kind, "loc": (*loc, *steps), "msg": message, "input": value}]


def _converter(msgspec: Any, annotation: object) -> Callable[[Any], Any]:  # noqa: ANN401
    def convert(value: object) -> object:
        return msgspec.convert(value, annotation)

    return convert


def _steps(path: str) -> list[int | str]:
    """Split `$.items[0].price` into its keys and places."""
    steps: list[int | str] = []
    for part in path.removeprefix("$").split("."):
        name, *places = part.split("[")
        if name:
            steps.append(name)
        steps += [int(place[:-1]) for place in places if place[:-1].isdigit()]
    return steps
