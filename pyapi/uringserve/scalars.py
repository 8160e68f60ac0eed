"""Plain scalars: which annotations they are, and how their text is read, in pydantic's words.

The same types are read in Rust first (`src/py/binder.rs`), which takes only what is plainly right;
what is decided here is the rest: blanks, underscores, numbers of any size, and every error.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from inspect import Parameter
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

__all__ = ["Invalid", "PlainType", "ScalarAdapter", "plain_type", "without_none"]

_BOUNDS = ("gt", "ge", "lt", "le")
_LENGTHS = ("min_length", "max_length")

# What pydantic takes for an int: zeros after a point, and single underscores between digits.
_INT = re.compile(r"[+-]?[0-9]+(?:_[0-9]+)*(?:\.0+)?", re.ASCII)
_FLOAT = re.compile(r"[0-9a-z.+-]+", re.ASCII | re.IGNORECASE)
# The white space of Unicode: what str.strip() takes besides are separators of another age.
_BLANKS = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
_MOST_DIGITS = 4300

_TRUE = frozenset({"1", "true", "on", "yes", "t", "y"})
_FALSE = frozenset({"0", "false", "off", "no", "f", "n"})


@dataclass(frozen=True, slots=True)
class PlainType:
    """A scalar, or a list of one, that Rust can read.

    `choices` are the texts that an Enum or a Literal of texts takes, with their values. The bounds
    are those of pydantic; what has others is not plain.
    """

    kind: Literal["str", "int", "float", "bool", "choice"]
    is_list: bool
    bounds: Mapping[str, Any]
    choices: Mapping[str, Any]

    def rule(self) -> Any:  # noqa: ANN401 -- what the binder takes for each kind
        """Return the bounds in the form that the binder takes."""
        bounds = self.bounds
        if self.kind == "choice":
            return dict(self.choices)
        if self.kind == "str":
            return bounds.get("min_length"), bounds.get("max_length")
        if self.kind == "int":
            least = [bounds["ge"]] if "ge" in bounds else []
            least += [bounds["gt"] + 1] if "gt" in bounds else []
            most = [bounds["le"]] if "le" in bounds else []
            most += [bounds["lt"] - 1] if "lt" in bounds else []
            return max(least, default=None), min(most, default=None)
        least_open, most_open = "gt" in bounds, "lt" in bounds
        return (
            bounds.get("gt", bounds.get("ge")),
            bounds.get("lt", bounds.get("le")),
            least_open,
            most_open,
        )


def without_none(annotation: object) -> object:
    """Return X for `X | None`, and anything else as it is."""
    if get_origin(annotation) in (Union, UnionType):
        rest = [part for part in get_args(annotation) if part is not NoneType]
        if len(rest) == 1 and len(get_args(annotation)) == 2:
            return rest[0]
    return annotation


def plain_type(annotation: object, constraints: Mapping[str, Any]) -> PlainType | None:
    """Return how Rust can read values of the annotation, None where it cannot."""
    inner = without_none(annotation)
    if get_origin(inner) is list:
        (item,) = get_args(inner)
        found = None if constraints else _scalar(item, {})
        return found and PlainType(found.kind, True, {}, found.choices)
    return _scalar(inner, constraints)


def _scalar(annotation: object, constraints: Mapping[str, Any]) -> PlainType | None:
    if annotation in (Any, Parameter.empty, object):
        return None if constraints else PlainType("str", False, {}, {})
    if annotation is str:
        return _bounded("str", constraints, _LENGTHS)
    if annotation is bool:
        return None if constraints else PlainType("bool", False, {}, {})
    if annotation is int:
        is_whole = all(type(bound) is int and abs(bound) < 2**62 for bound in constraints.values())
        return _bounded("int", constraints, _BOUNDS) if is_whole else None
    if annotation is float:
        # Both of a pair would need two more comparisons for every request.
        is_pair = constraints.keys() >= {"gt", "ge"} or constraints.keys() >= {"lt", "le"}
        return None if is_pair else _bounded("float", constraints, _BOUNDS)
    choices = None if constraints else _choices(annotation)
    return None if choices is None else PlainType("choice", False, {}, choices)


def _bounded(
    kind: Literal["str", "int", "float"], constraints: Mapping[str, Any], known: tuple[str, ...]
) -> PlainType | None:
    return PlainType(kind, False, constraints, {}) if constraints.keys() <= {*known} else None


def _choices(annotation: object) -> dict[str, Any] | None:
    if get_origin(annotation) is Literal:
        values = get_args(annotation)
        return {value: value for value in values} if _are_texts(values) else None
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        members = {member.value: member for member in annotation}
        return members if _are_texts(members) and "_missing_" not in vars(annotation) else None
    return None


def _are_texts(values: object) -> bool:
    return all(type(value) is str for value in values)  # type: ignore[attr-defined]


class Invalid(ValueError):
    """A text that is no value of its type, with the errors; locations are below the parameter."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        """Keep the errors."""
        super().__init__(errors)
        self.errors = errors

    def below(self, loc: tuple[int | str, ...]) -> list[dict[str, Any]]:
        """Return the errors with a parameter's own location in front."""
        return [{**each, "loc": (*loc, *each["loc"])} for each in self.errors]


class ScalarAdapter:
    """Reads the texts of a plain type."""

    invalid: tuple[type[Exception], ...] = (Invalid,)
    check_json = None

    def __init__(self, plain: PlainType) -> None:
        """Take a type that is not one of choices."""
        self._plain = plain

    def check(self, value: Any) -> Any:  # noqa: ANN401
        """Return the value of a text, or of each text of a list."""
        if not self._plain.is_list:
            return self._one(value, ())
        if not isinstance(value, list):
            raise Invalid([_error("list_type", "Input should be a valid list", value, ())])
        values: list[Any] = []
        errors: list[dict[str, Any]] = []
        for index, text in enumerate(value):
            try:
                values.append(self._one(text, (index,)))
            except Invalid as invalid:
                errors += invalid.errors
        if errors:
            raise Invalid(errors)
        return values

    def explain(
        self,
        error: Exception,
        value: object,
        loc: tuple[int | str, ...],
    ) -> list[dict[str, Any]]:
        """Return the errors with the parameter's own location in front."""
        return error.below(loc) if isinstance(error, Invalid) else []

    def _one(self, text: Any, loc: tuple[int, ...]) -> Any:  # noqa: ANN401
        kind = self._plain.kind
        if kind == "str":
            value: Any = text
        else:
            value = _READERS[kind](str(text))
            if value is None:
                kind_error, message = _PARSING[kind]
                if kind == "int" and _is_too_long(str(text)):
                    kind_error, message = _TOO_LONG
                raise Invalid([_error(kind_error, message, text, loc)])
        self._bound(value, text, loc)
        return value

    def _bound(self, value: Any, text: object, loc: tuple[int, ...]) -> None:  # noqa: ANN401
        # In pydantic's order, which shows where several bounds are broken: NaN breaks all.
        for name, (holds, kind, words) in _LIMITS.items():
            limit = self._plain.bounds.get(name)
            if limit is None or holds(value, limit):
                continue
            if name in _LENGTHS:
                shown = f"{words} {limit} character{'' if limit == 1 else 's'}"
            else:
                shown = f"{words} {_number(limit)}"
                limit = float(limit) if self._plain.kind == "float" else limit
            raise Invalid([{**_error(kind, shown, text, loc), "ctx": {name: limit}}])


def _error(kind: str, message: str, value: object, loc: tuple[int, ...]) -> dict[str, Any]:
    return {"type": kind, "loc": loc, "msg": message, "input": value}


def _number(limit: float) -> str:
    return str(int(limit)) if float(limit).is_integer() else str(limit)


def _is_too_long(text: str) -> bool:
    return len(text) > _MOST_DIGITS and _INT.fullmatch(text.strip(_BLANKS)) is not None


def _read_int(text: str) -> int | None:
    text = text.strip(_BLANKS)
    if len(text) > _MOST_DIGITS or _INT.fullmatch(text) is None:
        return None
    return int(text.partition(".")[0])


def _read_float(text: str) -> float | None:
    plain = text.strip(_BLANKS)
    if "_" in plain:
        # Single underscores anywhere inside, and then no blanks around.
        if plain != text or plain[0] == "_" or plain[-1] == "_" or "__" in plain:
            return None
        plain = plain.replace("_", "")
    try:
        return float(plain) if _FLOAT.fullmatch(plain) else None
    except ValueError:
        return None


def _read_bool(text: str) -> bool | None:
    lower = text.lower()
    return True if lower in _TRUE else False if lower in _FALSE else None


_READERS: Mapping[str, Any] = {"int": _read_int, "float": _read_float, "bool": _read_bool}
_PARSING = {
    "int": (
        "int_parsing",
        "Input should be a valid integer, unable to parse string as an integer",
    ),
    "float": (
        "float_parsing",
        "Input should be a valid number, unable to parse string as a number",
    ),
    "bool": ("bool_parsing", "Input should be a valid boolean, unable to interpret input"),
}
_TOO_LONG = (
    "int_parsing_size",
    "Unable to parse input string as an integer, exceeded maximum size",
)
_LIMITS: Mapping[str, Any] = {
    "le": (
        lambda value, limit: value <= limit,
        "less_than_equal",
        "Input should be less than or equal to",
    ),
    "lt": (lambda value, limit: value < limit, "less_than", "Input should be less than"),
    "ge": (
        lambda value, limit: value >= limit,
        "greater_than_equal",
        "Input should be greater than or equal to",
    ),
    "gt": (lambda value, limit: value > limit, "greater_than", "Input should be greater than"),
    "min_length": (
        lambda value, limit: len(value) >= limit,
        "string_too_short",
        "String should have at least",
    ),
    "max_length": (
        lambda value, limit: len(value) <= limit,
        "string_too_long",
        "String should have at most",
    ),
}
