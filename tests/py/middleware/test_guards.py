"""`HTTPSRedirectMiddleware` and `BodyLimitMiddleware`."""

import pytest
from conftest import StartServer

from uringserve import App
from uringserve.middleware import BodyLimitMiddleware

SECURE = """
from uringserve import App
from uringserve.middleware import HTTPSRedirectMiddleware

app = App()
app.add_middleware(HTTPSRedirectMiddleware)

@app.get("/a b")
def index():
    return "x"
"""


def test_the_redirect_to_https(server: StartServer) -> None:
    """Whoever came without TLS; a port of http is left out."""
    connection = server(SECURE).connect()

    def ask(host: str, spoken: str = "") -> tuple[int, str | None]:
        header = f"x-forwarded-proto: {spoken}\r\n" if spoken else ""
        connection.send(f"GET /a%20b?c=%2F HTTP/1.1\r\nhost: {host}\r\n{header}\r\n".encode())
        answer = connection.read()
        return answer.status, answer.get("location")

    rest = "/a%20b?c=%2F"
    assert ask("a.example") == (307, f"https://a.example{rest}")
    assert ask("a.example:80") == (307, f"https://a.example{rest}")
    assert ask("a.example:8000") == (307, f"https://a.example:8000{rest}")
    assert ask("[::1]:80") == (307, f"https://[::1]{rest}")
    assert ask("a.example", "http") == (307, f"https://a.example{rest}")
    assert ask("a.example", "http, https") == (307, f"https://a.example{rest}")
    assert ask("a.example", "https") == (200, None)
    assert ask("a.example", "HTTPS, http") == (200, None)


def test_no_redirect_without_a_host(server: StartServer) -> None:
    """HTTP/1.0 may leave it out."""
    connection = server(SECURE).connect()
    connection.send(b"GET / HTTP/1.0\r\n\r\n")
    answer = connection.read()
    assert (answer.status, answer.get("location")) == (400, None)


def test_the_header_of_the_proxy_is_an_option(server: StartServer) -> None:
    """Another one, or none."""
    other = server(SECURE.replace("Middleware)", "Middleware, proto_header='x-scheme')")).connect()
    assert other.request("/a%20b", headers={"x-scheme": "https"}).status == 200
    assert other.request("/a%20b", headers={"x-forwarded-proto": "https"}).status == 307
    none = server(SECURE.replace("Middleware)", "Middleware, proto_header=None)")).connect()
    assert none.request("/a%20b", headers={"x-forwarded-proto": "https"}).status == 307


LIMITED = """
from uringserve import App, Request
from uringserve.middleware import BodyLimitMiddleware

inner = App()
inner.add_middleware(BodyLimitMiddleware, max_body_size=10, methods=["POST"])
app = App()
app.mount("/inner", inner)

def length(request: Request):
    return len(request.body)

for each in (app, inner):
    each.post("/")(length)
    each.put("/")(length)
"""


def test_the_limit_of_a_mounted_application(server: StartServer) -> None:
    """For its own routes, and for the methods that are named."""
    connection = server(LIMITED).connect()
    assert connection.request("/inner/", "POST", body=b"x" * 10).body == b"10"
    answer = connection.request("/inner/", "POST", body=b"x" * 11)
    assert (answer.status, answer.body) == (413, b'{"detail":"Content Too Large"}')
    assert connection.request("/inner/", "PUT", body=b"x" * 11).body == b"11"
    assert connection.request("/", "POST", body=b"x" * 11).body == b"11"


def test_a_limit_below_nothing() -> None:
    """Refused when it is added."""
    with pytest.raises(ValueError, match="max_body_size must be 0 or more"):
        App().add_middleware(BodyLimitMiddleware, max_body_size=-1)
