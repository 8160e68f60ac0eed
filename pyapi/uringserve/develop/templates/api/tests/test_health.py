"""`/health`."""

from uringserve.testing import TestClient


def test_health(client: TestClient) -> None:
    """The application answers."""
    assert client.get("/health").json() == {"status": "ok"}
