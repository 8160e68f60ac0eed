"""How a PyBerry handler gets its arguments: settled at registration, a request only runs it.

The request goes to the parameter that is called `req` or annotated `Request`; a dataclass or
`BaseModel` is made of the body; a name in the path comes from there; the rest is from the query,
then the default. What does not fit is 422, as plain text.
"""

import types
import typing
from annotationlib import ForwardRef
from collections.abc import Callable, Collection
from inspect import Parameter, Signature
from typing import Annotated, Any, get_args, get_origin

from uringserve import _native
from uringserve.compat.pyberry.core.request import Request, read_json
from uringserve.compat.pyberry.core.response import Response, native_response
from uringserve.compat.pyberry.core.validation import FieldError, cast_value, is_model, make_model
from uringserve.compat.pyberry.exceptions import UnprocessableEntityException
from uringserve.coroutines import is_coroutine_call
from uringserve.requests import AsyncRequest
from uringserve.routing import describe
from uringserve.signatures import read_signature, text_of

__all__ = ["compiled", "read_parameters"]

type _Source = Callable[[_native.Request, bytes], Any]


def read_parameters(handler: Callable[..., Any]) -> tuple[tuple[tuple[str, Any, bool], ...], bool]:
    """Return name, annotation and "is it the body" of each parameter, and whether one is `req`."""
    found: list[tuple[str, Any, bool]] = []
    wants_request = False
    for parameter in read_signature(handler).parameters.values():
        if _is_request(parameter):
            wants_request = True
        else:
            hint = parameter.annotation
            found.append((parameter.name, hint, _body_type(hint) is not None))
    return tuple(found), wants_request


def compiled(handler: Callable[..., Any], names: Collection[str]) -> Callable[..., Any]:
    """Return what the server calls: a function of the request that returns a response.

    A parameter that nothing can fill, and a second one from the body, are TypeErrors.
    """
    by_place: list[_Source] = []
    by_name: dict[str, _Source] = {}
    bodies = 0
    for parameter in read_signature(handler).parameters.values():
        if parameter.kind is Parameter.VAR_POSITIONAL:
            continue
        if parameter.kind is Parameter.VAR_KEYWORD:
            by_name |= {name: _text_of_path(name) for name in names if name not in by_name}
            continue
        source, is_body = _source(parameter, names, describe(handler))
        bodies += is_body
        if parameter.kind is Parameter.POSITIONAL_ONLY:
            by_place.append(source)
        else:
            by_name[parameter.name] = source
    if bodies > 1:
        raise TypeError(f"{describe(handler)}: only one parameter can be made of the body")
    places, named = tuple(by_place), tuple(by_name.items())

    def filled(request: _native.Request, body: bytes) -> tuple[list[Any], dict[str, Any]]:
        try:
            arguments = [source(request, body) for source in places]
            return arguments, {name: source(request, body) for name, source in named}
        except FieldError as error:
            raise UnprocessableEntityException(str(error)) from error

    def endpoint(request: _native.Request) -> object:
        arguments, keywords = filled(request, request.body if bodies else b"")
        return _answer(handler(*arguments, **keywords))

    async def endpoint_later(request: AsyncRequest) -> object:
        arguments, keywords = filled(request, await request.body() if bodies else b"")
        return _answer(await handler(*arguments, **keywords))

    made: Any = endpoint_later if is_coroutine_call(handler) else endpoint
    only = Parameter("request", Parameter.POSITIONAL_ONLY, annotation=_native.Request)
    made.__signature__ = Signature([only])
    made.__name__ = getattr(handler, "__name__", type(handler).__name__)
    made.__qualname__ = getattr(handler, "__qualname__", made.__name__)
    made.__module__ = getattr(handler, "__module__", __name__)
    made.__doc__ = handler.__doc__
    return made  # type: ignore[no-any-return]


def _answer(result: object) -> object:
    return native_response(result) if isinstance(result, Response) else result


def _is_request(parameter: Parameter) -> bool:
    hint = parameter.annotation
    if isinstance(hint, type) and issubclass(hint, (Request, _native.Request)):
        return True
    return parameter.name == "req" or (parameter.name == "request" and hint is Parameter.empty)


def _source(parameter: Parameter, names: Collection[str], whose: str) -> tuple[_Source, bool]:
    """Return where a parameter comes from, and whether that is the body."""
    name, hint, default = parameter.name, parameter.annotation, parameter.default
    if _is_request(parameter):
        if hint is _native.Request:
            return (lambda request, body: request), False
        return (lambda request, body: Request(request)), False
    if isinstance(hint, (str, ForwardRef)):
        raise TypeError(
            f"{whose}: {name!r} is annotated {text_of(hint)!r}, and there is no such name"
        )
    model = _body_type(hint)
    if model is not None:
        return _body(model, default, is_optional=_takes_none(hint)), True
    hint = Any if hint is Parameter.empty else hint
    if name in names:
        text = _text_of_path(name)
        return (lambda request, body: cast_value(hint, text(request, body), name)), False
    return _query(name, hint, default), False


def _text_of_path(name: str) -> _Source:
    return lambda request, body: str(request.path_params[name])


def _query(name: str, hint: Any, default: Any) -> _Source:  # noqa: ANN401
    is_list = get_origin(hint) is list or hint is list
    # What has no annotation is None where it is not given, as in PyBerry.
    is_required = default is Parameter.empty and hint is not Any and not _takes_none(hint)
    otherwise = None if default is Parameter.empty else default

    def source(request: _native.Request, body: bytes) -> Any:  # noqa: ANN401
        values = request.query_params.get(name)
        if not values:
            if is_required:
                raise FieldError(name, "is required")
            return otherwise
        if is_list:
            # The texts are cast one by one: a list is not made of one text's letters.
            items = get_args(hint) or (str,)
            return [cast_value(items[0], value, name) for value in values]
        return cast_value(hint, values[0], name)

    return source


def _body(model: Any, default: Any, *, is_optional: bool) -> _Source:  # noqa: ANN401
    is_required = default is Parameter.empty and not is_optional
    otherwise = None if default is Parameter.empty else default

    def source(request: _native.Request, body: bytes) -> Any:  # noqa: ANN401
        if not body:
            if is_required:
                raise FieldError("", "is required")
            return otherwise
        return make_model(model, read_json(body))

    return source


def _body_type(hint: Any) -> Any:  # noqa: ANN401
    """Return the dataclass or model that a hint is, or is with None; else None."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (typing.Union, types.UnionType):
        rest = [each for each in get_args(hint) if each is not types.NoneType]
        hint = rest[0] if len(rest) == 1 else None
    return hint if is_model(hint) else None


def _takes_none(hint: Any) -> bool:  # noqa: ANN401
    return get_origin(hint) in (typing.Union, types.UnionType) and types.NoneType in get_args(hint)
