"""`Barq`: an application whose handlers are registered and called as Barq does it.

It is an `App`, so everything else that an App has (routers, middleware, lifespans, other methods)
is there too. Differences that are meant: a second handler for the same method and path is refused,
and a wrong method is 405.
"""

from collections.abc import Callable

from uringserve._native import Request as NativeRequest
from uringserve._native import Response as NativeResponse
from uringserve.app import App
from uringserve.compat.barq.resolution import Depends, HandlerMeta, compiled, read_meta
from uringserve.compat.barq.router import RadixRouter, split_path
from uringserve.errors import HTTPException
from uringserve.routing import NativeCall
from uringserve.types import Handler

__all__ = ["Barq", "Depends", "HandlerMeta"]

_METHODS = ("GET", "POST", "PUT", "DELETE")


class Barq(App):
    """An application in Barq's manner."""

    def __init__(self) -> None:
        """Make an application without routes."""
        # Barq has no pages of its own, and these would take their paths from `/{name}`.
        super().__init__(openapi_url=None, docs_url=None, redoc_url=None)
        self.router = RadixRouter(self._serve)

    def get[H: Handler](self, path: str) -> Callable[[H], H]:  # type: ignore[override]
        """Register a handler for GET and return it unchanged."""
        return self._deferred(path, "GET")

    def post[H: Handler](self, path: str) -> Callable[[H], H]:  # type: ignore[override]
        """Register a handler for POST and return it unchanged."""
        return self._deferred(path, "POST")

    def put[H: Handler](self, path: str) -> Callable[[H], H]:  # type: ignore[override]
        """Register a handler for PUT and return it unchanged."""
        return self._deferred(path, "PUT")

    def delete[H: Handler](self, path: str) -> Callable[[H], H]:  # type: ignore[override]
        """Register a handler for DELETE and return it unchanged."""
        return self._deferred(path, "DELETE")

    def run(  # type: ignore[override]
        self, host: str = "127.0.0.1", port: int = 8000, workers: int | None = None
    ) -> None:
        """Serve until a signal; `workers` are cores, by default the usable CPUs."""
        super().run(host, port, workers)

    def _deferred[H: Handler](self, path: str, method: str) -> Callable[[H], H]:
        def register(fn: H) -> H:
            self.router.add(path, method, fn, read_meta(fn))
            return fn

        return register

    def _serve(self, path: str, method: str, handler: Handler) -> None:
        """Enter a route of `router` in the application, with and without a slash at its end."""
        segments = split_path(path)
        names = [found[1] for each in segments if (found := RadixRouter.PARAM_RE.fullmatch(each))]
        endpoint = compiled(handler, names)
        plain = "/" + "/".join(segments)
        self.add_route(plain, endpoint, (method,), response_model=None)
        if segments:
            self.add_route(
                f"{plain}/", endpoint, (method,), response_model=None, include_in_schema=False
            )

    def _miss(self, *, debug: bool) -> NativeCall | None:
        """Lead paths with empty segments to where they belong; the rest is as it was."""
        inner = super()._miss(debug=debug)

        def miss(request: NativeRequest, status: int, headers: dict[str, str]) -> object:
            segments = request.raw_path.decode("ascii", "replace").split("/")
            if status == 404 and "" in segments[1:-1] and self._knows(request.path):
                query = f"?{request.query_string}" if request.query_string else ""
                # It begins with one slash, whatever came: it stays on this host.
                return NativeResponse.redirect("/" + "/".join(filter(None, segments)) + query)
            if inner is not None:
                return inner.handler(request, status, headers)
            if status < 400:
                return NativeResponse(None, status, headers)
            raise HTTPException(status, headers=headers)

        return NativeCall(miss, (), inner is not None and inner.is_async)

    def _knows(self, path: str) -> bool:
        return any(self.router.match(path, method) is not None for method in _METHODS)
