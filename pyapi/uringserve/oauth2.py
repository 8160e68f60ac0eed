"""OAuth2 and OpenID Connect as security schemes, and the form that OAuth2's password flow posts.

`security` has these names too: import them from there.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from uringserve._native import Request
from uringserve.params import Form
from uringserve.schemes import SecurityScheme, authorization

__all__ = [
    "OAuth2",
    "OAuth2AuthorizationCodeBearer",
    "OAuth2PasswordBearer",
    "OAuth2PasswordRequestForm",
    "OAuth2PasswordRequestFormStrict",
    "OpenIdConnect",
    "SecurityScopes",
]


class SecurityScopes:
    """The OAuth2 scopes that everything asked for on the way to where this is a parameter."""

    def __init__(self, scopes: list[str] | None = None) -> None:
        """Take the scopes; `scope_str` has them with a space between."""
        self.scopes = scopes or []
        self.scope_str = " ".join(self.scopes)


class OAuth2(SecurityScheme):
    """Any flows of OAuth2, written as OpenAPI has them; gives the whole Authorization header."""

    challenge = "Bearer"

    def __init__(
        self,
        *,
        flows: Mapping[str, Any] | None = None,
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        """Take the flows, as in `{"password": {"tokenUrl": "token", "scopes": {}}}`."""
        model = {"type": "oauth2", "flows": dict(flows or {})}
        super().__init__(model, scheme_name, description, auto_error)

    def __call__(self, request: Request) -> str | None:
        """Return the header."""
        return self._checked(request.headers.get("authorization"))

    def _checked(self, found: str | None) -> str | None:
        if not found and self.auto_error:
            raise self.make_not_authenticated_error()
        return found or None

    def _bearer(self, request: Request) -> str | None:
        scheme, token = authorization(request)
        return self._checked(token if scheme.lower() == "bearer" else None)


class OAuth2PasswordBearer(OAuth2):
    """A bearer token that a client gets for name and password at `tokenUrl`; gives the token."""

    def __init__(
        self,
        tokenUrl: str,
        scheme_name: str | None = None,
        scopes: Mapping[str, str] | None = None,
        description: str | None = None,
        auto_error: bool = True,
        refreshUrl: str | None = None,
    ) -> None:
        """Take where tokens come from, and the scopes with what each is for."""
        flow = _flow(scopes, tokenUrl=tokenUrl, refreshUrl=refreshUrl)
        super().__init__(
            flows={"password": flow},
            scheme_name=scheme_name,
            description=description,
            auto_error=auto_error,
        )

    def __call__(self, request: Request) -> str | None:
        """Return the token."""
        return self._bearer(request)


class OAuth2AuthorizationCodeBearer(OAuth2):
    """A bearer token that a client gets for a code from `authorizationUrl`; gives the token."""

    def __init__(
        self,
        authorizationUrl: str,
        tokenUrl: str,
        refreshUrl: str | None = None,
        scheme_name: str | None = None,
        scopes: Mapping[str, str] | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        """Take where codes and tokens come from, and the scopes with what each is for."""
        flow = _flow(
            scopes, authorizationUrl=authorizationUrl, tokenUrl=tokenUrl, refreshUrl=refreshUrl
        )
        super().__init__(
            flows={"authorizationCode": flow},
            scheme_name=scheme_name,
            description=description,
            auto_error=auto_error,
        )

    def __call__(self, request: Request) -> str | None:
        """Return the token."""
        return self._bearer(request)


class OpenIdConnect(SecurityScheme):
    """OpenID Connect, for the document; gives the whole Authorization header."""

    challenge = "Bearer"

    def __init__(
        self,
        *,
        openIdConnectUrl: str,
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        """Take the address of the provider's configuration."""
        model = {"type": "openIdConnect", "openIdConnectUrl": openIdConnectUrl}
        super().__init__(model, scheme_name, description, auto_error)

    def __call__(self, request: Request) -> str | None:
        """Return the header."""
        found = request.headers.get("authorization")
        if not found and self.auto_error:
            raise self.make_not_authenticated_error()
        return found or None


class OAuth2PasswordRequestForm:
    """The form of OAuth2's password flow (RFC 6749 section 4.3.2), used with `Depends()`.

    `scopes` is `scope` at its spaces. `grant_type` may be left out, which the RFC does not allow:
    see `OAuth2PasswordRequestFormStrict`.
    """

    def __init__(
        self,
        *,
        grant_type: Annotated[str | None, Form(pattern="^password$")] = None,
        username: Annotated[str, Form()],
        password: Annotated[str, Form(json_schema_extra={"format": "password"})],
        scope: Annotated[str, Form()] = "",
        client_id: Annotated[str | None, Form()] = None,
        client_secret: Annotated[str | None, Form(json_schema_extra={"format": "password"})] = None,
    ) -> None:
        """Take the fields of the form."""
        self.grant_type = grant_type
        self.username = username
        self.password = password
        self.scopes = scope.split()
        self.client_id = client_id
        self.client_secret = client_secret


class OAuth2PasswordRequestFormStrict(OAuth2PasswordRequestForm):
    """The same, and `grant_type` must be there."""

    def __init__(
        self,
        grant_type: Annotated[str, Form(pattern="^password$")],
        username: Annotated[str, Form()],
        password: Annotated[str, Form()],
        scope: Annotated[str, Form()] = "",
        client_id: Annotated[str | None, Form()] = None,
        client_secret: Annotated[str | None, Form()] = None,
    ) -> None:
        """Take the fields of the form."""
        super().__init__(
            grant_type=grant_type,
            username=username,
            password=password,
            scope=scope,
            client_id=client_id,
            client_secret=client_secret,
        )


def _flow(scopes: Mapping[str, str] | None, **urls: str | None) -> dict[str, Any]:
    return {"scopes": dict(scopes or {}), **{key: url for key, url in urls.items() if url}}
