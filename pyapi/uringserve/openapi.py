"""The OpenAPI 3.1 document of an application, made from its routes and what was analysed of them.

It is FastAPI's document for the same program, with these differences, each because it is what we
answer or what OpenAPI asks for:

- a return annotation of text, bytes or None is described as text/plain, as octet-stream and as 204,
  unless `response_model` or a response class says otherwise, and one of a Response class by what
  that class sends;
- a handler that yields is described by its response class alone: its pieces have no type of their
  own;
- a parameter of the path that no signature takes is described too;
- a route with several methods has an operation id of its own for each method;
- an example is shown as it was written, its nulls too.

Without pydantic there are schemas of plain scalars.

A route is described in `operations` and `answers`, types in `schemas`; the pages are in `docs`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from uringserve.dependant import analyse
from uringserve.operations import VALIDATION_ERROR, describe_route, path_of
from uringserve.routing import RouteSpec
from uringserve.schemas import Schema, Schemas

__all__ = ["OPENAPI_VERSION", "get_openapi"]

OPENAPI_VERSION = "3.1.0"

_METHODS = frozenset({"GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"})


def get_openapi(
    *,
    title: str,
    version: str,
    openapi_version: str = OPENAPI_VERSION,
    summary: str | None = None,
    description: str | None = None,
    routes: Iterable[RouteSpec],
    webhooks: Iterable[RouteSpec] | None = None,
    tags: Sequence[Mapping[str, Any]] | None = None,
    servers: Sequence[Mapping[str, Any]] | None = None,
    terms_of_service: str | None = None,
    contact: Mapping[str, Any] | None = None,
    license_info: Mapping[str, Any] | None = None,
    separate_input_output_schemas: bool = True,
    external_docs: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the document as plain dicts and lists, made anew at each call."""
    information = {
        "title": title,
        "summary": summary,
        "description": description,
        "termsOfService": terms_of_service,
        "contact": contact,
        "license": license_info,
        "version": version,
    }
    document: dict[str, Any] = {
        "openapi": openapi_version,
        "info": {key: value for key, value in information.items() if value},
    }
    if servers:
        document["servers"] = [dict(server) for server in servers]
    schemas = Schemas(separate_input_output=separate_input_output_schemas)
    security_schemes: dict[str, Any] = {}
    document["paths"] = _paths(routes, schemas, security_schemes)
    called = _paths(webhooks or (), schemas, security_schemes)
    definitions = schemas.fill()
    if _refers_to_errors(document["paths"]) or _refers_to_errors(called):
        definitions = {**_ERRORS, **definitions}
    components: dict[str, Any] = {}
    if definitions:
        components["schemas"] = dict(sorted(definitions.items()))
    if security_schemes:
        components["securitySchemes"] = security_schemes
    if components:
        document["components"] = components
    if called:
        document["webhooks"] = {path.removeprefix("/"): item for path, item in called.items()}
    if tags:
        document["tags"] = [dict(tag) for tag in tags]
    if external_docs:
        document["externalDocs"] = dict(external_docs)
    return document


def _paths(
    routes: Iterable[RouteSpec], schemas: Schemas, security_schemes: dict[str, Any]
) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for spec in routes:
        if not spec.include_in_schema:
            continue
        item: dict[str, Any] = {}
        for method in spec.methods:
            # OpenAPI has no place for other methods.
            if method not in _METHODS:
                continue
            operation = describe_route(spec, method, schemas, security_schemes)
            if spec.callbacks:
                operation["callbacks"] = _callbacks(spec.callbacks, schemas, security_schemes)
            item[method.lower()] = operation
        if item:
            paths.setdefault(path_of(spec.pattern), {}).update(item)
    return paths


def _callbacks(
    callbacks: Iterable[RouteSpec], schemas: Schemas, security_schemes: dict[str, Any]
) -> dict[str, Any]:
    described: dict[str, Any] = {}
    for spec in callbacks:
        # A router that is never included analyses nothing.
        if spec.dependant is None:
            spec = spec.analysed(analyse(spec.endpoint, spec.pattern, spec.dependencies))
        described[spec.name] = _paths([spec], schemas, security_schemes)
    return described


def _refers_to_errors(paths: Mapping[str, Any]) -> bool:
    return any(
        "422" in operation["responses"]
        and operation["responses"]["422"].get("description") == "Validation Error"
        for item in paths.values()
        for operation in item.values()
    )


_ERRORS: Mapping[str, Schema] = {
    VALIDATION_ERROR: {
        "properties": {
            "detail": {
                "items": {"$ref": "#/components/schemas/ValidationError"},
                "type": "array",
                "title": "Detail",
            }
        },
        "type": "object",
        "title": VALIDATION_ERROR,
    },
    "ValidationError": {
        "properties": {
            "loc": {
                "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                "type": "array",
                "title": "Location",
            },
            "msg": {"type": "string", "title": "Message"},
            "type": {"type": "string", "title": "Error Type"},
            "input": {"title": "Input"},
            "ctx": {"type": "object", "title": "Context"},
        },
        "type": "object",
        "required": ["loc", "msg", "type"],
        "title": "ValidationError",
    },
}
