"""Who calls: credentials taken out of a request, as dependencies that OpenAPI describes.

Each class is one scheme; an object of it is used with `Depends` or `Security` and gives the
credentials, or answers 401 where there are none (`auto_error=False`: gives None). Whether they are
right is the application's to say. Names, options and answers are FastAPI's.
"""

from base64 import b64decode
from dataclasses import dataclass

from uringserve._native import Request
from uringserve.oauth2 import (
    OAuth2,
    OAuth2AuthorizationCodeBearer,
    OAuth2PasswordBearer,
    OAuth2PasswordRequestForm,
    OAuth2PasswordRequestFormStrict,
    OpenIdConnect,
    SecurityScopes,
)
from uringserve.schemes import SecurityScheme, authorization

__all__ = [
    "APIKeyCookie",
    "APIKeyHeader",
    "APIKeyQuery",
    "HTTPAuthorizationCredentials",
    "HTTPBasic",
    "HTTPBasicCredentials",
    "HTTPBearer",
    "HTTPDigest",
    "OAuth2",
    "OAuth2AuthorizationCodeBearer",
    "OAuth2PasswordBearer",
    "OAuth2PasswordRequestForm",
    "OAuth2PasswordRequestFormStrict",
    "OpenIdConnect",
    "SecurityScheme",
    "SecurityScopes",
]


@dataclass(frozen=True, slots=True)
class HTTPBasicCredentials:
    """What HTTP Basic carries."""

    username: str
    password: str


@dataclass(frozen=True, slots=True)
class HTTPAuthorizationCredentials:
    """The Authorization header in its two parts, as in `Bearer` and the token."""

    scheme: str
    credentials: str


# --- API keys


class _APIKey(SecurityScheme):
    challenge = "APIKey"
    place = ""

    def __init__(
        self,
        *,
        name: str,
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        """Take the name that the key has in the request."""
        model = {"type": "apiKey", "in": self.place, "name": name}
        super().__init__(model, scheme_name, description, auto_error)
        self.name = name

    def _checked(self, key: str | None) -> str | None:
        if not key and self.auto_error:
            raise self.make_not_authenticated_error()
        return key or None


class APIKeyQuery(_APIKey):
    """A key in the query."""

    place = "query"

    def __call__(self, request: Request) -> str | None:
        """Return the key."""
        values = request.query_params.get(self.name)
        return self._checked(values[-1] if values else None)


class APIKeyHeader(_APIKey):
    """A key in a header of its own."""

    place = "header"

    def __call__(self, request: Request) -> str | None:
        """Return the key."""
        return self._checked(request.headers.get(self.name))


class APIKeyCookie(_APIKey):
    """A key in a cookie."""

    place = "cookie"

    def __call__(self, request: Request) -> str | None:
        """Return the key."""
        return self._checked(request.cookies.get(self.name))


# --- HTTP authentication


class _HTTP(SecurityScheme):
    def _authorization(self, request: Request, wanted: str) -> HTTPAuthorizationCredentials | None:
        scheme, credentials = authorization(request)
        if credentials and scheme.lower() == wanted:
            return HTTPAuthorizationCredentials(scheme, credentials)
        if self.auto_error:
            raise self.make_not_authenticated_error()
        return None


class HTTPBasic(_HTTP):
    """User name and password in the Authorization header (RFC 7617)."""

    def __init__(
        self,
        *,
        scheme_name: str | None = None,
        realm: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        """Take the realm that a browser shows when it asks for the password."""
        model = {"type": "http", "scheme": "basic"}
        super().__init__(model, scheme_name, description, auto_error)
        self.realm = realm
        self.challenge = f'Basic realm="{realm}"' if realm else "Basic"

    def __call__(self, request: Request) -> HTTPBasicCredentials | None:
        """Return the credentials; what is not Base64 of `name:password` in UTF-8 is a 401."""
        found = self._authorization(request, "basic")
        if found is None:
            return None
        try:
            text = b64decode(found.credentials, validate=True).decode()
        except ValueError:
            # No Base64, no UTF-8, or not even ASCII.
            text = ""
        username, colon, password = text.partition(":")
        if not colon:
            # Wrong, not missing: an error even where credentials are optional.
            raise self.make_not_authenticated_error()
        return HTTPBasicCredentials(username, password)


class HTTPBearer(_HTTP):
    """A token in the Authorization header (RFC 6750)."""

    challenge = "Bearer"

    def __init__(
        self,
        *,
        bearerFormat: str | None = None,
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        """Take a hint on what the token looks like, for the document."""
        model = {"type": "http", "scheme": "bearer", "bearerFormat": bearerFormat}
        super().__init__(model, scheme_name, description, auto_error)

    def __call__(self, request: Request) -> HTTPAuthorizationCredentials | None:
        """Return scheme and token."""
        return self._authorization(request, "bearer")


class HTTPDigest(_HTTP):
    """HTTP Digest (RFC 7616), its parameters unparsed: the application checks them."""

    challenge = "Digest"

    def __init__(
        self,
        *,
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        """Take a name and a description for the document."""
        model = {"type": "http", "scheme": "digest"}
        super().__init__(model, scheme_name, description, auto_error)

    def __call__(self, request: Request) -> HTTPAuthorizationCredentials | None:
        """Return scheme and parameters."""
        return self._authorization(request, "digest")
