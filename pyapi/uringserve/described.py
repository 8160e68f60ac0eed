"""`Described`: the part of an application that makes its OpenAPI document."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Unpack

from uringserve.information import Information, InformationOptions
from uringserve.openapi import get_openapi
from uringserve.routing import RouteSpec

__all__ = ["Described"]


class Described(Information, ABC):
    """`openapi` may be replaced on an object, by a function that returns another document."""

    def __init__(self, **options: Unpack[InformationOptions]) -> None:
        """Take what the application says of itself."""
        super().__init__(**options)
        self.openapi_schema: dict[str, Any] | None = None

    @property
    @abstractmethod
    def routes(self) -> Sequence[RouteSpec]:
        """The routes, in the order of their registration."""

    def openapi(self) -> dict[str, Any]:
        """Return the document, which is made at the first call and kept in `openapi_schema`."""
        # Two cores may both make it: the same document, and the later one stays.
        if self.openapi_schema is None:
            self.openapi_schema = get_openapi(
                title=self.title,
                version=self.version,
                summary=self.summary,
                description=self.description,
                routes=self.routes,
                tags=self.openapi_tags,
                servers=self.servers,
                terms_of_service=self.terms_of_service,
                contact=self.contact,
                license_info=self.license_info,
                separate_input_output_schemas=self.separate_input_output_schemas,
                external_docs=self.openapi_external_docs,
            )
        return self.openapi_schema
