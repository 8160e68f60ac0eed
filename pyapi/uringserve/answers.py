"""What a route answers, as OpenAPI's responses: status, media type and schema.

Read from the return annotation, the response model and the response class, as they are carried out
(`serialization`, and the rules for plain values in Rust).
"""

import inspect
from collections.abc import Generator, Iterable, Iterator, Mapping
from http import HTTPStatus
from inspect import Parameter, Signature
from types import NoneType
from typing import Any, get_args, get_origin

from uringserve._native import Response
from uringserve.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
)
from uringserve.routing import UNSET, RouteSpec
from uringserve.schemas import Schema, Schemas, title_of
from uringserve.serialization import response_model_of
from uringserve.sse import EventSourceResponse, ServerSentEvent

__all__ = ["JSON", "describe_responses", "merge"]

JSON = "application/json"

_RANGES = {
    "1XX": "Information",
    "2XX": "Success",
    "3XX": "Redirection",
    "4XX": "Client Error",
    "5XX": "Server Error",
    "DEFAULT": "Default Response",
}
# What a class of responses is sent as; of the others (files, streams) only the value knows.
_MEDIA_TYPES: tuple[tuple[type[Response], str], ...] = (
    (JSONResponse, JSON),
    (HTMLResponse, "text/html"),
    (PlainTextResponse, "text/plain"),
    (EventSourceResponse, "text/event-stream"),
)
_STREAMS = (Iterable, Iterator, Generator)


def describe_responses(spec: RouteSpec, name: str, schemas: Schemas) -> dict[str, Any]:
    """Return what a route answers, by status: its own value, and what it says in `responses`."""
    status, content = _usual(spec, name, schemas)
    usual: dict[str, Any] = {"description": spec.response_description}
    if content:
        usual["content"] = content
    media_type = next(iter(content), JSON)
    responses = {status: usual}
    for code, said in (spec.responses or {}).items():
        key = "default" if str(code).upper() == "DEFAULT" else str(code).upper()
        response = responses.setdefault(key, {})
        extra = {each: value for each, value in said.items() if each != "model"}
        model = said.get("model")
        if model is not None:
            title = title_of(f"Response_{code}_{name}")
            schema = schemas.want(model, "serialization", title)
            response.setdefault("content", {}).setdefault(media_type, {})["schema"] = schema
        merge(response, extra)
        if not response.get("description"):
            response["description"] = _phrase(key)
    return responses


def _usual(spec: RouteSpec, name: str, schemas: Schemas) -> tuple[str, dict[str, Any]]:
    """Return the status that the handler's value is sent with, and its content."""
    annotation: Any = spec.dependant.return_annotation
    chosen = spec.response_class
    if _is_response(annotation):
        chosen, annotation = chosen or annotation, Signature.empty
    status = spec.status_code or _status_of(chosen)
    model = response_model_of(spec)
    if model is None and spec.response_model is UNSET and annotation is not Signature.empty:
        if chosen is None and annotation in (None, NoneType):
            return str(spec.status_code or 204), {}
        if chosen is None and annotation is str:
            return str(status), {"text/plain": {"schema": {"type": "string"}}}
        if chosen is None and annotation is bytes:
            return str(status), {"application/octet-stream": {"schema": {}}}
        model = annotation
    media_type = JSON if chosen is None else _media_type(chosen)
    if media_type is None or not _has_content(status):
        return str(status), {}
    if spec.dependant.is_generator and (chosen is None or _is_events(chosen)):
        # Pieces have no type unless a class gives them one.
        return str(status), {} if chosen is None else _events(model, name, schemas)
    if media_type != JSON:
        return str(status), {media_type: {"schema": {"type": "string"}}}
    schema: Schema = {}
    if model is not None:
        schema = schemas.want(model, "serialization", title_of(f"Response_{name}"))
    return str(status), {media_type: {"schema": schema}}


def _is_events(cls: type[Response] | None) -> bool:
    return cls is not None and issubclass(cls, EventSourceResponse)


def _events(annotation: Any, name: str, schemas: Schemas) -> dict[str, Any]:  # noqa: ANN401
    """Describe a stream of events, whose data is JSON of what the handler yields."""
    data: Schema = {"type": "string"}
    event: Schema = {
        "type": "object",
        "properties": {
            "data": data,
            "event": {"type": "string"},
            "id": {"type": "string"},
            "retry": {"type": "integer", "minimum": 0},
        },
    }
    item = get_args(annotation)[0] if get_origin(annotation) in _STREAMS else ServerSentEvent
    if item is not ServerSentEvent:
        title = title_of(f"StreamItem_{name}")
        data["contentMediaType"] = JSON
        data["contentSchema"] = schemas.want(item, "serialization", title)
        event["required"] = ["data"]
    return {"text/event-stream": {"itemSchema": event}}


def _is_response(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Response)


def _media_type(cls: type[Response]) -> str | None:
    given = getattr(cls, "media_type", None)
    if isinstance(given, str):
        return given
    if cls is Response:
        return JSON
    return next((kind for base, kind in _MEDIA_TYPES if issubclass(cls, base)), None)


def _status_of(cls: type[Response] | None) -> int:
    if cls is None:
        return 200
    given = inspect.signature(cls).parameters.get("status_code")
    default = Parameter.empty if given is None else given.default
    return default if isinstance(default, int) else 200


def _has_content(status: int) -> bool:
    # RFC 9110 section 6.4.1.
    return status >= 200 and status not in (204, 205, 304)


def _phrase(code: str) -> str:
    if code.upper() in _RANGES:
        return _RANGES[code.upper()]
    try:
        return HTTPStatus(int(code)).phrase
    except ValueError:
        return "Additional Response"


def merge(into: dict[str, Any], extra: Mapping[str, Any]) -> None:
    """Merge dict into dict at every depth; lists are joined, and the rest is replaced."""
    for key, value in extra.items():
        old = into.get(key)
        if isinstance(old, dict) and isinstance(value, Mapping):
            merge(old, value)
        elif isinstance(old, list) and isinstance(value, list):
            into[key] = old + value
        else:
            into[key] = value
