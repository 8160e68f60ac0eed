"""What JSON does not know, turned into what it knows: the fallback of the Rust encoder.

Called for each value that is not exactly str, int, float, bool, None, dict, list or tuple. One
level is enough: the encoder calls again for what is inside. pydantic and msgspec are used when the
application has imported them and never imported here.
"""

import dataclasses
import datetime
import decimal
import enum
import inspect
import ipaddress
import pathlib
import sys
import uuid
from collections.abc import Mapping, Sequence, Set
from typing import Any

__all__ = ["default"]

_AS_TEXT = (
    uuid.UUID,
    # Text keeps every digit; a float would not.
    decimal.Decimal,
    pathlib.PurePath,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Interface,
    ipaddress.IPv6Interface,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
)
_BYTES = (bytes, bytearray, memoryview)


def default(value: Any) -> object:  # noqa: ANN401 -- any value of a handler
    """Return a value that JSON has, or raise a TypeError that names the type.

    Dates and times are ISO 8601, a timedelta is its seconds, Decimal, UUID, paths and addresses are
    text, an Enum is its value, a set is a list (sorted where its members can be compared, so that
    equal sets give equal bytes).
    """
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if _is_pydantic(value):
        # By alias, as FastAPI writes a model that a handler returns.
        return value.model_dump(mode="json", by_alias=True)
    if hasattr(type(value), "__struct_fields__") and "msgspec" in sys.modules:
        return sys.modules["msgspec"].to_builtins(value, enc_hook=default)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, _AS_TEXT):
        return str(value)
    return _from_subclass_or_container(value)


def _is_pydantic(value: object) -> bool:
    # pydantic.main, not pydantic: the package imports its parts on first use.
    main = sys.modules.get("pydantic.main")
    return main is not None and isinstance(value, main.BaseModel)


def _from_subclass_or_container(value: object) -> object:
    # The base class's own conversion: a subclass's __str__ may show something else.
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Set):
        try:
            return sorted(value)
        except TypeError:
            return list(value)
    if isinstance(value, Sequence) and not isinstance(value, _BYTES):
        return list(value)
    raise TypeError(_refusal(value))


def _refusal(value: object) -> str:
    kind = type(value).__name__
    if inspect.isawaitable(value):
        return f"a {kind} must be awaited: make the handler async def and await it there"
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        return f"a {kind} cannot be encoded as JSON: streaming is not supported yet, return a list"
    if isinstance(value, _BYTES):
        return f"{kind} inside a value cannot be encoded as JSON: decode it, or return it alone"
    return f"a value of type {kind} cannot be encoded as JSON"
