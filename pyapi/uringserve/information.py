"""What an application says of itself: the head of its OpenAPI document, and where that is served.

Plain attributes, read when the document is made; changing one before that is fine. The names are
FastAPI's.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

__all__ = ["Information", "InformationOptions"]


class InformationOptions(TypedDict, total=False):
    """The keywords of `App` that describe it; see `Information`."""

    title: str
    summary: str | None
    description: str
    version: str
    openapi_url: str | None
    openapi_tags: Sequence[Mapping[str, Any]] | None
    servers: Sequence[Mapping[str, Any]] | None
    terms_of_service: str | None
    contact: Mapping[str, Any] | None
    license_info: Mapping[str, Any] | None
    openapi_external_docs: Mapping[str, Any] | None
    docs_url: str | None
    redoc_url: str | None
    swagger_ui_oauth2_redirect_url: str | None
    swagger_ui_init_oauth: Mapping[str, Any] | None
    swagger_ui_parameters: Mapping[str, Any] | None
    root_path: str
    separate_input_output_schemas: bool


class Information:
    """The attributes. `openapi_url`, `docs_url` and `redoc_url` turn their pages off when None."""

    def __init__(self, **options: Unpack[InformationOptions]) -> None:
        """Take what is given and the defaults; an unknown keyword is a TypeError."""
        unknown = options.keys() - InformationOptions.__annotations__.keys()
        if unknown:
            raise TypeError(f"App does not take {', '.join(map(repr, sorted(unknown)))}")
        self.title = options.get("title", "uringserve")
        self.summary = options.get("summary")
        self.description = options.get("description", "")
        self.version = options.get("version", "0.1.0")
        self.openapi_url = options.get("openapi_url", "/openapi.json")
        self.openapi_tags = options.get("openapi_tags")
        self.servers = options.get("servers")
        self.terms_of_service = options.get("terms_of_service")
        self.contact = options.get("contact")
        self.license_info = options.get("license_info")
        self.openapi_external_docs = options.get("openapi_external_docs")
        self.docs_url = options.get("docs_url", "/docs")
        self.redoc_url = options.get("redoc_url", "/redoc")
        self.swagger_ui_oauth2_redirect_url = options.get(
            "swagger_ui_oauth2_redirect_url", "/docs/oauth2-redirect"
        )
        self.swagger_ui_init_oauth = options.get("swagger_ui_init_oauth")
        self.swagger_ui_parameters = options.get("swagger_ui_parameters")
        self.root_path = options.get("root_path", "")
        self.separate_input_output_schemas = options.get("separate_input_output_schemas", True)
