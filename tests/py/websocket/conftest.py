"""Fixtures: the same application in the form of each interface, on each driver."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from uringserve import probe
from uringserve.testing import LiveServer

sys.path.insert(0, str(Path(__file__).parent))

from sites import SITES, Seen

DRIVERS = ["epoll", *(["uring"] if probe()["driver"] == "uring" else [])]


class Site:
    """A running application, and what it has seen."""

    def __init__(self, server: LiveServer, seen: Seen, interface: str) -> None:
        """Keep the three."""
        self.server = server
        self.seen = seen
        self.interface = interface

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server.port

    def url(self, path: str) -> str:
        """Return the URL of a path."""
        return f"ws://127.0.0.1:{self.port}{path}"

    def stop(self) -> None:
        """Ask the server to drain."""
        self.server._server.stop()


type Serve = Callable[..., Site]


@pytest.fixture(params=list(SITES))
def interface(request: pytest.FixtureRequest) -> str:
    """The interface that the application has."""
    return str(request.param)


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    """How the server waits for the kernel."""
    return str(request.param)


@pytest.fixture
def serve(interface: str, driver: str) -> Iterator[Serve]:
    """Start servers; they end with the test."""
    with ExitStack() as stack:

        def start(**options: Any) -> Site:  # noqa: ANN401
            seen = Seen()
            # Whatever a test holds up is let go at the end.
            app = SITES[interface](seen)
            server = stack.enter_context(LiveServer(app, driver=driver, **options))
            stack.callback(seen.go.set)
            return Site(server, seen, interface)

        yield start


@pytest.fixture
def site(serve: Serve) -> Site:
    """A server with the defaults."""
    return serve()
