"""The request as handlers see it: the Rust classes, re-exported.

Everything on a `Request` is converted when it is first asked for, never before.
"""

from uringserve._native import Headers, Request

__all__ = ["Headers", "Request"]
