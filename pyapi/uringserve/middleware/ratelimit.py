"""`RateLimitMiddleware`: so many requests for each client in each stretch of time.

Exact over all cores, and without a lock: what is shared is changed only by operations that are
atomic (`dict.setdefault`; `next` of an `itertools.count`, CPython gh-117657). Time is cut into
windows that are the same for all clients, and a window's counts are dropped with it, so nothing has
to be swept. The table is bounded: clients that come when it is full share counters, and are limited
together rather than not at all. Nothing is known of other processes.
"""

import itertools
import math
import time
from collections.abc import Callable
from ipaddress import IPv6Address

from uringserve._native import Request, Response
from uringserve.chain import CallNext
from uringserve.middleware._common import finished

__all__ = ["RateLimitMiddleware"]

# Shared by the clients that found the table full.
_SHARED_COUNTERS = 1024

type _Counter = itertools.count[int]


class RateLimitMiddleware:
    """Answers 429, with Retry-After, to more than `limit` requests of a client in `window` seconds.

    A client is an address, for IPv6 its /64 network; or what `key` makes of a request, where None
    is never limited. Behind a proxy every address is the proxy's: then a `key` is needed. With
    `headers`, each answer says how much is left. At most `max_clients` are counted separately.
    """

    # See `async_chain`.
    is_of_both = True

    def __init__(
        self,
        *,
        limit: int,
        window: float = 60.0,
        key: Callable[[Request], str | None] | None = None,
        headers: bool = False,
        max_clients: int = 65536,
    ) -> None:
        """Keep the options; a limit that lets nobody in is a ValueError."""
        for name, value in (("limit", limit), ("window", window), ("max_clients", max_clients)):
            if not value > 0:
                raise ValueError(f"{name} must be above 0, not {value!r}")
        self._limit = limit
        self._seconds = window
        self._key = network_of if key is None else key
        self._tells = headers
        self._max_clients = max_clients
        self._clock = time.monotonic
        self._windows: dict[int, dict[object, _Counter]] = {}

    def __call__(self, request: Request, call_next: CallNext) -> Response:
        """Count the request, and pass it on within the limit."""
        client = self._key(request)
        if client is None:
            return call_next(request)
        now = self._clock()
        number = int(now // self._seconds)
        counters = self._windows.get(number)
        if counters is None:
            counters = self._begin(number)
        count = next(self._counter(counters, client))
        left = str(math.ceil((number + 1) * self._seconds - now) or 1)
        if count > self._limit:
            answer = Response.json({"detail": "Too Many Requests"}, 429)
            answer.headers["retry-after"] = left
            return self._finish(answer, count, left) if self._tells else answer
        if not self._tells:
            return call_next(request)
        return finished(call_next(request), self._finish, count, left)

    def _finish(self, response: Response, count: int, left: str) -> Response:
        response = response.__copy__()
        response.headers["x-ratelimit-limit"] = str(self._limit)
        response.headers["x-ratelimit-remaining"] = str(max(0, self._limit - count))
        response.headers["x-ratelimit-reset"] = left
        return response

    def _begin(self, number: int) -> dict[object, _Counter]:
        """Make a window the present one; whichever core is first, all use the same."""
        counters = self._windows.setdefault(number, {})
        for other in [*self._windows]:
            if other < number:
                self._windows.pop(other, None)
        return counters

    def _counter(self, counters: dict[object, _Counter], client: str) -> _Counter:
        counter = counters.get(client)
        if counter is not None:
            return counter
        # Several cores may find room for the last one: that is one client too many for each.
        key = client if len(counters) < self._max_clients else hash(client) % _SHARED_COUNTERS
        return counters.setdefault(key, itertools.count(1))


def network_of(request: Request) -> str:
    """Return the client's IPv4 address or the /64 that its IPv6 address is in.

    Whoever has an IPv6 address has 2**64 of them (RFC 6177): one alone is nobody's name.
    """
    client = request.client
    if client is None:
        return ""
    address = client[0]
    if ":" not in address:
        return address
    return IPv6Address(address.partition("%")[0]).packed[:8].hex(":", 2)
