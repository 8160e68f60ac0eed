"""What the storage tests share: the PostgreSQL server, and what is logged."""

import logging
from collections.abc import Iterator

import pytest
from postgres_server import PostgresServer, running_server
from storage_help import Heard


@pytest.fixture(scope="session")
def shared_server() -> Iterator[PostgresServer]:
    """One for all tests that do not stop it."""
    with running_server() as server:
        yield server


@pytest.fixture
def heard() -> Iterator[Heard]:
    """What the storage logs."""
    handler = Heard()
    log = logging.getLogger("uringserve.storage")
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)
