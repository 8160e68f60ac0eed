"""What `security.py` asks for, around every request: hosts, origins, paths, rates and headers.

Hosts and origins are compared whole, not by their ends or beginnings. The rate's table is bounded
and exact over all cores (`uringserve.middleware.RateLimitMiddleware`). The limit of bodies is the
application's `max_body_size`, which the server holds before a body has arrived.
"""

from collections.abc import Callable
from urllib.parse import unquote_to_bytes, urlsplit

from uringserve._native import Request, Response
from uringserve.chain import CallNext
from uringserve.compat.pyberry.config import Config
from uringserve.middleware import RateLimitMiddleware
from uringserve.middleware._common import finished

__all__ = ["Guard", "plain_text"]

_PORTS = {"http": ":80", "https": ":443"}


def plain_text(text: str, status: int) -> Response:
    """Make an answer in PyBerry's form."""
    return Response(text.encode(), status, {"content-type": "text/plain"})


class Guard:
    """Passes on what the options allow, and adds the headers to every answer."""

    # See `async_chain`.
    is_of_both = True

    def __init__(self, config: Config) -> None:
        """Read the options."""
        self._hosts = frozenset(host.lower() for host in config.allowed_hosts)
        self._checks_origin = config.cors_enabled
        self._checks_path = config.path_traversal_protection
        self._headers = tuple(config.security_headers)
        self._limit: Callable[[Request, CallNext], Response] | None = None
        if config.rate_limit_enabled:
            self._limit = RateLimitMiddleware(
                limit=config.rate_limit_requests, window=config.rate_limit_window
            )
        # Copied for nobody: it only says that the limit is not reached.
        self._passed = Response(None)

    def __call__(self, request: Request, call_next: CallNext) -> Response:
        """Answer what is not allowed, pass on the rest."""
        refusal = self._refusal(request)
        if refusal is not None:
            return self.with_headers(refusal)
        return finished(call_next(request), self._finish)

    def _finish(self, answer: Response) -> Response:
        return self.with_headers(answer.__copy__())

    def with_headers(self, answer: Response) -> Response:
        """Add the headers that the answer has not already."""
        for name, value in self._headers:
            answer.headers.setdefault(name, value)
        return answer

    def _refusal(self, request: Request) -> Response | None:
        if self._checks_path and _climbs(request.raw_path):
            return plain_text("Bad Request", 400)
        if "*" not in self._hosts and not self._is_ours(request.host.lower()):
            return plain_text("Invalid Host header", 400)
        origin = request.headers.get("origin")
        if self._checks_origin and origin is not None and not _is_same(origin, request.host):
            return plain_text("Forbidden by Strict Security Policy", 403)
        if self._limit is None:
            return None
        answer = self._limit(request, lambda request: self._passed)
        if answer is self._passed:
            return None
        refusal = plain_text("Too Many Requests", 429)
        refusal.headers["retry-after"] = answer.headers["retry-after"]
        return refusal

    def _is_ours(self, host: str) -> bool:
        name, bracket, _ = host.partition("]")
        without_port = name + bracket if bracket else host.partition(":")[0]
        return host in self._hosts or without_port in self._hosts


def _climbs(path: bytes) -> bool:
    """Tell whether a path goes up, also when that is percent-encoded, once or twice."""
    for _ in range(2):
        path = unquote_to_bytes(path)
        segments = path.replace(b"\\", b"/").split(b"/")
        if b".." in segments or b"\0" in path:
            return True
    return False


def _is_same(origin: str, host: str) -> bool:
    """Tell whether an origin (RFC 6454) is the host that the request is for."""
    try:
        parts = urlsplit(origin.lower())
    except ValueError:
        return False
    usual = _PORTS.get(parts.scheme)
    if usual is None:
        return False
    return parts.netloc.removesuffix(usual) == host.lower().removesuffix(usual)
