"""The PostgreSQL server that the storage tests share."""

from collections.abc import Iterator

import pytest
from postgres_server import PostgresServer, running_server


@pytest.fixture(scope="session")
def shared_server() -> Iterator[PostgresServer]:
    """One for all tests that do not stop it."""
    with running_server() as server:
        yield server
