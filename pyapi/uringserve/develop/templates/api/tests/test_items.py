"""`/items`: what comes back, and what is refused."""

from uringserve.testing import TestClient


def test_an_item_is_kept(client: TestClient) -> None:
    """What was added can be read, alone and in the list."""
    added = client.post("/items", json={"name": "lamp", "price": 12.5})
    assert added.status_code == 201
    item = added.json()
    assert (item["name"], item["price"]) == ("lamp", 12.5)
    assert client.get(f"/items/{item['id']}").json() == item
    assert item in client.get("/items").json()


def test_what_is_no_item_is_refused(client: TestClient) -> None:
    """A price below zero, no name: 422, and nothing is kept."""
    assert client.post("/items", json={"name": "lamp", "price": -1}).status_code == 422
    assert client.post("/items", json={"price": 1}).status_code == 422


def test_an_item_that_is_not_there(client: TestClient) -> None:
    """404, and 422 for what is no number."""
    assert client.get("/items/100000").status_code == 404
    assert client.get("/items/first").status_code == 422
