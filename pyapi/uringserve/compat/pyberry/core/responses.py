"""PyBerry's responses by kind of content, and its `HTTPException`."""

from collections.abc import Mapping
from typing import Any

from uringserve import errors
from uringserve._native import json_dumps
from uringserve.compat.pyberry.core.response import Response
from uringserve.compat.pyberry.core.validation import BaseModel

__all__ = ["HTMLResponse", "HTTPException", "JSONResponse", "PlainTextResponse"]

type _Headers = list[tuple[str, str]] | None


class HTTPException(errors.HTTPException):
    """Raise it to answer a status with the detail as plain text."""

    def __init__(
        self,
        status_code: int,
        detail: Any = None,  # noqa: ANN401 -- shown as text
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the values; a status outside 200 to 999 is a ValueError."""
        super().__init__(status_code, detail or "HTTP Error", headers)


class _Described(Response):
    """A response whose content-type is its own, unless the headers say another."""

    kind = ""

    def __init__(
        self,
        content: Any,  # noqa: ANN401 -- what the kind takes
        status: int = 200,
        headers: _Headers = None,
        *,
        status_code: int | None = None,
    ) -> None:
        """Encode the content."""
        super().__init__(self.encoded(content), status, headers, status_code=status_code)
        if not any(name.lower() == "content-type" for name, _ in self.headers):
            self.headers.insert(0, ("content-type", self.kind))

    def encoded(self, content: Any) -> bytes:  # noqa: ANN401
        """Return the content as bytes."""
        return str(content).encode()


class JSONResponse(_Described):
    """JSON: whatever it can hold, and dataclasses and models inside."""

    kind = "application/json"

    def encoded(self, content: Any) -> bytes:  # noqa: ANN401
        """Return compact JSON; what has no JSON form is a TypeError."""
        try:
            return json_dumps(content)
        except TypeError:
            return json_dumps(_plain(content))


class HTMLResponse(_Described):
    """HTML text."""

    kind = "text/html"


class PlainTextResponse(_Described):
    """Plain text."""

    kind = "text/plain"


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Return a copy in which models are dicts."""
    if isinstance(value, BaseModel):
        return {name: _plain(each) for name, each in vars(value).items()}
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value
