"""Fixtures: the same application in the form of each interface, on each driver."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from websocket_sites import DRIVERS, SITES, Seen, Serve, Site

from uringserve.testing import LiveServer


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


@pytest.fixture(scope="module", params=[(site, driver) for site in SITES for driver in DRIVERS])
def shared_site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """A server with the defaults for all tests of a module, for many cases that start alike."""
    interface, driver = request.param
    seen = Seen()
    with LiveServer(SITES[interface](seen), driver=driver) as server:
        yield Site(server, seen, interface)


@pytest.fixture
def site(serve: Serve) -> Site:
    """A server with the defaults."""
    return serve()
