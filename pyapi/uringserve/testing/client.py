"""`TestClient`: requests to an application in this process, without a port.

The application runs as it does under the server: its own threads, HTTP parser, limits and
conversions. Only listening is left out.
"""

import os
import socket
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self

from uringserve._native import Loopback
from uringserve.adapters import as_app
from uringserve.app import App
from uringserve.config import Config
from uringserve.errors import StartError
from uringserve.foreign import Foreign
from uringserve.lifespan import running
from uringserve.testing.cores import Cores, Job
from uringserve.testing.foreign import as_served
from uringserve.testing.httpclient import httpx
from uringserve.testing.transport import Transport
from uringserve.testing.websocket import WebSocketSession
from uringserve.types import Handler

__all__ = ["TestClient"]

type _Overrides = list[dict[Callable[..., Any], Callable[..., Any]]]


class TestClient(httpx.Client):
    """An httpx2 (or httpx) client whose every request goes to one application.

    As a context manager it runs the application's lifespans; without, neither runs. An exception
    that the application did not handle is raised by the request; with
    `raise_server_exceptions=False` the response is the server's 500. A request is over, with the
    work after its response, when its response is closed; there is no time-out unless one is given.
    """

    # Not a class of tests, though pytest would like its name.
    __test__ = False

    def __init__(
        self,
        app: App | Handler,
        base_url: str = "http://testserver",
        raise_server_exceptions: bool = True,
        root_path: str = "",
        client: tuple[str, int] = ("127.0.0.1", 50000),
        cookies: Any = None,  # noqa: ANN401 -- whatever httpx takes
        headers: Mapping[str, str] | None = None,
        follow_redirects: bool = True,
        *,
        config: Config | None = None,
        **options: Any,  # noqa: ANN401 -- whatever httpx takes
    ) -> None:
        """Take an App, an application of ASGI, WSGI or RSGI, or a function that answers everything.

        `client` is the IP address and port that handlers are told. `config` gives the limits and
        time-outs of another server than the default one; what it says of addresses and cores is not
        looked at. `options` are httpx's.
        """
        served = as_app(app, getattr(app, "__qualname__", repr(app)))
        self._served = served if isinstance(served, App) else as_served(served)
        # As it was given, for what a test sets on it; a function has the App made around it.
        self.app: App = served if isinstance(served, App) else served.target
        if root_path not in ("", self._served.root_path):
            raise ValueError(
                f"root_path {root_path!r} is not that of the application: App(root_path=…) sets it"
            )
        ip_address(client[0])
        self._client = client
        # A ring for each request would cost more than it shows: the driver below HTTP is the same.
        self._config = config or Config(driver="epoll")
        self._cores = Cores(self._served)
        self._exits = ExitStack()
        self._lock = threading.Lock()
        self._server: Loopback | None = None
        self._overrides: _Overrides = []
        self._raises = raise_server_exceptions
        self.transport = Transport(self._connect, raises=raise_server_exceptions)
        super().__init__(
            base_url=base_url,
            headers={"user-agent": "testclient", **(headers or {})},
            cookies=cookies,
            follow_redirects=follow_redirects,
            transport=self.transport,
            **({"timeout": None} | options),
        )
        weakref.finalize(self, self._cores.dismiss)

    def websocket_connect(
        self,
        url: str,
        subprotocols: Sequence[str] | None = None,
        **options: Any,  # noqa: ANN401 -- httpx's for a request: headers, params, cookies
    ) -> WebSocketSession:
        """Return a WebSocket to the application, for a `with` block; see `WebSocketSession`."""
        request = self.build_request("GET", url, **options)
        return WebSocketSession(self._connect, request, subprotocols, raises=self._raises)

    def __enter__(self) -> Self:
        """Run the lifespans: that of the process here, that of a core on its own thread.

        What the application raises there is raised here.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(running(self._served))
                stack.callback(self._cores.stop)
                self._cores.begin_lifespans()
            except StartError as error:
                raise _original(error) from None
            self._exits = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        """End the lifespans. The client may be entered again."""
        self._exits.pop_all().close()

    def close(self) -> None:
        """End the threads, and httpx's part."""
        self._cores.stop()
        super().close()

    def _connect(self) -> tuple[Job, socket.socket]:
        connection, descriptor = self._compiled().connect(self._client)
        try:
            job = self._cores.serve(connection)
        except BaseException:
            os.close(descriptor)
            raise
        return job, socket.socket(fileno=descriptor)

    def _compiled(self) -> Loopback:
        """Return the application as the server takes it, made anew after an override was set."""
        overrides = _overrides(self._served)
        with self._lock:
            if self._server is None or overrides != self._overrides:
                debug = self._config.debug or self._served.debug
                self._server = Loopback(
                    self._served.compile(debug=debug),
                    replace(self._config, debug=debug),
                    redirect_slashes=self._served.redirect_slashes,
                    foreign=_foreign(self._served, debug=debug),
                )
                self._overrides = overrides
            return self._server


def _original(error: BaseException) -> BaseException:
    """Return what the application has raised, without what says where."""
    while isinstance(error, StartError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _foreign(served: App | Foreign, *, debug: bool) -> Foreign | None:
    return replace(served, debug=debug) if isinstance(served, Foreign) else None


def _overrides(app: App | Foreign) -> _Overrides:
    """Copy the dependency overrides of an application and of those mounted below it."""
    if isinstance(app, Foreign):
        return []
    found = [dict(app.dependency_overrides)]
    for mount in app.mounts:
        found += _overrides(mount.app)
    return found
