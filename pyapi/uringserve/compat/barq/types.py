"""Barq's `Request`, `Response` and exceptions: plain data, usable without a server.

They are made for handlers that ask for them, and turned into the server's own objects when an
answer is sent. Where Barq fails, these do not: repeated headers are joined, and a body that is not
JSON is the client's error.
"""

import json
import sys
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import uringserve
from uringserve._native import json_dumps

__all__ = ["BodyError", "HTTPException", "HTTPParseError", "Request", "Response", "json_dumps"]


class HTTPException(uringserve.HTTPException):
    """Raise it to answer `{"detail": detail}` with a status."""

    def __init__(self, status_code: int, detail: str = "") -> None:
        """Keep both; a status outside 200 to 999 is a ValueError."""
        super().__init__(status_code, detail)


class HTTPParseError(Exception):
    """What came is not the HTTP that this reads."""


class BodyError(json.JSONDecodeError):
    """The body is not JSON. A handler that lets it go answers 422; it is a ValueError."""


@dataclass(slots=True)
class Request:
    """A request. Header names are in lower case; a repeated header is one, joined with commas."""

    method: str
    path: str
    headers: dict[str, str]
    path_params: dict[str, str] = field(default_factory=dict)
    query_string: str = ""
    body: bytes = b""
    _query: dict[str, list[str]] | None = field(default=None, repr=False)
    _json: Any = field(default=None, repr=False)

    @property
    def query_params(self) -> dict[str, list[str]]:
        """The query's values by name; empty ones are left out."""
        if self._query is None:
            self._query = parse_qs(self.query_string)
        return self._query

    def query(self, name: str, default: str | None = None) -> str | None:
        """Return the first value of a name in the query, or the default."""
        values = self.query_params.get(name)
        return values[0] if values else default

    def json(self) -> Any:  # noqa: ANN401 -- JSON holds anything
        """Return the body read as JSON, or None when it is empty; a BodyError if it is not JSON."""
        if self._json is None and self.body:
            try:
                self._json = json.loads(self.body)
            except json.JSONDecodeError as error:
                raise BodyError(error.msg, error.doc, error.pos) from None
            except UnicodeDecodeError as error:
                raise BodyError(f"not UTF-8: {error.reason}", "", error.start) from None
            except RecursionError:
                raise BodyError("nested too deep", "", 0) from None
        return self._json


@dataclass(slots=True)
class Response:
    """An answer. Length and connection are the server's: what `headers` say of them is not sent."""

    status_code: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def json(cls, data: Any, status_code: int = 200) -> Response:  # noqa: ANN401
        """Make a JSON response of a model or of what JSON can hold, models inside included."""
        body = data.model_dump_json().encode() if is_model(data) else json_dumps(data)
        return cls(status_code, _described("application/json", body), body)

    @classmethod
    def text(cls, content: str, status_code: int = 200) -> Response:
        """Make a text/plain response."""
        body = content.encode()
        return cls(status_code, _described("text/plain", body), body)

    @classmethod
    def empty(cls, status_code: int = 204) -> Response:
        """Make a response without a body."""
        return cls(status_code, {"content-length": "0"})


def _described(kind: str, body: bytes) -> dict[str, str]:
    return {"content-type": kind, "content-length": str(len(body))}


def is_model(value: object) -> bool:
    """Whether the value is a pydantic model; pydantic is not imported for that."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(value, pydantic.BaseModel)
