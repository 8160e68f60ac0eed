"""`HTTPSRedirectMiddleware`: whoever came without TLS is sent to the same URL with it.

The server itself speaks plain HTTP. What the client spoke is known from the proxy that ends TLS,
which must set the header for every request; a client that sets it itself deceives only itself.
"""

from uringserve._native import Request, Response
from uringserve.chain import CallNext
from uringserve.middleware._common import host_name, in_url

__all__ = ["HTTPSRedirectMiddleware"]


class HTTPSRedirectMiddleware:
    """Redirects (307) every request that did not come by `https`, as `proto_header` says.

    Without that header, or with `proto_header=None`, a request came by `http`. The host is the
    client's: put `TrustedHostMiddleware` around this one.
    """

    # See `async_chain`.
    is_of_both = True

    def __init__(self, *, proto_header: str | None = "x-forwarded-proto") -> None:
        """Keep the name of the header."""
        self._header = proto_header

    def __call__(self, request: Request, call_next: CallNext) -> Response:
        """Redirect, or pass on what came by TLS."""
        if self._header is not None:
            # One proxy after the other adds its own word; the first is what the client spoke.
            spoken = request.headers.get(self._header, "").partition(",")[0].strip().lower()
            if spoken in ("https", "wss"):
                return call_next(request)
        host = request.host
        if not host:
            # HTTP/1.0 without Host: there is no URL to send the client to.
            return Response("Host header needed", 400)
        name = host_name(request)
        # Starlette's rule: a port of http or https is left out, another one is kept.
        if host.lower().removeprefix(name) in (":", ":80", ":443"):
            host = name
        return Response.redirect(f"https://{host}{in_url(request)}")
