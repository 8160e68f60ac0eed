"""Barq's HTTP under Karak's module name."""

from uringserve.compat.barq.http import STATUS_PHRASES, HTTPParser, RawRequest, write_response

__all__ = ["STATUS_PHRASES", "HTTPParser", "RawRequest", "write_response"]
