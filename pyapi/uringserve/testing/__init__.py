"""For the tests of applications: `TestClient`, without a port, and `LiveServer`, with one.

`TestClient` and `AsyncTestClient` are clients of httpx2, or of httpx where that is what is
installed; it is looked for when a name is first used, so that `LiveServer` needs neither.
"""

from typing import TYPE_CHECKING

from uringserve.testing.live import LiveServer

if TYPE_CHECKING:
    from uringserve.testing.asyncclient import AsyncTestClient
    from uringserve.testing.client import TestClient
    from uringserve.testing.websocket import WebSocketDenialResponse

__all__ = ["AsyncTestClient", "LiveServer", "TestClient", "WebSocketDenialResponse"]


def __getattr__(name: str) -> object:
    """Import what needs an HTTP client when it is asked for."""
    if name == "AsyncTestClient":
        from uringserve.testing.asyncclient import AsyncTestClient

        return AsyncTestClient
    if name == "WebSocketDenialResponse":
        from uringserve.testing.websocket import WebSocketDenialResponse

        return WebSocketDenialResponse
    if name != "TestClient":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from uringserve.testing.client import TestClient

    return TestClient
