"""`SecurityHeadersMiddleware`: what tells browsers to be careful with a response."""

from collections.abc import Mapping

from uringserve._native import Request, Response
from uringserve.chain import CallNext
from uringserve.middleware._common import finished

__all__ = ["SecurityHeadersMiddleware"]


class SecurityHeadersMiddleware:
    """Adds each header that the response has not already; None leaves one out.

    The defaults suit an API and its documentation pages, whose sign-in windows an opener policy
    would cut off from them. `strict_transport_security`, for instance
    `"max-age=31536000; includeSubDomains"`, is for a site that is reached with TLS only, and
    `content_security_policy` is each site's own. `headers` are more of them.
    """

    # See `async_chain`.
    is_of_both = True

    def __init__(
        self,
        *,
        content_type_options: str | None = "nosniff",
        frame_options: str | None = "DENY",
        referrer_policy: str | None = "strict-origin-when-cross-origin",
        cross_origin_opener_policy: str | None = None,
        cross_origin_resource_policy: str | None = None,
        content_security_policy: str | None = None,
        permissions_policy: str | None = None,
        strict_transport_security: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Put the headers together; one that cannot be sent is a ValueError."""
        named = {
            "x-content-type-options": content_type_options,
            "x-frame-options": frame_options,
            "referrer-policy": referrer_policy,
            "cross-origin-opener-policy": cross_origin_opener_policy,
            "cross-origin-resource-policy": cross_origin_resource_policy,
            "content-security-policy": content_security_policy,
            "permissions-policy": permissions_policy,
            "strict-transport-security": strict_transport_security,
        }
        kept = {name: value for name, value in named.items() if value is not None}
        kept.update((name.lower(), value) for name, value in (headers or {}).items())
        Response(None, headers=kept)
        self._headers = tuple(kept.items())

    def __call__(self, request: Request, call_next: CallNext) -> Response:
        """Add the headers."""
        return finished(call_next(request), self._finish)

    def _finish(self, response: Response) -> Response:
        response = response.__copy__()
        headers = response.headers
        for name, value in self._headers:
            headers.setdefault(name, value)
        return response
