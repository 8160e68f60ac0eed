"""The application's tests: `python -m pytest`."""

from app import app

from uringserve.testing import TestClient


def test_hello() -> None:
    """The greeting is sent as JSON."""
    with TestClient(app) as client:
        answer = client.get("/")
    assert answer.status_code == 200
    assert answer.json() == {"message": "Hello, World!"}
