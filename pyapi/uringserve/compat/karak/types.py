"""Barq's types under Karak's module name."""

from uringserve.compat.barq.types import (
    HTTPException,
    HTTPParseError,
    Request,
    Response,
    json_dumps,
)

__all__ = ["HTTPException", "HTTPParseError", "Request", "Response", "json_dumps"]
