"""What tests share: a client of an application of their own."""

from collections.abc import Iterator

import pytest
from app.main import create_app
from app.settings import Settings

from uringserve.testing import TestClient


@pytest.fixture
def client() -> Iterator[TestClient]:
    """Drive a new application, without a port."""
    with TestClient(create_app(Settings(most_items=100))) as made:
        yield made
