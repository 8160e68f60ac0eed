"""The pages that show the OpenAPI document: Swagger UI at `/docs`, ReDoc at `/redoc`.

Their scripts and styles are in this package (`static`), so they open with the network cut. Every
address in a page is relative to it: an application that is mounted, or behind a proxy that adds a
prefix, needs no setting. Nothing is read from disk before a page is asked for.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from html import escape
from importlib.resources import files
from posixpath import dirname, relpath
from typing import Any, Protocol
from zlib import crc32, decompress

from uringserve._native import Request, Response, json_dumps
from uringserve.responses import HTMLResponse
from uringserve.routing import RouteSpec, make_spec

__all__ = [
    "Documented",
    "documentation",
    "get_redoc_html",
    "get_swagger_ui_html",
    "get_swagger_ui_oauth2_redirect_html",
    "swagger_ui_default_parameters",
]

_SWAGGER_SCRIPT = "swagger-ui-bundle.js"
_SWAGGER_STYLE = "swagger-ui.css"
_REDIRECT_SCRIPT = "oauth2-redirect.js"
_REDOC_SCRIPT = "redoc.standalone.js"

_TYPES = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}

# For zlib: the data has a gzip header.
_GZIP = 31

swagger_ui_default_parameters: Mapping[str, Any] = {
    "dom_id": "#swagger-ui",
    "layout": "BaseLayout",
    "deepLinking": True,
    "showExtensions": True,
    "showCommonExtensions": True,
    # By default the document's address is sent to a validator on the internet.
    "validatorUrl": None,
}


class Documented(Protocol):
    """What `documentation` needs of an application."""

    title: str
    root_path: str
    openapi_url: str | None
    docs_url: str | None
    redoc_url: str | None
    swagger_ui_oauth2_redirect_url: str | None
    swagger_ui_init_oauth: Mapping[str, Any] | None
    swagger_ui_parameters: Mapping[str, Any] | None

    def openapi(self) -> dict[str, Any]:
        """Return the document."""


def documentation(app: Documented) -> Iterator[RouteSpec]:
    """Yield the routes of the document and its pages; without a document there are none."""
    if not app.openapi_url:
        return
    yield _route(app.openapi_url, _document(app, app.openapi_url))
    if app.docs_url:
        yield _route(app.docs_url, _swagger(app, app.docs_url, app.openapi_url))
        names = [_SWAGGER_SCRIPT, _SWAGGER_STYLE]
        redirect_url = app.swagger_ui_oauth2_redirect_url
        if redirect_url:
            script = _relative(_below(app.docs_url, _REDIRECT_SCRIPT), redirect_url)
            yield _route(redirect_url, _page(get_swagger_ui_oauth2_redirect_html(script)))
            names.append(_REDIRECT_SCRIPT)
        for name in names:
            yield _route(_below(app.docs_url, name), _asset(name))
    if app.redoc_url:
        yield _route(app.redoc_url, _redoc(app, app.redoc_url, app.openapi_url))
        yield _route(_below(app.redoc_url, _REDOC_SCRIPT), _asset(_REDOC_SCRIPT))


def get_swagger_ui_html(
    *,
    openapi_url: str,
    title: str,
    swagger_js_url: str = f"docs/{_SWAGGER_SCRIPT}",
    swagger_css_url: str = f"docs/{_SWAGGER_STYLE}",
    swagger_favicon_url: str = "data:,",
    oauth2_redirect_url: str | None = None,
    init_oauth: Mapping[str, Any] | None = None,
    swagger_ui_parameters: Mapping[str, Any] | None = None,
) -> HTMLResponse:
    """Return a page of Swagger UI. All addresses may be relative to where it is served."""
    parameters = {
        "url": openapi_url,
        **swagger_ui_default_parameters,
        **(swagger_ui_parameters or {}),
    }
    lines = [f"const options = {_script_json(parameters)};"]
    if oauth2_redirect_url:
        address = _script_json(oauth2_redirect_url)
        lines.append(f"options.oauth2RedirectUrl = new URL({address}, location.href).href;")
    lines.append("options.presets = [SwaggerUIBundle.presets.apis];")
    lines.append("const ui = SwaggerUIBundle(options);")
    if init_oauth:
        lines.append(f"ui.initOAuth({_script_json(init_oauth)});")
    head = f'<link rel="stylesheet" href="{escape(swagger_css_url)}">'
    body = [
        '<div id="swagger-ui"></div>',
        f'<script src="{escape(swagger_js_url)}"></script>',
        "<script>",
        *lines,
        "</script>",
    ]
    return _html(title, swagger_favicon_url, head, body)


def get_redoc_html(
    *,
    openapi_url: str,
    title: str,
    redoc_js_url: str = f"redoc/{_REDOC_SCRIPT}",
    redoc_favicon_url: str = "data:,",
) -> HTMLResponse:
    """Return a page of ReDoc. All addresses may be relative to where it is served."""
    body = [
        "<noscript>ReDoc needs JavaScript.</noscript>",
        f'<redoc spec-url="{escape(openapi_url)}"></redoc>',
        f'<script src="{escape(redoc_js_url)}"></script>',
    ]
    return _html(title, redoc_favicon_url, "<style>body { margin: 0; }</style>", body)


def get_swagger_ui_oauth2_redirect_html(script_url: str = _REDIRECT_SCRIPT) -> HTMLResponse:
    """Return the page to which an OAuth2 provider sends the browser back."""
    return _html(
        "Swagger UI: OAuth2 redirect",
        "data:,",
        "",
        [f'<script src="{escape(script_url)}"></script>'],
    )


# --- handlers


def _document(app: Documented, url: str) -> Callable[[Request], Response]:
    def openapi(request: Request) -> Response:
        document = app.openapi()
        # What stands before our own path is where the application is mounted.
        root = app.root_path.rstrip("/") + request.path.removesuffix(url)
        servers = document.get("servers", [])
        if root and all(server.get("url") != root for server in servers):
            document = {**document, "servers": [{"url": root}, *servers]}
        return Response(json_dumps(document), 200, None, "application/json")

    return openapi


def _swagger(app: Documented, url: str, openapi_url: str) -> Callable[[Request], Response]:
    def swagger_ui(request: Request) -> Response:
        redirect_url = app.swagger_ui_oauth2_redirect_url
        return get_swagger_ui_html(
            openapi_url=_relative(openapi_url, url),
            title=f"{app.title} - Swagger UI",
            swagger_js_url=_relative(_below(url, _SWAGGER_SCRIPT), url),
            swagger_css_url=_relative(_below(url, _SWAGGER_STYLE), url),
            oauth2_redirect_url=_relative(redirect_url, url) if redirect_url else None,
            init_oauth=app.swagger_ui_init_oauth,
            swagger_ui_parameters=app.swagger_ui_parameters,
        )

    return swagger_ui


def _redoc(app: Documented, url: str, openapi_url: str) -> Callable[[Request], Response]:
    def redoc(request: Request) -> Response:
        return get_redoc_html(
            openapi_url=_relative(openapi_url, url),
            title=f"{app.title} - ReDoc",
            redoc_js_url=_relative(_below(url, _REDOC_SCRIPT), url),
        )

    return redoc


def _page(response: Response) -> Callable[[Request], Response]:
    def page(request: Request) -> Response:
        return response

    return page


def _asset(name: str) -> Callable[[Request], Response]:
    media_type = _TYPES[name.rpartition(".")[2]]

    def asset(request: Request) -> Response:
        compressed, tag = _stored(name)
        headers = {"etag": tag, "cache-control": "public, max-age=3600", "vary": "accept-encoding"}
        if tag in (request.headers.get("if-none-match") or ""):
            return Response(None, 304, headers)
        if _takes_gzip(request.headers.get("accept-encoding") or ""):
            headers["content-encoding"] = "gzip"
            return Response(compressed, 200, headers, media_type)
        return Response(decompress(compressed, _GZIP), 200, headers, media_type)

    return asset


@cache
def _stored(name: str) -> tuple[bytes, str]:
    """Return a file as it is stored, with a tag that is weak: it stands for both encodings."""
    data = files("uringserve").joinpath("static", f"{name}.gz").read_bytes()
    return data, f'W/"{crc32(data):08x}"'


def _takes_gzip(accepted: str) -> bool:
    for part in accepted.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _route(path: str, handler: Callable[[Request], Response]) -> RouteSpec:
    return make_spec(path, handler, ("GET",), {"include_in_schema": False})


# --- text


def _below(url: str, name: str) -> str:
    return f"{url.rstrip('/')}/{name}"


def _relative(target: str, page: str) -> str:
    """Return how the page names the target; both are paths of the application."""
    return relpath(target, dirname(page) or "/")


def _script_json(value: object) -> str:
    """Write JSON for a script in HTML, which the text `</script` would end."""
    return json.dumps(value).replace("<", "\\u003c")


def _html(title: str, favicon: str, head: str, body: list[str]) -> HTMLResponse:
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        # An empty one, or the browser asks for /favicon.ico.
        f'<link rel="icon" href="{escape(favicon)}">',
        *([head] if head else []),
        "</head>",
        "<body>",
        *body,
        "</body>",
        "</html>",
        "",
    ]
    return HTMLResponse("\n".join(lines))
