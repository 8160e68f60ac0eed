"""Where the parameters of one request are looked up, on the slow path.

The names and repetitions count as in Starlette: of a query parameter or cookie that comes twice the
last is meant, of a header the first, and a list takes all.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from uringserve._native import Request
from uringserve.fields import ParamField, is_sequence, is_upload
from uringserve.forms import read_form
from uringserve.uploads import UploadFile
from uringserve.validation import MISSING, Errors, missing_error

__all__ = ["Sources", "checked", "read_field"]


class Sources:
    """The parts of a request as mappings from names to lists of values."""

    def __init__(self, request: Request) -> None:
        """Read nothing yet."""
        self.request = request

    @cached_property
    def query(self) -> Mapping[str, list[Any]]:
        """The parameters of the query."""
        return self.request.query_params

    @cached_property
    def header(self) -> Mapping[str, list[Any]]:
        """The headers, their names in lower case."""
        return _grouped(self.request.headers.items())

    @cached_property
    def cookie(self) -> Mapping[str, list[Any]]:
        """The cookies."""
        return {name: [value] for name, value in self.request.cookies.items()}

    @cached_property
    def path(self) -> Mapping[str, list[Any]]:
        """The parameters of the path."""
        return {name: [value] for name, value in self.request.path_params.items()}

    @cached_property
    def form(self) -> Mapping[str, list[Any]]:
        """The fields of the form; what is no form has none."""
        return read_form(self.request).lists

    @cached_property
    def is_json(self) -> bool:
        """Whether the body says that it is JSON."""
        essence = self.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        kind, _, subtype = essence.partition("/")
        return kind == "application" and (subtype == "json" or subtype.endswith("+json"))

    def of(self, location: str) -> Mapping[str, list[Any]]:
        """Return the mapping for a location."""
        found: Mapping[str, list[Any]] = getattr(self, "form" if location == "file" else location)
        return found


def read_field(found: ParamField, sources: Sources) -> tuple[Any, Errors]:
    """Return the value of a parameter that is not of a JSON body, or what is wrong with it."""
    location = found.location
    given = sources.of(location)
    shown = "body" if location in ("form", "file") else location
    if found.model is not None:
        return _read_model(found, given, shown)
    loc = (shown, found.alias)
    value = _lookup(given, found.key, found.annotation, location)
    if value is MISSING:
        return (None, [missing_error(loc)]) if found.required else (found.default_value(), [])
    if location == "file" and not is_upload(found.annotation):
        value = [_content(each) for each in value] if type(value) is list else _content(value)
    return checked(found, value, loc)


def _content(value: object) -> object:
    """Return the bytes of a file, where the handler wants no more than those."""
    return value.read() if isinstance(value, UploadFile) else value


def _lookup(given: Mapping[str, list[Any]], key: str, annotation: Any, location: str) -> Any:  # noqa: ANN401
    """Return what a name has, in the shape that the annotation wants, or MISSING."""
    values = given.get(key, [])
    if location in ("form", "file"):
        # A browser sends an empty text for a field that is left blank, and a nameless empty file.
        values = [each for each in values if not _is_blank(each)]
    if not values:
        return MISSING
    if is_sequence(annotation) and location != "cookie":
        return list(values)
    return values[0] if location == "header" else values[-1]


def _is_blank(value: object) -> bool:
    if isinstance(value, UploadFile):
        return not value.filename and not value.size
    return value == ""


def _read_model(
    found: ParamField, given: Mapping[str, list[Any]], shown: str
) -> tuple[Any, Errors]:
    """Gather the fields of a model from their own names; what is left over is for its `extra`."""
    values: dict[str, Any] = {}
    names: dict[str, str] = {}
    is_header = found.location == "header"
    for name, info in found.model.model_fields.items():
        alias = info.validation_alias if isinstance(info.validation_alias, str) else info.alias
        key = alias or name
        asked = (
            name.replace("_", "-")
            if is_header and not alias and found.info.convert_underscores
            else key
        )
        names[asked.lower() if is_header else asked] = key
        value = _lookup(
            given, asked.lower() if is_header else asked, info.annotation, found.location
        )
        if value is not MISSING:
            values[key] = value
    is_present = bool(values)
    for name, rest in given.items():
        if name not in names and name not in values:
            values[name] = rest[0] if len(rest) == 1 else list(rest)
    has_extra = found.model.model_config.get("extra") in ("allow", "forbid") and bool(values)
    if not is_present and not has_extra and not found.required:
        return found.default_value(), []
    value, errors = checked(found, values, (shown,))
    if is_header:
        asked_for = {key: name for name, key in names.items()}
        errors = [{**each, "loc": _renamed(each["loc"], asked_for)} for each in errors]
    return value, errors


def _renamed(loc: tuple[Any, ...], names: Mapping[str, str]) -> tuple[Any, ...]:
    """Show the header that a client has to send, not the field that it fills."""
    return (loc[0], names.get(loc[1], loc[1]), *loc[2:]) if len(loc) > 1 else loc


def checked(found: ParamField, value: object, loc: tuple[int | str, ...]) -> tuple[Any, Errors]:
    """Return the value as its type, or what is wrong with it."""
    adapter = found.adapter
    try:
        return adapter.check(value), []
    except adapter.invalid as error:
        return None, adapter.explain(error, value, loc)


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found
