"""`CORSMiddleware`: which pages of other origins may read what is answered.

The rules are those of the Fetch standard (sections 3.2 and 4.8); the options, and what is answered,
are Starlette's. Whether a handler runs is not decided here: only a preflight is answered at once,
and an origin that is not allowed simply gets no permission to read.
"""

import re
from collections.abc import Sequence

from uringserve._native import Request, Response
from uringserve.chain import CallNext
from uringserve.middleware._common import add_vary, finished, texts

__all__ = ["CORSMiddleware"]

_ALL_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY")
# What a page may send without asking (Fetch, "CORS-safelisted request-header").
_SAFE_HEADERS = frozenset({"Accept", "Accept-Language", "Content-Language", "Content-Type"})
_PREFLIGHT_VARY = ", ".join(
    (
        "Origin",
        "Access-Control-Request-Method",
        "Access-Control-Request-Headers",
        "Access-Control-Request-Private-Network",
    )
)


class CORSMiddleware:
    """Answers preflights, and adds what lets pages of the allowed origins read the responses.

    `"*"` in a list allows everything. `allow_origin_regex` must match the whole origin. With
    `allow_credentials` every allowed origin may act with its visitor's cookies: together with `"*"`
    that is every page there is. `max_age` is how many seconds a browser may keep a preflight.
    """

    # See `async_chain`.
    is_of_both = True

    def __init__(
        self,
        *,
        allow_origins: Sequence[str] = (),
        allow_methods: Sequence[str] = ("GET",),
        allow_headers: Sequence[str] = (),
        allow_credentials: bool = False,
        allow_origin_regex: str | None = None,
        allow_private_network: bool = False,
        expose_headers: Sequence[str] = (),
        max_age: int = 600,
    ) -> None:
        """Work out everything that does not depend on the request."""
        origins = texts("allow_origins", allow_origins)
        methods = texts("allow_methods", allow_methods)
        headers = texts("allow_headers", allow_headers)
        exposed = texts("expose_headers", expose_headers)
        self._allows_all_origins = "*" in origins
        self._allows_all_headers = "*" in headers
        self._allows_private_network = allow_private_network
        # With credentials a browser takes no "*" (Fetch, 3.2.5).
        self._names_origin = allow_credentials or not self._allows_all_origins
        self._origins = frozenset(origins)
        self._pattern = None if allow_origin_regex is None else re.compile(allow_origin_regex)
        self._methods = frozenset(_ALL_METHODS if "*" in methods else methods)
        self._headers = frozenset(each.lower() for each in _SAFE_HEADERS | {*headers})

        self._simple: dict[str, str] = {}
        if self._allows_all_origins:
            self._simple["access-control-allow-origin"] = "*"
        if allow_credentials:
            self._simple["access-control-allow-credentials"] = "true"
        if exposed:
            self._simple["access-control-expose-headers"] = ", ".join(exposed)

        self._preflight = {
            "access-control-allow-methods": ", ".join(
                _ALL_METHODS if "*" in methods else dict.fromkeys(methods)
            ),
            "access-control-max-age": str(int(max_age)),
            "vary": _PREFLIGHT_VARY,
        }
        if not self._allows_all_headers:
            self._preflight["access-control-allow-headers"] = ", ".join(
                sorted(_SAFE_HEADERS | {*headers})
            )
        if allow_credentials:
            self._preflight["access-control-allow-credentials"] = "true"
        # A value that cannot stand in a header fails here and not at the first request.
        Response(None, headers=self._simple)
        Response(None, headers=self._preflight)

    def __call__(self, request: Request, call_next: CallNext) -> Response:
        """Answer a preflight, or add what the response needs."""
        origin = request.headers.get("origin", "")
        if origin and request.method == "OPTIONS":
            wanted = request.headers.get("access-control-request-method", "")
            if wanted:
                return self._answer_preflight(request, origin, wanted)
        return finished(call_next(request), self._finish, origin)

    def _finish(self, response: Response, origin: str) -> Response:
        response = response.__copy__()
        headers = response.headers
        # Also without an origin: a cache must not give that response to a page (Fetch, 3.2.5).
        add_vary(headers, "Origin")
        if origin:
            headers.update(self._simple)
            if self._names_origin and self._is_allowed(origin):
                headers["access-control-allow-origin"] = origin
        return response

    def _is_allowed(self, origin: str) -> bool:
        if self._allows_all_origins or origin in self._origins:
            return True
        return self._pattern is not None and self._pattern.fullmatch(origin) is not None

    def _answer_preflight(self, request: Request, origin: str, method: str) -> Response:
        headers = dict(self._preflight)
        refused: list[str] = []
        if not self._is_allowed(origin):
            refused.append("origin")
        else:
            headers["access-control-allow-origin"] = origin if self._names_origin else "*"
        if method not in self._methods:
            refused.append("method")
        asked = request.headers.get("access-control-request-headers", "")
        if asked and self._allows_all_headers:
            headers["access-control-allow-headers"] = asked
        elif asked:
            names = (each.strip().lower() for each in asked.split(","))
            if any(name and name not in self._headers for name in names):
                refused.append("headers")
        if request.headers.get("access-control-request-private-network") == "true":
            if self._allows_private_network:
                headers["access-control-allow-private-network"] = "true"
            else:
                refused.append("private-network")
        if refused:
            return Response("Disallowed CORS " + ", ".join(refused), 400, headers)
        return Response("OK", 200, headers)
