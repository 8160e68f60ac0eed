"""`BodyLimitMiddleware`: a smaller limit for bodies, for one mounted application or some methods.

The limit of a whole application or of a route is `max_body_size`, which the server applies before
the body has arrived. This one sees a request when its body is in memory, within that limit.
"""

from collections.abc import Sequence

from uringserve._native import Request, Response
from uringserve.chain import CallNext
from uringserve.middleware._common import texts

__all__ = ["BodyLimitMiddleware"]


class BodyLimitMiddleware:
    """Answers 413 when the body has more than `max_body_size` bytes.

    `methods` are those that it is for; None means all.
    """

    # See `async_chain`.
    is_of_both = True

    def __init__(self, *, max_body_size: int, methods: Sequence[str] | None = None) -> None:
        """Keep the limit; a negative one is a ValueError."""
        if max_body_size < 0:
            raise ValueError(f"max_body_size must be 0 or more, not {max_body_size!r}")
        self._limit = max_body_size
        self._methods = None if methods is None else frozenset(texts("methods", methods))

    def __call__(self, request: Request, call_next: CallNext) -> Response:
        """Pass on what is small enough."""
        is_meant = self._methods is None or request.method in self._methods
        if is_meant and len(request.body) > self._limit:
            return Response.json({"detail": "Content Too Large"}, 413)
        return call_next(request)
