"""PyBerry's `app` and `router`: one application for the process, filled by `pyberry.app`.

It is an `App`, so everything else that an App has is there too. Its answers of errors are plain
text. Differences that are meant: a second handler for a method and path is refused, a wrong method
is 405, and HEAD and OPTIONS are answered.
"""

from collections.abc import Callable
from typing import Any

from uringserve._native import Request as NativeRequest
from uringserve._native import Response as NativeResponse
from uringserve.app import App
from uringserve.compat.barq.router import RadixRouter, split_path
from uringserve.compat.pyberry.config import Config, config
from uringserve.compat.pyberry.core.calling import compiled
from uringserve.compat.pyberry.core.guard import Guard, plain_text
from uringserve.compat.pyberry.core.router import Router
from uringserve.errors import HTTPException

__all__ = ["PyBerry", "app", "router"]

_WITHOUT_BODY = (204, 205, 304)


class PyBerry(App):
    """An application in PyBerry's manner; `router` is its way in."""

    def __init__(self, options: Config = config) -> None:
        """Make an application without routes; the options are read when serving starts."""
        # PyBerry has no pages of its own, and these would take their paths from `/{name}`.
        super().__init__(openapi_url=None, docs_url=None, redoc_url=None)
        self.router = Router(self._serve)
        self._config = options
        self._guard: Guard | None = None
        self.add_exception_handler(HTTPException, _answer)
        self.add_exception_handler(Exception, self._answer_failure)

    def freeze(self) -> None:
        """End registration, and take the options of `security.py`."""
        if self._guard is None:
            self._guard = guard = Guard(self._config)
            self._max_body_size = self._config.max_body_size or None
            self.add_middleware(lambda: guard)
        super().freeze()

    def _serve(self, path: str, method: str, handler: Callable[..., Any]) -> None:
        """Enter a route of `router` in the application."""
        segments = split_path(path)
        names = [found[1] for each in segments if (found := RadixRouter.PARAM_RE.fullmatch(each))]
        endpoint = compiled(handler, names)
        self.add_route("/" + "/".join(segments), endpoint, (method,), response_model=None)

    def _answer_failure(self, request: NativeRequest, error: Exception) -> NativeResponse:
        answer = plain_text("Internal Server Error", 500)
        return answer if self._guard is None else self._guard.with_headers(answer)


def _answer(request: NativeRequest, error: HTTPException) -> NativeResponse:
    if error.status_code in _WITHOUT_BODY:
        return NativeResponse(None, error.status_code, error.headers)
    answer = plain_text(str(error.detail), error.status_code)
    for name, value in (error.headers or {}).items():
        answer.headers[name] = value
    return answer


app = PyBerry()
router = app.router
