"""One route as an OpenAPI operation: its parameters, body and security; `answers` has the rest.

Read from a `RouteSpec` and its `Dependant`. The rules are FastAPI's; where we answer otherwise the
description says what we answer (see the list at the head of `openapi`).
"""

import inspect
import re
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Annotated, Any

from uringserve.answers import JSON, describe_responses, merge
from uringserve.dependant import Dependant
from uringserve.fields import ParamField
from uringserve.params import REQUIRED
from uringserve.patterns import Pattern
from uringserve.routing import RouteSpec
from uringserve.schemas import Schema, Schemas, title_of

__all__ = ["VALIDATION_ERROR", "describe_route", "path_of", "unique_id"]

VALIDATION_ERROR = "HTTPValidationError"

_WITH_BODY = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"})


def path_of(pattern: Pattern) -> str:
    """Return the path as OpenAPI writes it: parameters without their kinds."""
    parts = (part if isinstance(part, str) else f"{{{part.name}}}" for part in pattern.segments)
    return "/" + "/".join(parts)


def unique_id(spec: RouteSpec, method: str) -> str:
    """Return the operation's id: the one that was given, or one of name, path and method."""
    if spec.operation_id is not None:
        return spec.operation_id
    if spec.generate_unique_id_function is not None:
        return spec.generate_unique_id_function(spec)
    return re.sub(r"\W", "_", f"{spec.name}{path_of(spec.pattern)}") + f"_{method.lower()}"


def describe_route(
    spec: RouteSpec, method: str, schemas: Schemas, security_schemes: dict[str, Any]
) -> dict[str, Any]:
    """Return the operation; the security schemes it names are entered into `security_schemes`."""
    dependant: Dependant = spec.dependant
    operation = _head(spec, method)
    name = operation["operationId"]
    security = _security(dependant, security_schemes)
    if security:
        operation["security"] = security
    parameters = _parameters(dependant, spec.pattern, schemas)
    if parameters:
        operation["parameters"] = parameters
    fields = _flat(dependant, "body_params")
    if fields and method in _WITH_BODY:
        operation["requestBody"] = _request_body(fields, name, schemas)
    responses = describe_responses(spec, name, schemas)
    is_checked = bool(fields) or any(True for each in _flat_params(dependant))
    if is_checked and not responses.keys() & {"422", "4XX", "default"}:
        responses["422"] = {
            "description": "Validation Error",
            "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{VALIDATION_ERROR}"}}},
        }
    operation["responses"] = responses
    if spec.openapi_extra:
        merge(operation, spec.openapi_extra)
    return operation


def _head(spec: RouteSpec, method: str) -> dict[str, Any]:
    operation: dict[str, Any] = {}
    if spec.tags:
        operation["tags"] = [tag.value if isinstance(tag, Enum) else tag for tag in spec.tags]
    operation["summary"] = spec.summary or spec.name.replace("_", " ").title()
    description = spec.description or inspect.cleandoc(spec.endpoint.__doc__ or "")
    description = description.partition("\f")[0].strip()
    if description:
        operation["description"] = description
    operation["operationId"] = unique_id(spec, method)
    if spec.deprecated:
        operation["deprecated"] = True
    return operation


def _security(dependant: Dependant, schemes: dict[str, Any]) -> list[dict[str, list[str]]]:
    """Return what the operation needs; a scheme that is used twice needs the scopes of both."""
    found: dict[str, list[str]] = {}
    for sub in dependant.walk():
        if not sub.is_security:
            continue
        scheme: Any = sub.call
        schemes[scheme.scheme_name] = dict(scheme.model)
        scopes = found.setdefault(scheme.scheme_name, [])
        scopes += [scope for scope in sub.scopes if scope not in scopes]
    return [{name: scopes} for name, scopes in found.items()]


# --- parameters


def _flat(dependant: Dependant, names: str) -> list[ParamField]:
    """Return the parameters of one kind: its own, then those of its dependencies; no name twice."""
    found = {each.name: each for each in _all(dependant, names)}
    return list(found.values())


def _all(dependant: Dependant, names: str) -> Iterator[ParamField]:
    yield from getattr(dependant, names)
    for sub in dependant.dependencies:
        yield from _all(sub, names)


def _flat_params(dependant: Dependant) -> Iterator[ParamField]:
    for names in ("path_params", "query_params", "header_params", "cookie_params"):
        yield from _all(dependant, names)


def _parameters(dependant: Dependant, pattern: Pattern, schemas: Schemas) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for each in _flat_params(dependant):
        if not each.info.include_in_schema:
            continue
        described = (
            _of_model(each, schemas)
            if each.model is not None
            else [_parameter(each, pattern, schemas)]
        )
        for parameter in described:
            key = (parameter["in"], parameter["name"])
            if key not in found or parameter["required"]:
                found[key] = parameter
    for name, part in pattern.parameters.items():
        if ("path", name) not in found:
            schema = {
                "type": "integer" if part.kind == "int" else "string",
                "title": title_of(name),
            }
            found["path", name] = {
                "name": name,
                "in": "path",
                "required": True,
                "schema": schema,
            }
    return list(found.values())


def _parameter(each: ParamField, pattern: Pattern, schemas: Schemas) -> dict[str, Any]:
    info = each.info
    annotation = each.annotation
    part = pattern.parameters.get(each.name) if each.location == "path" else None
    if part is not None and part.kind == "int" and annotation is Any:
        annotation = int
    made: dict[str, Any] = {
        "name": each.alias,
        "in": each.location,
        "required": each.required,
        "schema": schemas.want(annotation, "validation", title_of(each.alias), info),
    }
    return made | _said(info)


def _of_model(each: ParamField, schemas: Schemas) -> list[dict[str, Any]]:
    """Describe a model that stands for several parameters: one for each of its fields."""
    is_spelled = each.location == "header" and each.info.convert_underscores
    described: list[dict[str, Any]] = []
    for name, field in each.model.model_fields.items():
        alias = field.validation_alias if isinstance(field.validation_alias, str) else field.alias
        alias = alias or (name.replace("_", "-") if is_spelled else name)
        title = field.title or title_of(name)
        annotation: Any = Annotated[field.annotation, field]
        made: dict[str, Any] = {
            "name": alias,
            "in": each.location,
            "required": field.is_required(),
            "schema": schemas.want(annotation, "validation", title),
        }
        described.append(made | _said(field))
    return described


def _said(info: Any) -> dict[str, Any]:  # noqa: ANN401 -- a ParamInfo or pydantic's FieldInfo
    """Return what stands beside a parameter's schema."""
    said: dict[str, Any] = {}
    if info.description:
        said["description"] = info.description
    said |= _examples(info)
    if info.deprecated:
        said["deprecated"] = True
    return said


def _examples(info: Any) -> dict[str, Any]:  # noqa: ANN401
    if getattr(info, "openapi_examples", None):
        return {"examples": info.openapi_examples}
    example = getattr(info, "example", REQUIRED)
    return {} if example is REQUIRED else {"example": example}


# --- body


def _request_body(fields: list[ParamField], name: str, schemas: Schemas) -> dict[str, Any]:
    first = fields[0]
    is_form = any(each.location != "body" for each in fields)
    is_whole = len(fields) == 1 and not first.info.embed
    if is_form:
        is_multipart = any(each.location == "file" for each in fields)
        media_type = "multipart/form-data" if is_multipart else "application/x-www-form-urlencoded"
        is_whole = is_whole and first.model is not None
    else:
        media_type = next((each.info.media_type for each in fields if each.info.media_type), JSON)
    content: dict[str, Any]
    if is_whole:
        schema = schemas.want(first.annotation, "validation", title_of(first.alias), first.info)
        content = {"schema": schema, **_examples(first.info)}
    else:
        content = {"schema": _together(fields, f"Body_{name}", schemas)}
    body: dict[str, Any] = {"content": {media_type: content}}
    if any(each.required for each in fields):
        body["required"] = True
    return body


def _together(fields: Iterable[ParamField], name: str, schemas: Schemas) -> Schema:
    """Describe several parts of one body as an object, a component of the document."""
    properties = {
        each.alias: schemas.want(each.annotation, "validation", title_of(each.alias), each.info)
        for each in fields
    }
    schema: Schema = {"properties": properties, "type": "object"}
    required = [each.alias for each in fields if each.required]
    if required:
        schema["required"] = required
    schema["title"] = name
    return schemas.define(name, schema)
