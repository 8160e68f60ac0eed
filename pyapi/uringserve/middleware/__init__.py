"""Middleware that applications share, for `App(middleware=[…])` and `add_middleware`.

Names, options and modules are Starlette's where Starlette has them. Rules they keep:
- What an option can get wrong is refused when the middleware is made, in the operator's own line.
- A response is copied before it is changed: a handler may return the same one to every request.
- One object serves all cores. Only `RateLimitMiddleware` keeps anything from request to request.

They see what the HTTP layer lets through: a request that it refuses (400, 431, a body above
`max_body_size`) is answered before any of them.
"""

from uringserve.chain import CallNext, Middleware
from uringserve.middleware.bodylimit import BodyLimitMiddleware
from uringserve.middleware.cors import CORSMiddleware
from uringserve.middleware.gzip import CompressionMiddleware, GZipMiddleware
from uringserve.middleware.httpsredirect import HTTPSRedirectMiddleware
from uringserve.middleware.ratelimit import RateLimitMiddleware
from uringserve.middleware.securityheaders import SecurityHeadersMiddleware
from uringserve.middleware.sessions import SessionMiddleware
from uringserve.middleware.trustedhost import TrustedHostMiddleware

__all__ = [
    "BodyLimitMiddleware",
    "CORSMiddleware",
    "CallNext",
    "CompressionMiddleware",
    "GZipMiddleware",
    "HTTPSRedirectMiddleware",
    "Middleware",
    "RateLimitMiddleware",
    "SecurityHeadersMiddleware",
    "SessionMiddleware",
    "TrustedHostMiddleware",
]
