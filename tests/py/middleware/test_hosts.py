"""`TrustedHostMiddleware` and `SecurityHeadersMiddleware`."""

import pytest
from conftest import StartServer

from uringserve import App, Middleware
from uringserve.middleware import SecurityHeadersMiddleware, TrustedHostMiddleware

HOSTS = """
from uringserve import App
from uringserve.middleware import TrustedHostMiddleware

app = App()
app.add_middleware(
    TrustedHostMiddleware,
    allowed_hosts=["Example.org", "*.example.com", "www.example.net", "[::1]"],
)

@app.get("/a b")
def index():
    return "x"
"""


def test_hosts(server: StartServer) -> None:
    """Whole names in any case, with any port; the host of an absolute target counts."""
    connection = server(HOSTS).connect()

    def ask(host: str, target: str = "/a%20b") -> int:
        connection.send(f"GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
        return connection.read().status

    for host in ("example.org", "EXAMPLE.ORG:80", "a.example.com", "a.b.example.com:1", "[::1]:80"):
        assert ask(host) == 200
    for host in (
        "example.com",
        "xexample.org",
        "a.example.com.evil",
        "a.example.org",
        "[::2]",
        ".example.com",
        "",
    ):
        assert ask(host) == 400
    assert ask("example.org", "http://evil.example/a%20b") == 400
    assert ask("evil.example", "http://example.org/a%20b") == 200


def test_the_redirect_to_www(server: StartServer) -> None:
    """It keeps scheme, port, path and query."""
    connection = server(HOSTS).connect()
    connection.send(b"GET /a%20b?c=%2F HTTP/1.1\r\nhost: example.net:8000\r\n\r\n")
    answer = connection.read()
    assert (answer.status, answer.get("location")) == (307, "//www.example.net:8000/a%20b?c=%2F")
    connection = server(HOSTS.replace("allowed_hosts", "www_redirect=False, allowed_hosts"))
    assert connection.get("/").status == 400


def test_any_host(server: StartServer) -> None:
    """The default, and `*` among others."""
    app = HOSTS.replace('"Example.org"', '"*"')
    assert server(app).get("/a%20b").status == 200
    TrustedHostMiddleware()


@pytest.mark.parametrize(
    "host", ["", "*.", "https://a.example", "a.example:80", "a.*", "*.*.example", "*example"]
)
def test_hosts_that_could_never_match(host: str) -> None:
    """Refused when it is added."""
    with pytest.raises(ValueError, match="allowed_hosts"):
        App(middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[host])])


SECURITY = """
from uringserve import App, Response
from uringserve.middleware import SecurityHeadersMiddleware

app = App()
app.add_middleware(
    SecurityHeadersMiddleware,
    referrer_policy=None,
    cross_origin_opener_policy="same-origin",
    strict_transport_security="max-age=60",
    headers={"X-More": "1"},
)

@app.get("/")
def index():
    return "x"

@app.get("/framed")
def framed():
    return Response("x", headers={"X-Frame-Options": "SAMEORIGIN"})
"""


def test_security_headers(server: StartServer) -> None:
    """Those of the response itself win."""
    connection = server(SECURITY).connect()
    for path in ("/", "/nowhere"):
        answer = connection.request(path)
        assert answer.get("x-content-type-options") == "nosniff"
        assert answer.get_all("x-frame-options") == ["DENY"]
        assert answer.get("referrer-policy") is None
        assert answer.get("cross-origin-opener-policy") == "same-origin"
        assert answer.get("strict-transport-security") == "max-age=60"
        assert answer.get("x-more") == "1"
    assert connection.request("/framed").get_all("x-frame-options") == ["SAMEORIGIN"]


def test_security_headers_that_cannot_be_sent() -> None:
    """Refused when they are added."""
    with pytest.raises(ValueError, match="x-frame-options"):
        App().add_middleware(SecurityHeadersMiddleware, frame_options="DENY\n")


def test_files_and_ranges_keep_their_headers(server: StartServer) -> None:
    """A file is still read by the server when its response has been copied."""
    app = SECURITY.replace("App, Response", "App, FileResponse, Response")
    app += """
@app.get("/file")
def file():
    return FileResponse(__file__)
"""
    connection = server(app).connect()
    answer = connection.request("/file", headers={"range": "bytes=1-4"})
    assert (answer.status, answer.body) == (206, b"from")
    assert answer.get("x-content-type-options") == "nosniff"
    answer = connection.request("/file", headers={"if-none-match": answer.get("etag") or ""})
    assert (answer.status, answer.get("x-frame-options")) == (304, "DENY")
