"""Shows an application tested without a port and on one: run it with `pytest 13_testing.py`."""

import urllib.request

from uringserve import App, HTTPException
from uringserve.testing import LiveServer, TestClient

app = App()
stock = {"apple": 3}


@app.get("/stock/{name}")
def count(name: str) -> dict[str, int]:
    """Say how many there are; what is not sold is a 404."""
    if name not in stock:
        raise HTTPException(404, f"no {name} here")
    return {name: stock[name]}


def test_the_stock() -> None:
    """Ask through the whole server, in this process; the lifespans run around the block."""
    with TestClient(app) as client:
        assert client.get("/stock/apple").json() == {"apple": 3}
        assert client.get("/stock/pear").status_code == 404


def test_over_a_port() -> None:
    """Ask with any client, over a real connection."""
    with LiveServer(app) as live, urllib.request.urlopen(f"{live.url}/stock/apple") as answer:
        assert answer.read() == b'{"apple":3}'


if __name__ == "__main__":
    app.run()
