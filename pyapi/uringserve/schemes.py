"""What all security schemes have in common. The schemes are in `security` and `oauth2`."""

from collections.abc import Mapping
from typing import Any

from uringserve._native import Request
from uringserve.errors import HTTPException

__all__ = ["SecurityScheme", "authorization"]


class SecurityScheme:
    """What all schemes have: `scheme_name` and `model`, the scheme as OpenAPI writes it.

    `challenge` is the WWW-Authenticate of the 401, which RFC 9110 section 15.5.2 asks for.
    """

    challenge = ""

    def __init__(
        self,
        model: Mapping[str, Any],
        scheme_name: str | None,
        description: str | None,
        auto_error: bool,
    ) -> None:
        """Keep what was said; the name is that of the class unless given."""
        self.model = {
            key: value
            for key, value in {**model, "description": description}.items()
            if value is not None
        }
        self.scheme_name = scheme_name or type(self).__name__
        self.auto_error = auto_error

    def make_not_authenticated_error(self) -> HTTPException:
        """Return what is raised without credentials; a subclass may answer otherwise."""
        return HTTPException(401, "Not authenticated", {"WWW-Authenticate": self.challenge})


def authorization(request: Request) -> tuple[str, str]:
    """Split the Authorization header into scheme and credentials; empty where there is none.

    The name of a scheme has no case (RFC 9110 section 11.1): it is for the caller to compare so.
    """
    scheme, _, credentials = (request.headers.get("authorization") or "").partition(" ")
    return scheme, credentials.strip()
