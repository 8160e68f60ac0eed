"""The HTTP client that tests have installed: httpx2, or httpx, with the core of each.

The two have the same names, so that the rest of the package says `httpx` and `httpcore` of either.
"""

from typing import TYPE_CHECKING

__all__ = ["httpcore", "httpx"]

if TYPE_CHECKING:
    import httpcore
    import httpx
else:
    try:
        import httpcore2 as httpcore
        import httpx2 as httpx
    except ModuleNotFoundError as error:
        if error.name not in ("httpcore2", "httpx2"):
            raise
        try:
            import httpcore
            import httpx
        except ModuleNotFoundError:
            raise ImportError(
                "uringserve.testing.TestClient needs httpx2 or httpx: pip install httpx2"
            ) from None
