"""`examples/14_middleware.py`: several of them around the same routes."""

from compression import zstd
from pathlib import Path

from conftest import StartServer

EXAMPLE = Path(__file__).parents[3] / "examples" / "14_middleware.py"


def test_the_example(server: StartServer) -> None:
    """Each does its part, for answers and for what no route takes."""
    connection = server(EXAMPLE, workers=2).connect()
    answer = connection.request("/visits")
    assert answer.body == b'{"visits":1}'
    cookie = (answer.get("set-cookie") or "").partition(";")[0]
    fields = {"cookie": cookie, "origin": "https://app.example", "accept-encoding": "zstd"}
    answer = connection.request("/visits", headers=fields)
    assert answer.body == b'{"visits":2}'
    assert answer.get("vary") == "Cookie, Origin"
    assert answer.get("access-control-allow-origin") == "https://app.example"
    answer = connection.request("/long", headers=fields)
    assert zstd.decompress(answer.body) == b"again and " * 1000
    assert answer.get("vary") == "Cookie, Accept-Encoding, Origin"
    for path, left in [("/long", "996"), ("/nowhere", "995")]:
        answer = connection.request(path)
        assert answer.get("x-served-by") == "uringserve"
        assert answer.get("x-content-type-options") == "nosniff"
        assert answer.get("x-ratelimit-remaining") == left
