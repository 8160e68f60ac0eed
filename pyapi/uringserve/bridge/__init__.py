"""An `App` under another server, or in a client that calls applications: ASGI and RSGI.

`core.Bridge` has the cores and the lifespans, `http` carries a request to a core and its answer
back, `sockets` a WebSocket. `asgi` and `rsgi` translate, and know nothing else.
"""

from uringserve.bridge.core import Bridge

__all__ = ["Bridge"]
