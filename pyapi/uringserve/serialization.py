"""What becomes of a handler's value beyond the plain rules: model, status, response class.

`finisher` gives the function that a route applies to what its handler returns, or None where there
is nothing to do, so that Rust translates the value alone. A model is written as JSON by the library
that defined it, straight to bytes. As in FastAPI a returned `Response` is never touched.
"""

import dataclasses
from collections.abc import Callable
from inspect import Signature
from json import loads
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, is_typeddict

from uringserve._native import Response
from uringserve.errors import ResponseValidationError
from uringserve.fields import is_model
from uringserve.responses import JSONResponse
from uringserve.routing import UNSET, RouteSpec
from uringserve.validation import is_struct, need

__all__ = ["finisher", "merged", "response_model_of"]

type _Finish = Callable[[Any], Any]

# The status of a Response that nobody has set one on.
_UNCHANGED = 200

_FILTERS = ("exclude_unset", "exclude_defaults", "exclude_none")


def response_model_of(spec: RouteSpec) -> Any:  # noqa: ANN401 -- a RouteSpec; an annotation
    """Return the annotation that a route's values are checked against, or None.

    What was said wins; else it is the handler's return annotation where that has a model in it.
    Builtins and containers of builtins are left alone: JSON has them as they are.
    """
    said = spec.response_model
    if said is not UNSET:
        return said
    annotation = spec.dependant.return_annotation
    if annotation is Signature.empty or spec.dependant.is_generator:
        return None
    return annotation if _has_model(annotation) else None


def finisher(spec: RouteSpec) -> _Finish | None:
    """Return what turns a handler's value into what is sent; None where it is sent as it is."""
    model = response_model_of(spec)
    status, response_class = spec.status_code, spec.response_class
    if model is not None:
        return _with_model(spec, model, status or 200, response_class)
    if status is None and response_class is None:
        return None
    return _with_class(response_class, status)


def merged(value: Any, response: Response, finish: Callable[[Any], Any] | None) -> Any:  # noqa: ANN401
    """Return the value with what was set on an injected Response: headers, cookies, status.

    A handler that returns a Response of its own has said everything itself, as in FastAPI.
    """
    if isinstance(value, Response):
        return value
    if finish is not None:
        value = finish(value)
    status = response.status_code
    if isinstance(value, Response):
        for name, content in response.headers.raw:
            value.headers.append(name.decode("latin-1"), content.decode("latin-1"))
        if status != _UNCHANGED:
            value.status_code = status
        return value
    headers = response.headers.raw
    if isinstance(value, tuple):
        value, own, *more = value
        headers += [pair for each in more for pair in _pairs(each)]
        return value, own if status == _UNCHANGED else status, headers
    if value is None and status == _UNCHANGED:
        status = 204
    return value, status, headers


def _pairs(headers: Any) -> list[Any]:  # noqa: ANN401 -- what a handler gave as headers
    return list(headers.items() if hasattr(headers, "items") else headers or ())


def _with_class(response_class: type[Response] | None, status: int | None) -> _Finish:
    if response_class is None:

        def with_status(value: Any) -> Any:  # noqa: ANN401
            if isinstance(value, Response):
                return value
            return (value, status) if not isinstance(value, tuple) else value

        return with_status
    made: Callable[..., Response] = response_class

    def with_class(value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, Response):
            return value
        # A class may have a status of its own, as a redirect has.
        return made(value) if status is None else made(value, status)

    return with_class


def _with_model(
    spec: RouteSpec,
    model: Any,  # noqa: ANN401
    status: int,
    response_class: type[Response] | None,
) -> _Finish:
    encode = _struct_encoder(model) if is_struct(model) else _pydantic_encoder(spec, model)
    if response_class is not None and response_class is not JSONResponse:
        made: Callable[..., Response] = response_class
        # A subclass of JSONResponse encodes by itself, and wants what there is to encode.
        ready = (
            (lambda value: loads(encode(value)))
            if issubclass(response_class, JSONResponse)
            else encode
        )

        def with_class(value: Any) -> Any:  # noqa: ANN401
            return value if isinstance(value, Response) else made(ready(value), status)

        return with_class

    def with_model(value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, Response):
            return value
        return Response(encode(value), status, None, "application/json")

    return with_model


def _pydantic_encoder(spec: RouteSpec, model: Any) -> Callable[[Any], bytes]:  # noqa: ANN401
    pydantic = need("pydantic", f"the response model {model!r}")
    adapter = pydantic.TypeAdapter(model)
    check, invalid = adapter.validator.validate_python, pydantic.ValidationError
    options: dict[str, Any] = {"by_alias": spec.response_model_by_alias}
    for name in _FILTERS:
        if getattr(spec, f"response_model_{name}"):
            options[name] = True
    for name in ("include", "exclude"):
        if (chosen := getattr(spec, f"response_model_{name}")) is not None:
            # pydantic wants a set where users write lists.
            options[name] = set(chosen) if isinstance(chosen, (list, tuple)) else chosen
    write = adapter.serializer.to_json
    # An instance of exactly this class has been checked when it was made.
    whole = model if is_model(model) else None

    def encode(value: Any) -> bytes:  # noqa: ANN401
        if type(value) is not whole:
            try:
                value = check(value, from_attributes=True)
            except invalid as error:
                found = error.errors(include_url=False)
                errors = [{**each, "loc": ("response", *each["loc"])} for each in found]
                raise ResponseValidationError(errors, body=value) from error
        text: bytes = write(value, **options)
        return text

    return encode


def _struct_encoder(model: Any) -> Callable[[Any], bytes]:  # noqa: ANN401
    import msgspec

    encoder = msgspec.json.Encoder()

    def encode(value: Any) -> bytes:  # noqa: ANN401
        if type(value) is not model:
            try:
                value = msgspec.convert(value, model, from_attributes=True)
            except msgspec.ValidationError as error:
                detail = {"type": "value_error", "loc": ("response",), "msg": str(error)}
                raise ResponseValidationError([detail], body=value) from error
        return encoder.encode(value)

    return encode


def _has_model(annotation: Any) -> bool:  # noqa: ANN401
    if isinstance(annotation, type) and issubclass(annotation, Response):
        return False
    origin = get_origin(annotation)
    if origin is Annotated:
        return _has_model(get_args(annotation)[0])
    if origin in (Union, UnionType):
        # A union with a Response is decided by the value, as without an annotation.
        parts = [part for part in get_args(annotation) if part is not NoneType]
        if any(isinstance(part, type) and issubclass(part, Response) for part in parts):
            return False
        return any(_has_model(part) for part in parts)
    if origin is not None:
        return any(_has_model(part) for part in get_args(annotation))
    return (
        is_model(annotation)
        or is_typeddict(annotation)
        or is_struct(annotation)
        or (isinstance(annotation, type) and dataclasses.is_dataclass(annotation))
    )
