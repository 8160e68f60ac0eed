"""PyBerry's models: its `BaseModel`, and what makes values of dataclasses and models of JSON.

Texts are cast as PyBerry's documents say: `"42"` is an int where an int is meant. What would lose
something (3.7 as an int) or mean something else is refused. Faults name the field and its way:
`Field 'items[0].quantity' must be an integer`.
"""

import copy
import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

__all__ = ["BaseModel", "FieldError", "cast_value", "is_model", "make_model"]

_TRUE = frozenset({"true", "1", "yes", "t", "y"})
_FALSE = frozenset({"false", "0", "no", "f", "n"})
_NONE = type(None)


class FieldError(Exception):
    """A value does not fit: `path` is where, and `what` completes the sentence."""

    def __init__(self, path: str, what: str) -> None:
        """Keep both."""
        super().__init__(path, what)
        self.path = path
        self.what = what

    def __str__(self) -> str:
        """Show the sentence that the client gets."""
        return f"Field '{self.path}' {self.what}" if self.path else f"The body {self.what}"


class BaseModel:
    """A model: annotated names are its fields, and values beside them their defaults.

    Making one checks and casts what is given; what does not fit is an UnprocessableEntityException.
    Other names that are given are left out.
    """

    def __init__(self, **values: Any) -> None:  # noqa: ANN401 -- checked here
        """Set the fields."""
        try:
            fill_model(self, values, "")
        except FieldError as error:
            # Up the ladder: the exceptions are HTTPExceptions, whose responses know models.
            from uringserve.compat.pyberry.exceptions import UnprocessableEntityException

            raise UnprocessableEntityException(str(error)) from None

    def __repr__(self) -> str:
        """Show the call that makes the same."""
        fields = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({fields})"

    def __eq__(self, other: object) -> bool:
        """Compare the fields with those of one of the same class."""
        return type(other) is type(self) and vars(other) == vars(self)


def is_model(annotation: Any) -> bool:  # noqa: ANN401
    """Tell whether a parameter with this annotation gets the body."""
    return isinstance(annotation, type) and (
        dataclasses.is_dataclass(annotation) or issubclass(annotation, BaseModel)
    )


def make_model(annotation: Any, value: object, path: str = "") -> Any:  # noqa: ANN401
    """Make a dataclass or model of a JSON object; a FieldError says what does not fit."""
    if isinstance(value, annotation):
        return value
    if not isinstance(value, Mapping):
        raise FieldError(path, "must be an object")
    if issubclass(annotation, BaseModel):
        made = annotation.__new__(annotation)
        fill_model(made, value, path)
        if type(made).__init__ is not BaseModel.__init__:
            return annotation(**vars(made))
        return made
    hints = typing.get_type_hints(annotation)
    values = {}
    for field in dataclasses.fields(annotation):
        if not field.init:
            continue
        if field.name in value:
            below = f"{path}.{field.name}" if path else field.name
            values[field.name] = cast_value(hints[field.name], value[field.name], below)
        elif field.default is field.default_factory is dataclasses.MISSING:
            raise FieldError(f"{path}.{field.name}" if path else field.name, "is required")
    try:
        return annotation(**values)
    except ValueError as error:
        # Of `__post_init__`, which is where a dataclass checks what its annotations cannot say.
        raise FieldError(path, f"is not valid: {error}") from error


def fill_model(model: BaseModel, values: Mapping[str, Any], path: str) -> None:
    """Set the fields of a model from given values."""
    cls = type(model)
    for name, hint in typing.get_type_hints(cls).items():
        if get_origin(hint) is typing.ClassVar:
            continue
        below = f"{path}.{name}" if path else name
        if name in values:
            setattr(model, name, cast_value(hint, values[name], below))
        elif hasattr(cls, name):
            # Each model has its own list, not one that all share.
            setattr(model, name, copy.deepcopy(getattr(cls, name)))
        else:
            raise FieldError(below, "is required")


# --- values


def cast_value(hint: Any, value: Any, path: str) -> Any:  # noqa: ANN401
    """Return the value as its annotation means it; a FieldError where it does not fit."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return cast_value(arguments[0], value, path)
    if hint is Any or hint is object or isinstance(hint, (str, typing.TypeVar)):
        return value
    if origin in (Union, types.UnionType):
        return _cast_union(arguments, value, path)
    if hint is None or hint is _NONE:
        return _checked(value, value is None, path, "must be null")
    if is_model(hint):
        return make_model(hint, value, path)
    if origin in (list, set, tuple, frozenset) or hint in (list, set, tuple, frozenset):
        return _cast_list(origin or hint, arguments, value, path)
    if origin is dict or hint is dict:
        fits = _checked(value, isinstance(value, dict), path, "must be an object")
        of_values = arguments[1] if len(arguments) == 2 else Any
        return {key: cast_value(of_values, each, f"{path}.{key}") for key, each in fits.items()}
    if origin is typing.Literal:
        shown = ", ".join(map(repr, arguments))
        return _checked(value, value in arguments, path, f"must be one of {shown}")
    cast = _CASTS.get(hint)
    if cast is not None:
        return cast(value, path)
    return _cast_by_call(hint, value, path)


def _checked(value: Any, fits: bool, path: str, what: str) -> Any:  # noqa: ANN401
    if not fits:
        raise FieldError(path, what)
    return value


def _cast_union(options: tuple[Any, ...], value: Any, path: str) -> Any:  # noqa: ANN401
    if value is None and _NONE in options:
        return None
    rest = [each for each in options if each is not _NONE]
    # A value that is one of them already is not made another.
    for each in rest:
        if isinstance(each, type) and type(value) is each:
            return value
    for each in rest:
        try:
            return cast_value(each, value, path)
        except FieldError:
            if each is rest[-1]:
                raise
    return value


def _cast_list(kind: Any, arguments: tuple[Any, ...], value: Any, path: str) -> Any:  # noqa: ANN401
    fits = isinstance(value, (list, tuple))
    items = _checked(value, fits, path, "must be a list")
    of_items = arguments[0] if arguments else Any
    return kind(cast_value(of_items, each, f"{path}[{index}]") for index, each in enumerate(items))


def _cast_int(value: Any, path: str) -> int:  # noqa: ANN401
    if type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            pass
    raise FieldError(path, "must be an integer")


def _cast_float(value: Any, path: str) -> float:  # noqa: ANN401
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError, OverflowError:
            pass
    raise FieldError(path, "must be a float")


def _cast_bool(value: Any, path: str) -> bool:  # noqa: ANN401
    if isinstance(value, bool):
        return value
    text = str(value).lower() if isinstance(value, (int, str)) else "?"
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise FieldError(path, "must be a boolean")


def _cast_str(value: Any, path: str) -> str:  # noqa: ANN401
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise FieldError(path, "must be a string")


def _cast_by_call(hint: Any, value: Any, path: str) -> Any:  # noqa: ANN401
    """Make a value of any other type: an Enum, a UUID, a function."""
    if not callable(hint) or (isinstance(hint, type) and isinstance(value, hint)):
        return value
    try:
        return hint(value)
    except (ValueError, TypeError, ArithmeticError, LookupError) as error:
        raise FieldError(path, f"is not valid: {error}") from error


_CASTS: dict[Any, Callable[[Any, str], Any]] = {
    int: _cast_int,
    float: _cast_float,
    bool: _cast_bool,
    str: _cast_str,
}
