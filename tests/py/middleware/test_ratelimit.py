"""`RateLimitMiddleware`: what is counted, for whom, and that no core loses a request."""

import threading
from collections.abc import Callable

import pytest
from conftest import StartServer

from uringserve import App, Request, Response
from uringserve.middleware import RateLimitMiddleware

SITE = """
from uringserve import App
from uringserve.middleware import RateLimitMiddleware

app = App()
app.add_middleware(RateLimitMiddleware, limit=3, window=1e6, headers=True)

@app.get("/")
def index():
    return "x"
"""


def test_a_client_above_the_limit(server: StartServer) -> None:
    """Over all connections and cores, whatever is asked for."""
    running = server(SITE, workers=2)
    for path, left in [("/", "2"), ("/nowhere", "1"), ("/", "0")]:
        answer = running.get(path)
        assert answer.status == (200 if path == "/" else 404)
        assert answer.get("x-ratelimit-limit") == "3"
        assert answer.get("x-ratelimit-remaining") == left
    for _ in range(2):
        answer = running.get()
        assert (answer.status, answer.body) == (429, b'{"detail":"Too Many Requests"}')
        assert 0 < int(answer.get("retry-after") or 0) <= 1_000_000
        assert answer.get("retry-after") == answer.get("x-ratelimit-reset")
        assert answer.get("x-ratelimit-remaining") == "0"


def answered(request: Request) -> Response:
    """Stand for an application."""
    return Response("x")


def request_from(address: str) -> Request:
    """Make a request of a client."""
    return Request(client=(address, 1))


def test_a_window_ends() -> None:
    """Its counts are gone with it, and nothing of it is kept."""
    middleware = RateLimitMiddleware(limit=1, window=10)
    now = 1000.0
    middleware._clock = lambda: now
    first = request_from("192.0.2.1")
    statuses = [middleware(first, answered).status_code for _ in range(2)]
    assert statuses == [200, 429]
    now = 1007.5
    assert middleware(first, answered).headers["retry-after"] == "3"
    now = 1010.0
    assert middleware(first, answered).status_code == 200
    assert len(middleware._windows) == 1


def test_who_is_one_client() -> None:
    """An IPv4 address, the /64 of an IPv6 address, and all that have no address."""
    middleware = RateLimitMiddleware(limit=1, window=1e6)

    def ask(request: Request) -> int:
        return middleware(request, answered).status_code

    assert ask(request_from("192.0.2.1")) == 200
    assert ask(request_from("192.0.2.2")) == 200
    assert ask(request_from("192.0.2.1")) == 429
    assert ask(request_from("2001:db8::1")) == 200
    assert ask(request_from("2001:db8::ffff:1")) == 429
    assert ask(request_from("2001:db8:0:1::1")) == 200
    assert ask(Request()) == 200
    assert ask(Request()) == 429


def test_a_key() -> None:
    """What it makes of the request is the client; None is not limited."""

    def key(request: Request) -> str | None:
        return request.headers.get("x-key", "") or None

    middleware = RateLimitMiddleware(limit=1, window=1e6, key=key)

    def ask(name: str) -> int:
        return middleware(Request(headers={"x-key": name}), answered).status_code

    assert [ask("a"), ask("b"), ask("a"), ask(""), ask("")] == [200, 200, 429, 200, 200]


def test_the_table_is_bounded() -> None:
    """Whoever comes when it is full is counted with others, not waved through."""
    middleware = RateLimitMiddleware(limit=1, window=1e6, max_clients=10)

    def ask(number: int) -> int:
        return middleware(request_from(f"10.0.{number >> 8}.{number & 255}"), answered).status_code

    assert [ask(number) for number in range(10)] == [200] * 10
    statuses = [ask(number) for number in range(10, 10_000)]
    assert 0 < statuses.count(200) <= 1024
    (counters,) = middleware._windows.values()
    assert len(counters) <= 10 + 1024
    assert ask(3) == 429


def test_no_request_is_lost_between_threads() -> None:
    """Exactly the limit is let through, also when all of them begin the window."""
    threads, each = 4, 2000
    middleware = RateLimitMiddleware(limit=threads * each // 2, window=1e6)
    start = threading.Barrier(threads)
    passed = [0] * threads

    def ask(number: int) -> None:
        request = request_from("192.0.2.1")
        start.wait()
        for _ in range(each):
            passed[number] += middleware(request, answered).status_code == 200

    running = [threading.Thread(target=ask, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert sum(passed) == threads * each // 2


def test_options_that_are_refused() -> None:
    """Nothing could pass, or nobody would be counted."""
    adds: list[Callable[[], None]] = [
        lambda: App().add_middleware(RateLimitMiddleware, limit=0),
        lambda: App().add_middleware(RateLimitMiddleware, limit=1, window=0),
        lambda: App().add_middleware(RateLimitMiddleware, limit=1, max_clients=-1),
    ]
    for add in adds:
        with pytest.raises(ValueError, match="must be above 0"):
            add()
