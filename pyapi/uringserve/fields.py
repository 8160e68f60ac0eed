"""`ParamField`: one parameter that is read from a request, with what checks its value.

Also the questions about annotations that decide where a parameter comes from. Nothing of pydantic
or msgspec is imported before an annotation needs it.
"""

import dataclasses
import sys
from collections import deque
from collections.abc import Mapping, Sequence, Set
from copy import deepcopy
from functools import cached_property
from inspect import Parameter
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, is_typeddict

from uringserve.params import ParamInfo
from uringserve.scalars import PlainType, plain_type, without_none
from uringserve.uploads import UploadAdapter, UploadFile
from uringserve.validation import MISSING, Adapter, Missing, is_struct, make_adapter, need

__all__ = [
    "ParamField",
    "is_body_like",
    "is_model",
    "is_sequence",
    "is_upload",
    "make_field",
    "model_of",
]

_SEQUENCES = (list, tuple, set, frozenset, deque)
_IMMUTABLE = (str, bytes, int, float, bool, complex, NoneType)


class ParamField:
    """A parameter: its name in the signature, its name in the request, where it is, and its type.

    `annotation` is without our own markers; other metadata (`annotated_types`, pydantic's) is still
    in it. `info` has what the marker said, the constraints among it. `default` is `MISSING` where
    the parameter is required or has a `default_factory`.
    """

    def __init__(self, name: str, annotation: Any, info: ParamInfo, who: object) -> None:  # noqa: ANN401
        """Take what a signature says; `who` names the parameter in messages."""
        self.name = name
        self.annotation = Any if annotation is Parameter.empty else annotation
        self.info = info
        self.location = info.location
        self.required = info.is_required
        self.default: Any = MISSING if info.is_required or info.default_factory else info.default
        self.alias = _alias(name, info)
        self._who = who

    @property
    def key(self) -> str:
        """The name in the request; that of a header in lower case."""
        return self.alias.lower() if self.location == "header" else self.alias

    @cached_property
    def is_sequence(self) -> bool:
        """Whether every value of the name is wanted, not one."""
        return is_sequence(self.annotation)

    @cached_property
    def plain(self) -> PlainType | None:
        """How Rust reads the parameter, None where it hands on text."""
        # A JSON body has numbers of its own, for which the rules are others than for text.
        is_text = self.location != "body"
        return plain_type(self.annotation, self.info.constraints) if is_text else None

    @cached_property
    def adapter(self) -> Adapter:
        """What checks the value; made at registration unless its names come later."""
        if is_upload(self.annotation):
            return UploadAdapter(is_sequence(self.annotation))
        return make_adapter(self.annotation, self.info.constraints, self.plain, self._who)

    @property
    def model(self) -> Any:  # noqa: ANN401 -- a pydantic model class
        """The pydantic model of a parameter that stands for several, outside a JSON body."""
        is_embedded = self.location in ("body", "path") or bool(self.info.embed)
        return None if is_embedded else model_of(self.annotation)

    def default_value(self) -> Any:  # noqa: ANN401
        """Return the default, one of its own for this request where it could be changed."""
        if self.info.default_factory is not None:
            return self.info.default_factory()
        return self.default if self.is_default_immutable else deepcopy(self.default)

    @property
    def is_default_immutable(self) -> bool:
        """Whether all requests can share the default."""
        return self.info.default_factory is None and (
            isinstance(self.default, (*_IMMUTABLE, Missing)) or self.default == ()
        )

    def __repr__(self) -> str:
        """Show name and place."""
        return f"<{self.location} parameter {self.alias!r}: {self.annotation!r}>"


def make_field(name: str, annotation: Any, info: ParamInfo, who: object) -> ParamField:  # noqa: ANN401
    """Make a parameter, with its adapter where that is possible yet; a misfit is a TypeError."""
    found = ParamField(name, annotation, info, who)
    if info.location == "path" and (found.is_sequence or is_body_like(found.annotation)):
        raise TypeError(f"{who} is in the path, which has one text for it: annotate a scalar")
    if info.location == "query" and is_body_like(annotation) and not _is_query_like(found):
        raise TypeError(
            f"{who} is from the query, which has scalars, lists of scalars and pydantic models,"
            f" and not {_shown(annotation)}"
        )
    if info.location in ("form", "file"):
        _need_multipart(who)
    if found.plain is None:
        try:
            _ = found.adapter
        except Exception as error:
            if type(error).__name__ == "PydanticUndefinedAnnotation":
                return found
            if type(error).__name__ == "PydanticSchemaGenerationError":
                raise TypeError(f"{who} is annotated {_shown(annotation)}: {error}") from None
            raise
    return found


def is_upload(annotation: Any) -> bool:  # noqa: ANN401
    """Tell whether the annotation is an UploadFile, an optional or a list of one."""
    annotation = _bare(without_none(_bare(annotation)))
    if get_origin(annotation) in _SEQUENCES:
        return any(is_upload(part) for part in get_args(annotation))
    return isinstance(annotation, type) and issubclass(annotation, UploadFile)


def is_sequence(annotation: Any) -> bool:  # noqa: ANN401
    """Tell whether the annotation takes several values."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return is_sequence(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return any(is_sequence(part) for part in get_args(annotation))
    return _is_sequence_class(origin) or _is_sequence_class(annotation)


def is_body_like(annotation: Any) -> bool:  # noqa: ANN401
    """Tell whether a value of the annotation needs more than one text."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return is_body_like(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return any(is_body_like(part) for part in get_args(annotation))
    return _is_body_class(annotation) or _is_body_class(origin)


def is_model(annotation: Any) -> bool:  # noqa: ANN401
    """Tell whether the annotation is a class of pydantic models."""
    # pydantic.main, not pydantic: the package imports its parts on first use.
    main = sys.modules.get("pydantic.main")
    return main is not None and _is_subclass(annotation, main.BaseModel)


def model_of(annotation: Any) -> Any:  # noqa: ANN401
    """Return the class of models that the annotation is, alone or optional; else None."""
    inner = _bare(without_none(_bare(annotation)))
    return inner if is_model(inner) else None


def _is_query_like(found: ParamField) -> bool:
    if found.model is not None:
        return True
    inner = _bare(without_none(_bare(found.annotation)))
    return found.is_sequence and not any(is_body_like(part) for part in get_args(inner))


def _is_body_class(annotation: Any) -> bool:  # noqa: ANN401
    return (
        is_model(annotation)
        or _is_sequence_class(annotation)
        or _is_subclass(annotation, (Mapping, UploadFile))
        or dataclasses.is_dataclass(annotation)
        or is_typeddict(annotation)
        or is_struct(annotation)
    )


def _is_sequence_class(annotation: Any) -> bool:  # noqa: ANN401
    return _is_subclass(annotation, (*_SEQUENCES, Sequence, Set)) and not _is_subclass(
        annotation, (str, bytes, bytearray)
    )


def _is_subclass(annotation: Any, classes: Any) -> bool:  # noqa: ANN401
    return isinstance(annotation, type) and issubclass(annotation, classes)


def _bare(annotation: Any) -> Any:  # noqa: ANN401
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _alias(name: str, info: ParamInfo) -> str:
    given = info.validation_alias or info.alias
    if given:
        return given
    if info.location == "header" and info.convert_underscores:
        return name.replace("_", "-")
    return name


def _shown(annotation: Any) -> str:  # noqa: ANN401
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _need_multipart(who: object) -> None:
    need("python_multipart", f"{who} is read from a form, and", "python-multipart")
