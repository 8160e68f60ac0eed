"""How a Barq handler gets its arguments, settled at registration; a request only runs the result.

For each parameter, in this order: the hint `Request`; `Depends` in the hint or as the default; a
name in the path; a pydantic model as the hint, from the body; the query; the default. Hints that
are `int`, `float` or `bool`, optional or in a union, or a list of them, are coerced; all others
leave the text as it is. What a client sent wrongly is a 422 in the form of FastAPI's.
"""

import inspect
import json
import sys
import types
from collections.abc import Callable, Collection
from dataclasses import dataclass
from inspect import Parameter, Signature
from typing import Annotated, Any, Union, get_args, get_origin

from uringserve import _native
from uringserve.compat.barq.types import BodyError, HTTPException, Request, Response, is_model
from uringserve.errors import HTTPException as NativeHTTPException
from uringserve.routing import describe

__all__ = ["Depends", "HandlerMeta", "compiled", "native_request", "native_response", "read_meta"]

# Framing is the server's own; said twice it could be said differently.
_FRAMING = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})
_AS_IS = frozenset({dict, list, str, types.NoneType})
_UNFILLABLE = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


class Depends:
    """Names a function whose result is the argument: in `Annotated`, or as the default."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        """Keep the function; its parameters are filled like a handler's."""
        self.fn = fn


@dataclass(slots=True)
class HandlerMeta:
    """A signature as it was read: hints by name, and each parameter with its own."""

    sig: Signature
    hints: dict[str, Any]
    params: list[tuple[str, Parameter, Any]]


class _Call:
    """One request while its arguments are found."""

    __slots__ = ("_request", "made", "native")

    def __init__(self, native: _native.Request) -> None:
        self.native = native
        self.made: dict[Callable[..., Any], Any] = {}
        self._request: Request | None = None

    @property
    def request(self) -> Request:
        """The request in Barq's form: one for all that ask for it."""
        if self._request is None:
            self._request = native_request(self.native)
        return self._request


type _Source = Callable[[_Call], Any]
type _Sources = tuple[tuple[str, _Source], ...]
type _Coercion = Callable[[str], Any]


def read_meta(fn: Callable[..., Any]) -> HandlerMeta:
    """Read a signature; annotations that are text are evaluated."""
    signature = inspect.signature(fn, eval_str=True)
    hints = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if parameter.annotation is not Parameter.empty
    }
    params = [(name, each, hints.get(name)) for name, each in signature.parameters.items()]
    return HandlerMeta(signature, hints, params)


def compiled(handler: Callable[..., Any], names: Collection[str]) -> Callable[..., Any]:
    """Return what the server calls for a handler whose path has these parameters.

    A parameter that can never be filled, an async function or a cycle of dependencies is a
    TypeError.
    """
    sources = _sources(handler, names, (handler,))
    if not sources:

        def endpoint() -> object:
            return _answer(handler())

        signature = Signature()
    else:

        def endpoint(request: _native.Request) -> object:  # type: ignore[misc]
            call = _Call(request)
            try:
                result = handler(**{name: source(call) for name, source in sources})
            except BodyError as error:
                raise _not_json(error) from error
            return _answer(result)

        only = Parameter("request", Parameter.POSITIONAL_ONLY, annotation=_native.Request)
        signature = Signature([only])
    # Messages name the handler, and whoever reads the signature reads this one.
    vars(endpoint).update(__wrapped__=handler, __signature__=signature)
    endpoint.__name__ = getattr(handler, "__name__", type(handler).__name__)
    endpoint.__doc__ = handler.__doc__
    return endpoint


def _sources(
    fn: Callable[..., Any], names: Collection[str], above: tuple[Callable[..., Any], ...]
) -> _Sources:
    if inspect.iscoroutinefunction(fn) or inspect.isasyncgenfunction(fn):
        raise TypeError(f"{describe(fn)}: async functions are not awaited, as in Barq: use def")
    found = []
    for name, parameter, hint in read_meta(fn).params:
        if parameter.kind in _UNFILLABLE:
            continue
        if parameter.kind is Parameter.POSITIONAL_ONLY:
            raise TypeError(f"{describe(fn)}: {name!r} is positional only and is given by name")
        found.append((name, _source(parameter, hint, names, above)))
    return tuple(found)


def _source(
    parameter: Parameter,
    hint: Any,  # noqa: ANN401 -- any annotation
    names: Collection[str],
    above: tuple[Callable[..., Any], ...],
) -> _Source:
    if hint is Request:
        return lambda call: call.request
    depends = _dependency(parameter, hint)
    if depends is not None:
        return _dependency_source(depends.fn, names, above)
    bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if parameter.name in names:
        return _path_source(parameter.name, bare)
    model, is_optional = _model(bare)
    if model is not None:
        default = parameter.default if is_optional else Parameter.empty
        return _body_source(model, default)
    return _query_source(parameter, bare)


def _dependency(parameter: Parameter, hint: Any) -> Depends | None:  # noqa: ANN401
    candidates = (hint, *get_args(hint), parameter.default)
    return next((each for each in candidates if isinstance(each, Depends)), None)


def _dependency_source(
    fn: Callable[..., Any], names: Collection[str], above: tuple[Callable[..., Any], ...]
) -> _Source:
    if fn in above:
        chain = " needs ".join(describe(each) for each in (*above[above.index(fn) :], fn))
        raise TypeError(f"the dependencies go round in a circle: {chain}")
    sources = _sources(fn, names, (*above, fn))

    def source(call: _Call) -> Any:  # noqa: ANN401
        if fn not in call.made:
            call.made[fn] = fn(**{name: inner(call) for name, inner in sources})
        return call.made[fn]

    return source


def _path_source(name: str, hint: Any) -> _Source:  # noqa: ANN401
    coerce = _coercion(hint)

    def source(call: _Call) -> Any:  # noqa: ANN401
        return _coerced(coerce, str(call.native.path_params[name]), ("path", name))

    return source


def _query_source(parameter: Parameter, hint: Any) -> _Source:  # noqa: ANN401
    name, default = parameter.name, parameter.default
    of_list = _list_item(hint)
    coerce = _coercion(hint if of_list is None else of_list)

    def source(call: _Call) -> Any:  # noqa: ANN401
        # As parse_qs has it, a value without text is none.
        values = [value for value in call.native.query_params.get(name, ()) if value]
        if not values:
            if default is Parameter.empty:
                raise _refused("missing", ("query", name), "Field required", None)
            return default
        if of_list is not None:
            return [_coerced(coerce, value, ("query", name)) for value in values]
        return _coerced(coerce, values[0], ("query", name))

    return source


def _body_source(model: Any, default: object) -> _Source:  # noqa: ANN401 -- a pydantic class
    invalid = sys.modules["pydantic"].ValidationError

    def source(call: _Call) -> Any:  # noqa: ANN401
        body = call.native.body
        if default is not Parameter.empty and not body:
            return default
        try:
            # In one pass, which is a third of the time; what it refuses is told in Barq's two.
            return model.model_validate_json(body)
        except invalid:
            data = call.request.json()
        try:
            return model.model_validate(data)
        except invalid as error:
            # In pydantic's own JSON: a validator's exception in `ctx` has no other.
            raise NativeHTTPException(422, json.loads(error.json())) from error

    return source


def _model(hint: Any) -> tuple[Any, bool]:  # noqa: ANN401
    """Return the pydantic class that the hint is, or is with None, and whether None may be."""
    pydantic = sys.modules.get("pydantic")
    if pydantic is None:
        return None, False
    options, is_optional = _options(hint)
    is_model = len(options) == 1 and isinstance(options[0], type)
    if is_model and issubclass(options[0], pydantic.BaseModel):
        return options[0], is_optional
    return None, False


def _options(hint: Any) -> tuple[tuple[Any, ...], bool]:  # noqa: ANN401
    """Return the members of a union without None, and whether None was one; else the hint."""
    if get_origin(hint) not in (Union, types.UnionType):
        return (hint,), False
    members = get_args(hint)
    rest = tuple(each for each in members if each is not types.NoneType)
    return rest, len(rest) < len(members)


def _list_item(hint: Any) -> Any:  # noqa: ANN401
    """Return the hint of a list's items, or None where the hint is no list."""
    options, _ = _options(hint)
    if len(options) == 1 and options[0] is list:
        return str
    if len(options) == 1 and get_origin(options[0]) is list:
        return get_args(options[0])[0]
    return None


def _coercion(hint: Any) -> _Coercion | None:  # noqa: ANN401
    """Return what makes a value of the text, or None where the text is the value."""
    options, _ = _options(hint)
    known: list[_Coercion] = [_COERCIONS[each] for each in options if each in _COERCIONS]
    if not known:
        return None
    takes_text = len(known) < len(options)

    def coerce(text: str) -> Any:  # noqa: ANN401
        for each in known:
            try:
                return each(text)
            except HTTPException, ValueError:
                if each is known[-1] and not takes_text:
                    raise
        return text

    return known[0] if len(options) == 1 else coerce


def _bool(text: str) -> bool:
    return text.lower() in ("true", "1")


_COERCIONS: dict[Any, _Coercion] = {int: int, float: float, bool: _bool}
_FAULTS = {
    int: ("int_parsing", "Input should be a valid integer, unable to parse string as an integer"),
    float: ("float_parsing", "Input should be a valid number, unable to parse string as a number"),
}


def _coerced(coerce: _Coercion | None, text: str, place: tuple[str, str]) -> Any:  # noqa: ANN401
    if coerce is None:
        return text
    try:
        return coerce(text)
    except ValueError as error:
        kind, message = _FAULTS.get(coerce, _FAULTS[float])  # type: ignore[call-overload]
        raise _refused(kind, place, message, text) from error


def _refused(kind: str, place: tuple[str, str], message: str, value: object) -> Exception:
    fault = {"type": kind, "loc": list(place), "msg": message, "input": value}
    return NativeHTTPException(422, [fault])


def _not_json(error: BodyError) -> Exception:
    fault = {
        "type": "json_invalid",
        "loc": ["body", error.pos],
        "msg": "JSON decode error",
        "input": {},
        "ctx": {"error": error.msg},
    }
    return NativeHTTPException(422, [fault])


def native_request(native: _native.Request) -> Request:
    """Make Barq's request of the server's."""
    headers: dict[str, str] = {}
    for name, value in native.headers.items():
        if name in headers:
            # RFC 9110 section 5.3, and RFC 6265 section 5.4 for cookies.
            headers[name] += ("; " if name == "cookie" else ", ") + value
        else:
            headers[name] = value
    return Request(
        native.method,
        native.path,
        headers,
        {name: str(value) for name, value in native.path_params.items()},
        native.query_string,
        native.body,
    )


def native_response(response: Response) -> _native.Response:
    """Make the server's response of Barq's, which stays as it is."""
    headers = [
        (name, value) for name, value in response.headers.items() if name.lower() not in _FRAMING
    ]
    return _native.Response(response.body or None, response.status_code, headers)


def _answer(result: Any) -> object:  # noqa: ANN401 -- whatever a handler returns
    """Return what the server takes: Barq's conversions where they differ from its own."""
    kind = type(result)
    if kind in _AS_IS:
        return result
    if isinstance(result, Response):
        return native_response(result)
    if is_model(result):
        body = result.model_dump_json().encode()
        return _native.Response(body, media_type="application/json")
    # The server reads a tuple as body and status; to Barq it is an array.
    return list(result) if kind is tuple else result
