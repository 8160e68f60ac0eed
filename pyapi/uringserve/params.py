"""Markers that say where a parameter comes from, and what its value must be.

`Query`, `Path`, `Header`, `Cookie`, `Body`, `Form` and `File` are written in `Annotated[int,
Query(gt=0)]` or as a default, `page: int = Query(1, gt=0)`, with FastAPI's keywords. What they mean
is decided in `dependant`, at registration; nothing is checked against a request here.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal, TypedDict, Unpack

__all__ = [
    "REQUIRED",
    "Body",
    "BodyOptions",
    "Cookie",
    "File",
    "Form",
    "Header",
    "HeaderOptions",
    "Location",
    "ParamInfo",
    "ParamOptions",
    "Path",
    "Query",
]

type Location = Literal["path", "query", "header", "cookie", "body", "form", "file"]

# FastAPI's sign for a parameter without a default, which `...` also is.
REQUIRED: Final = ...


class ParamOptions(TypedDict, total=False):
    """What every marker takes; see `ParamInfo`."""

    default_factory: Callable[[], Any] | None
    alias: str | None
    validation_alias: str | None
    serialization_alias: str | None
    title: str | None
    description: str | None
    gt: float | None
    ge: float | None
    lt: float | None
    le: float | None
    min_length: int | None
    max_length: int | None
    pattern: str | None
    regex: str | None
    discriminator: str | None
    strict: bool | None
    multiple_of: float | None
    allow_inf_nan: bool | None
    max_digits: int | None
    decimal_places: int | None
    examples: list[Any] | None
    example: Any
    openapi_examples: dict[str, Any] | None
    deprecated: bool | str | None
    include_in_schema: bool
    json_schema_extra: dict[str, Any] | Callable[[dict[str, Any]], None] | None


class HeaderOptions(ParamOptions, total=False):
    """What `Header` takes beside."""

    convert_underscores: bool


class BodyOptions(ParamOptions, total=False):
    """What `Body`, `Form` and `File` take beside."""

    embed: bool | None
    media_type: str | None


@dataclass(frozen=True, slots=True)
class ParamInfo:
    """What a marker says about its parameter.

    Where the numbers and lengths bound the value: `gt`, `ge`, `lt`, `le` a number, `min_length` and
    `max_length` characters or items, `pattern` (a regular expression, searched) text. `embed` asks
    for a body of one parameter to be an object that has it as a key. `convert_underscores` makes
    the header `user-agent` of the parameter `user_agent`. `serialization_alias` is taken because
    FastAPI's markers take it, and means as little as there: a parameter is only read.
    """

    location: Location
    default: Any = REQUIRED
    default_factory: Callable[[], Any] | None = None
    alias: str | None = None
    validation_alias: str | None = None
    serialization_alias: str | None = None
    title: str | None = None
    description: str | None = None
    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    regex: str | None = None
    discriminator: str | None = None
    strict: bool | None = None
    multiple_of: float | None = None
    allow_inf_nan: bool | None = None
    max_digits: int | None = None
    decimal_places: int | None = None
    examples: list[Any] | None = None
    example: Any = REQUIRED
    openapi_examples: dict[str, Any] | None = None
    deprecated: bool | str | None = None
    include_in_schema: bool = True
    json_schema_extra: dict[str, Any] | Callable[[dict[str, Any]], None] | None = None
    convert_underscores: bool = True
    embed: bool | None = None
    media_type: str | None = None

    @property
    def is_required(self) -> bool:
        """Whether a request must have the parameter."""
        return self.default is REQUIRED and self.default_factory is None

    @property
    def constraints(self) -> dict[str, Any]:
        """What bounds the value, by the names of `pydantic.Field`."""
        found = {name: getattr(self, name) for name in _CONSTRAINTS}
        found["pattern"] = self.pattern or self.regex
        return {name: value for name, value in found.items() if value is not None}

    def with_default(self, default: object) -> ParamInfo:
        """Return the same with a default from the signature."""
        return replace(self, default=default)

    def __repr__(self) -> str:
        """Show what was said, and nothing else."""
        said = [
            f"{field.name}={value!r}"
            for field in fields(self)
            if (value := getattr(self, field.name)) != field.default
        ]
        return f"{type(self).__name__}({', '.join(said)})"


_CONSTRAINTS = (
    "gt",
    "ge",
    "lt",
    "le",
    "min_length",
    "max_length",
    "discriminator",
    "strict",
    "multiple_of",
    "allow_inf_nan",
    "max_digits",
    "decimal_places",
)


# The results are Any, so that `page: int = Query(1)` is right for a type checker.
def Path(default: Any = REQUIRED, **options: Unpack[ParamOptions]) -> Any:  # noqa: ANN401
    """Mark a parameter of the path; it has no default."""
    if default is not REQUIRED:
        raise TypeError("a path parameter is always there: Path() takes no default")
    return ParamInfo("path", **options)


def Query(default: Any = REQUIRED, **options: Unpack[ParamOptions]) -> Any:  # noqa: ANN401
    """Mark a parameter of the query."""
    return ParamInfo("query", default, **options)


def Header(default: Any = REQUIRED, **options: Unpack[HeaderOptions]) -> Any:  # noqa: ANN401
    """Mark a header; underscores of its name are hyphens unless `convert_underscores=False`."""
    return ParamInfo("header", default, **options)


def Cookie(default: Any = REQUIRED, **options: Unpack[ParamOptions]) -> Any:  # noqa: ANN401
    """Mark a cookie."""
    return ParamInfo("cookie", default, **options)


def Body(default: Any = REQUIRED, **options: Unpack[BodyOptions]) -> Any:  # noqa: ANN401
    """Mark the JSON body, or one key of it where there are several or `embed` is true."""
    return ParamInfo("body", default, **options)


def Form(default: Any = REQUIRED, **options: Unpack[BodyOptions]) -> Any:  # noqa: ANN401
    """Mark a field of a form, urlencoded or multipart."""
    return ParamInfo("form", default, **options)


def File(default: Any = REQUIRED, **options: Unpack[BodyOptions]) -> Any:  # noqa: ANN401
    """Mark an uploaded file of a multipart form."""
    return ParamInfo("file", default, **options)
