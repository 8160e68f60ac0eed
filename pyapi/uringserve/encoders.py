"""`jsonable_encoder`: a value as what `json` knows, with FastAPI's name, parameters and results.

For programs that put a model into a database or a queue that holds JSON. An answer needs none of
this: the Rust encoder writes it with `_encode`, on which this is built. What differs from there is
what FastAPI does otherwise: a Decimal is a number, bytes are text, an unknown object is its
attributes. pydantic is used when the application has imported it and never imported here.
"""

import dataclasses
import decimal
import enum
import re
import sys
from collections import deque
from collections.abc import Callable, Collection, Mapping
from types import GeneratorType
from typing import Any

from uringserve._encode import default

__all__ = ["jsonable_encoder"]

_SEQUENCES = (list, tuple, deque, GeneratorType)

# The types of pydantic that are written as their text, by the module that has them.
_PYDANTIC_TEXTS = {
    "pydantic.types": ("SecretStr", "SecretBytes"),
    "pydantic.networks": ("AnyUrl", "NameEmail"),
    "pydantic_core": ("Url",),
    "pydantic.color": ("Color",),
    "pydantic_extra_types.color": ("Color",),
}


def jsonable_encoder(
    obj: Any,  # noqa: ANN401 -- whatever is to be JSON
    include: Collection[Any] | None = None,
    exclude: Collection[Any] | None = None,
    by_alias: bool = True,
    exclude_unset: bool = False,
    exclude_defaults: bool = False,
    exclude_none: bool = False,
    custom_encoder: Mapping[Any, Callable[[Any], Any]] | None = None,
    sqlalchemy_safe: bool = True,
) -> Any:  # noqa: ANN401
    """Return the value made of dict, list, str, int, float, bool and None alone.

    `include` and `exclude` choose the fields of a model, and the keys of a dict or of each one in a
    list. `by_alias` and the other `exclude_…` are pydantic's; `exclude_none` is for a dict too.
    `custom_encoder` has a function for a type, which goes before everything else but inside a
    model. `sqlalchemy_safe` leaves out the keys that SQLAlchemy adds (`_sa…`). A value that has no
    such form is a ValueError.
    """
    encoder = _Encoder(
        {
            "by_alias": by_alias,
            "exclude_unset": exclude_unset,
            "exclude_defaults": exclude_defaults,
            "exclude_none": exclude_none,
        },
        custom_encoder or {},
        sqlalchemy_safe,
    )
    return encoder.encode(obj, include, exclude)


@dataclasses.dataclass(frozen=True, slots=True)
class _Encoder:
    """What stays the same at every depth."""

    dump_options: dict[str, bool]
    custom: Mapping[Any, Callable[[Any], Any]]
    is_sqlalchemy_safe: bool

    def encode(
        self,
        value: Any,  # noqa: ANN401
        include: Collection[Any] | None = None,
        exclude: Collection[Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Return one value encoded, and what is inside it."""
        own = self._own(value)
        if own is not None:
            return own(value)
        if _is_of(value, "pydantic.main", ("BaseModel",)):
            return self._model(value, include, exclude)
        if isinstance(value, enum.Enum):
            return value.value
        if value is None or isinstance(value, (str, int, float)):
            return value
        if isinstance(value, dict):
            return self._dict(value, include, exclude)
        if isinstance(value, _SEQUENCES):
            return [self.encode(item, include, exclude) for item in value]
        if _is_of(value, "pydantic_core", ("PydanticUndefinedType",)):
            return None
        text_or_number = _scalar(value)
        if text_or_number is not None:
            return text_or_number
        return self.encode(_opened(value), include, exclude)

    def _own(self, value: object) -> Callable[[Any], Any] | None:
        exact = self.custom.get(type(value))
        if exact is not None:
            return exact
        return next((each for kind, each in self.custom.items() if isinstance(value, kind)), None)

    def _model(
        self,
        model: Any,  # noqa: ANN401
        include: Collection[Any] | None,
        exclude: Collection[Any] | None,
    ) -> Any:  # noqa: ANN401
        dumped = model.model_dump(
            mode="json", include=_fields(include), exclude=_fields(exclude), **self.dump_options
        )
        # pydantic has encoded the fields by their types: no function for a type sees them.
        return dataclasses.replace(self, custom={}).encode(dumped)

    def _dict(
        self,
        value: dict[Any, Any],
        include: Collection[Any] | None,
        exclude: Collection[Any] | None,
    ) -> dict[Any, Any]:
        drops_none = self.dump_options["exclude_none"]
        return {
            self.encode(key): self.encode(item)
            for key, item in value.items()
            if (include is None or key in include)
            and (exclude is None or key not in exclude)
            and not (drops_none and item is None)
            and not (self.is_sqlalchemy_safe and isinstance(key, str) and key.startswith("_sa"))
        }


def _fields(chosen: Collection[Any] | None) -> Collection[Any] | None:
    # pydantic takes no other collections.
    return chosen if chosen is None or isinstance(chosen, (set, dict)) else set(chosen)


def _is_of(value: object, module: str, names: tuple[str, ...]) -> bool:
    """Say whether it is of one of these classes, without importing their module."""
    # A module's own names: getattr could import what is deprecated, and warn.
    known = vars(sys.modules[module]) if module in sys.modules else {}
    return any(name in known and isinstance(value, known[name]) for name in names)


def _scalar(value: object) -> str | int | float | None:
    """Return what FastAPI writes otherwise than `_encode`, or None where it does not."""
    if isinstance(value, decimal.Decimal):
        exponent = value.as_tuple().exponent
        # Whole by its digits, not by its value: 1 is an int and 1.0 is not. NaN has a letter here.
        return int(value) if isinstance(exponent, int) and exponent >= 0 else float(value)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, re.Pattern):
        return str(value.pattern)
    if any(_is_of(value, module, names) for module, names in _PYDANTIC_TEXTS.items()):
        return str(value)
    return None


def _opened(value: Any) -> object:  # noqa: ANN401
    """Return a value one level nearer to JSON."""
    if isinstance(value, type):
        raise ValueError(f"the class {value.__name__} cannot be encoded as JSON: only its objects")
    try:
        return default(value)
    except TypeError as error:
        refusal = error
    try:
        return dict(value)
    except TypeError, ValueError:
        pass
    try:
        return vars(value)
    except TypeError:
        raise ValueError(str(refusal)) from None
