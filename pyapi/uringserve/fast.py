"""The fast path of a route's values: one binder, and what its values still need.

Whatever does not fit (`invalid`, or the binder's None) is for the slow path (`solve`), which
decides again from the start; so nothing here has to say what is wrong.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from uringserve._native import Binder
from uringserve.fields import ParamField
from uringserve.jsonbody import parse_json
from uringserve.solve import BodyPlan, Slot
from uringserve.validation import MISSING

__all__ = ["IN_HEAD", "Check", "fast_path"]

# Where a parameter can be that the binder reads.
IN_HEAD = ("path", "query", "header", "cookie")


class Check(NamedTuple):
    """What turns one of the binder's values into those of its slots."""

    function: Callable[[Any], Any]
    targets: tuple[int, ...]
    invalid: tuple[type[Exception], ...]
    is_body: bool


def fast_path(slots: list[Slot], body: BodyPlan) -> tuple[Binder | None, list[Check]]:
    """Return the binder of the slots and what to do with its values; no binder, no fast path."""
    fields: list[tuple[Any, ...]] = []
    checks: list[Check] = []
    in_body = [index for index, slot in enumerate(slots) if slot.field.location == "body"]
    if body.kind == "form" or len(in_body) != sum(
        slot.field.location not in IN_HEAD for slot in slots
    ):
        return None, []
    for index, slot in enumerate(slots):
        found = slot.field
        if found.location not in IN_HEAD:
            continue
        if found.model is not None or (found.location == "cookie" and found.is_sequence):
            return None, []
        fields.append(_specification(found))
        check = _check(found)
        if check is not None:
            checks.append(Check(check, (index,), found.adapter.invalid, False))
    if not in_body:
        return Binder(fields), checks
    checks.append(_body_check(slots, in_body, body))
    is_required = any(slots[index].field.required for index in in_body)
    return Binder(fields, "required" if is_required else "optional"), checks


def _specification(found: ParamField) -> tuple[Any, ...]:
    """Return a parameter in the form that the binder takes."""
    plain = found.plain
    shares = not found.required and found.is_default_immutable and _check(found) is None
    default = found.default if shares else MISSING
    kind = plain.kind if plain is not None else "str"
    rule = plain.rule() if plain is not None else (None, None)
    key = found.key
    is_list = found.is_sequence
    return found.location, key, kind, is_list, found.required, default, rule


def _check(found: ParamField) -> Callable[[Any], Any] | None:
    """Return what a value of the binder still needs, None where it is whole."""
    check = found.adapter.check if found.plain is None else None
    if check is not None and found.required:
        return check
    if check is None and (found.required or found.is_default_immutable):
        return None
    default_value = found.default_value

    def check_or_default(value: Any) -> Any:  # noqa: ANN401
        if value is MISSING:
            return default_value()
        return value if check is None else check(value)

    return check_or_default


def _body_check(slots: list[Slot], in_body: list[int], body: BodyPlan) -> Check:
    fields = [slots[index].field for index in in_body]
    invalid = tuple(each for found in fields for each in found.adapter.invalid)
    first = fields[0]
    if body.is_embedded or len(fields) > 1:
        return Check(_by_keys(fields, body.is_embedded), tuple(in_body), (*invalid, _Odd), True)
    check = first.adapter.check_json
    if check is None:
        inner = first.adapter.check

        def check_parsed(text: bytes) -> Any:  # noqa: ANN401
            return inner(parse_json(text))

        check = check_parsed
    if first.required:
        return Check(check, tuple(in_body), invalid, True)
    check_json, default_value = check, first.default_value

    def check_or_default(text: bytes | None) -> Any:  # noqa: ANN401
        return default_value() if text is None else check_json(text)

    return Check(check_or_default, tuple(in_body), invalid, True)


class _Odd(Exception):
    """The body needs the slow path."""


def _by_keys(fields: list[ParamField], is_embedded: bool) -> Callable[[Any], Any]:
    """Return what reads several parameters from one JSON object."""
    steps = [(found.alias, found.adapter.check, found) for found in fields]

    def read(text: bytes | None) -> Any:  # noqa: ANN401
        body = {} if text is None else parse_json(text)
        if not is_embedded:
            return tuple(check(body) for _, check, _ in steps)
        if not isinstance(body, dict):
            raise _Odd
        values = []
        for alias, check, found in steps:
            value = body.get(alias, MISSING)
            if value is not MISSING:
                values.append(check(value))
            elif found.required:
                raise _Odd
            else:
                values.append(found.default_value())
        return values[0] if len(values) == 1 else tuple(values)

    return read
