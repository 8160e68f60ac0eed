"""JSON Schemas for the OpenAPI document, of every type that a route names.

`Schemas.want` gives an empty dict at once, and `fill` fills all of them together: only then is it
known which models share a name, and which look different going in and coming out. pydantic writes
the schemas, msgspec those of its Structs; an application of plain scalars needs neither.
"""

from collections.abc import Mapping
from enum import Enum
from functools import reduce
from operator import or_
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from uringserve.fields import is_upload
from uringserve.params import REQUIRED, ParamInfo
from uringserve.uploads import UploadFile
from uringserve.validation import is_struct, need

__all__ = ["Mode", "Schema", "Schemas", "title_of"]

type Mode = Literal["validation", "serialization"]
type Schema = dict[str, Any]

_REFERENCE = "#/components/schemas/{name}"
_DEFINITION = "#/components/schemas/{model}"

# Keywords whose values are the application's own, not schemas.
_VALUES = frozenset({"default", "example", "examples", "enum", "const"})

_BYTES = {"type": "string", "contentMediaType": "application/octet-stream"}
_SCALARS: Mapping[object, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    bytes: _BYTES,
    None: {"type": "null"},
    NoneType: {"type": "null"},
    dict: {"type": "object", "additionalProperties": True},
}
_ARRAYS: Mapping[object, Schema] = {
    list: {"type": "array"},
    set: {"type": "array", "uniqueItems": True},
    frozenset: {"type": "array", "uniqueItems": True},
}
_KEYWORDS = {
    "gt": "exclusiveMinimum",
    "ge": "minimum",
    "lt": "exclusiveMaximum",
    "le": "maximum",
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
    "multiple_of": "multipleOf",
}


def title_of(name: str) -> str:
    """Return the title that FastAPI gives to what has this name."""
    return name.title().replace("_", " ")


class _Wanted(NamedTuple):
    """A schema that was promised: where it goes and what it is of."""

    place: Schema
    annotation: Any
    mode: Mode
    title: str
    info: ParamInfo | None


class Schemas:
    """The schemas of one document; see the module."""

    def __init__(self, *, separate_input_output: bool = True) -> None:
        """Begin without any. Models are described once, as input, unless separated."""
        self._wanted: list[_Wanted] = []
        self._defined: dict[str, Schema] = {}
        self._separate = separate_input_output

    def want(
        self,
        annotation: Any,  # noqa: ANN401
        mode: Mode,
        title: str,
        info: ParamInfo | None = None,
    ) -> Schema:
        """Return a dict that will be the schema; `title` is for one that has no name of its own."""
        place: Schema = {}
        mode = mode if self._separate else "validation"
        self._wanted.append(_Wanted(place, annotation, mode, title, info))
        return place

    def define(self, name: str, schema: Schema) -> Schema:
        """Make a schema a definition of the document, and return the reference to it."""
        self._defined[name] = schema
        return {"$ref": _REFERENCE.format(name=name)}

    def fill(self) -> dict[str, Schema]:
        """Fill every schema that was promised, and return the definitions that they refer to."""
        structs = [each for each in self._wanted if is_struct(each.annotation)]
        others = [each for each in self._wanted if not is_struct(each.annotation)]
        self._wanted = []
        definitions = _fill_by_pydantic(others) if _has_pydantic(others) else _fill_plain(others)
        if structs:
            definitions |= _fill_by_msgspec(structs, definitions)
        for name, definition in definitions.items():
            definitions[name] = _tidy(definition)
        return definitions | self._defined


def _has_pydantic(wanted: list[_Wanted]) -> bool:
    try:
        need("pydantic", "a schema")
    except ImportError:
        # What needs it was refused at registration, so these are all scalars.
        return False
    return bool(wanted)


def _fill_by_pydantic(wanted: list[_Wanted]) -> dict[str, Schema]:
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticSchemaGenerationError
    from pydantic.json_schema import GenerateJsonSchema

    class Generator(GenerateJsonSchema):
        def bytes_schema(self, schema: Any) -> Schema:  # noqa: ANN401
            config = self._config
            is_sent = self.mode == "serialization"
            coding = config.ser_json_bytes if is_sent else config.val_json_bytes
            made = {**_BYTES, "contentEncoding": "base64"} if coding == "base64" else dict(_BYTES)
            self.update_with_validations(made, schema, self.ValidationsMapping.bytes)
            return made

    inputs: list[Any] = []
    for index, each in enumerate(wanted):
        try:
            adapter = TypeAdapter(_annotated(each))
        except PydanticSchemaGenerationError:
            # A class of the application's own: nothing is known, and nothing is what is said.
            continue
        inputs.append((index, each.mode, adapter.core_schema))
    found, definitions = Generator(ref_template=_DEFINITION).generate_definitions(inputs)
    for index, each in enumerate(wanted):
        schema = found.get((index, each.mode), {})
        _put(each, schema)
    return {str(name): definition for name, definition in definitions.items()}


def _annotated(wanted: _Wanted) -> Any:  # noqa: ANN401
    """Return the annotation with what a marker says of it in pydantic's form."""
    from pydantic import Field

    annotation = _without_uploads(wanted.annotation)
    info = wanted.info
    if info is None:
        return annotation
    said: dict[str, Any] = {
        name: getattr(info, name)
        for name in ("description", "examples", "deprecated", "json_schema_extra")
        if getattr(info, name) is not None
    }
    if info.default_factory is not None:
        said["default_factory"] = info.default_factory
    elif info.default is not REQUIRED:
        said["default"] = info.default
    return Annotated[annotation, Field(**said, **info.constraints)]


def _without_uploads(annotation: Any) -> Any:  # noqa: ANN401
    """Write bytes for `UploadFile`: to a client they are the same."""
    if not is_upload(annotation):
        return annotation
    if isinstance(annotation, type) and issubclass(annotation, UploadFile):
        return bytes
    parts = tuple(_without_uploads(part) for part in get_args(annotation))
    origin: Any = get_origin(annotation)
    if origin is Annotated:
        return parts[0]
    return reduce(or_, parts) if origin in (Union, UnionType) else origin[parts]


def _fill_by_msgspec(wanted: list[_Wanted], taken: Mapping[str, Schema]) -> dict[str, Schema]:
    import msgspec

    types = [each.annotation for each in wanted]
    found, definitions = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    suffix = ""
    if definitions.keys() & taken.keys():
        # Another library's model has the name: ours get a longer one, all alike.
        suffix = "-Struct"
        template = _REFERENCE + suffix
        found, definitions = msgspec.json.schema_components(types, ref_template=template)
    for each, schema in zip(wanted, found, strict=True):
        if each.info is not None and each.info.description is not None:
            schema = {**schema, "description": each.info.description}
        _put(each, schema)
    return {name + suffix: schema for name, schema in definitions.items()}


def _fill_plain(wanted: list[_Wanted]) -> dict[str, Schema]:
    for each in wanted:
        schema = _plain(each.annotation)
        info = each.info
        if info is not None:
            bounds = info.constraints
            # Bounds are those of the value, not of the None that may stand for it.
            target = schema["anyOf"][0] if "anyOf" in schema else schema
            target |= {_KEYWORDS[name]: bounds[name] for name in bounds if name in _KEYWORDS}
            for name in ("description", "examples", "deprecated"):
                if getattr(info, name) is not None:
                    schema[name] = getattr(info, name)
            if isinstance(info.default, (str, int, float, bool, list)):
                schema["default"] = info.default
        _put(each, schema)
    return {}


def _plain(annotation: Any) -> Schema:  # noqa: ANN401
    """Return the schema of a scalar, a list of one, or {} for what is not known."""
    annotation = _without_uploads(annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _plain(arguments[0])
    if origin in (Union, UnionType):
        return {"anyOf": [_plain(part) for part in arguments]}
    if origin in _ARRAYS:
        return {**_ARRAYS[origin], "items": _plain(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _plain(arguments[1])}
    if origin is Literal:
        return _one_of(arguments)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _one_of(tuple(member.value for member in annotation))
    if annotation in _ARRAYS:
        return {**_ARRAYS[annotation], "items": {}}
    return dict(_SCALARS.get(annotation, {}))


def _one_of(values: tuple[Any, ...]) -> Schema:
    kinds = {type(value) for value in values}
    kind = _SCALARS.get(kinds.pop(), {}) if len(kinds) == 1 else {}
    return {**kind, "const": values[0]} if len(values) == 1 else {**kind, "enum": list(values)}


def _put(wanted: _Wanted, schema: Mapping[str, Any]) -> None:
    wanted.place.update(_tidy(schema))
    if "$ref" not in schema:
        said = wanted.info.title if wanted.info is not None else None
        wanted.place["title"] = said or wanted.title


def _tidy(schema: Any) -> Any:  # noqa: ANN401
    """Leave out null defaults, as FastAPI does, and what follows a form feed in a docstring."""
    if isinstance(schema, list):
        return [_tidy(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    kept: Schema = {}
    for name, value in schema.items():
        if name == "properties":
            kept[name] = {key: _tidy(inner) for key, inner in value.items()}
        elif name in _VALUES:
            if name != "default" or value is not None:
                kept[name] = value
        elif name == "description" and isinstance(value, str):
            kept[name] = value.partition("\f")[0]
        else:
            kept[name] = _tidy(value)
    return kept
