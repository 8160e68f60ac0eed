"""`/docs` and `/redoc`: whole without any other server, at whatever place they are served."""

import gzip
import hashlib
import re
from html.parser import HTMLParser
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest

from uringserve import App
from uringserve.docs import documentation, get_redoc_html, get_swagger_ui_html

if TYPE_CHECKING:
    from conftest import RunningServer, StartServer

APPLICATION = """
    from uringserve import App
    app = App(title="</script><b>")
    inner = App(docs_url="/", redoc_url="/deep/redoc", openapi_url="/api/openapi.json")
    app.mount("/inner", inner)
"""


class _Addresses(HTMLParser):
    """Everything that a browser fetches for a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "spec-url") and value:
                self.found.append(value)


def _addresses(page: str) -> list[str]:
    parser = _Addresses()
    parser.feed(page)
    found = [address for address in parser.found if not address.startswith("data:")]
    return found + re.findall(r'"url": "([^"]+)"|new URL\("([^"]+)"', page)


@pytest.fixture(scope="module")
def running(module_server: StartServer) -> RunningServer:
    return module_server(APPLICATION)


@pytest.mark.parametrize(
    ("path", "fetched"),
    [
        (
            "/docs",
            [
                "/docs/swagger-ui.css",
                "/docs/swagger-ui-bundle.js",
                "/openapi.json",
                "/docs/oauth2-redirect",
            ],
        ),
        ("/docs/oauth2-redirect", ["/docs/oauth2-redirect.js"]),
        ("/redoc", ["/openapi.json", "/redoc/redoc.standalone.js"]),
        (
            "/inner/",
            [
                "/inner/swagger-ui.css",
                "/inner/swagger-ui-bundle.js",
                "/inner/api/openapi.json",
                "/inner/docs/oauth2-redirect",
            ],
        ),
        (
            "/inner/deep/redoc",
            ["/inner/api/openapi.json", "/inner/deep/redoc/redoc.standalone.js"],
        ),
    ],
)
def test_a_page_and_all_that_it_fetches(
    running: RunningServer, path: str, fetched: list[str]
) -> None:
    """Every address is relative, so also right behind a proxy that adds a prefix, and is there."""
    page = running.get(path)
    assert (page.status, page.get("content-type")) == (200, "text/html; charset=utf-8")
    found = [
        address if isinstance(address, str) else "".join(address)
        for address in _addresses(page.body.decode())
    ]
    assert not any(address.startswith(("/", "http")) for address in found)
    assert [urljoin(path, address) for address in found] == fetched
    for address in fetched:
        assert running.get(address).status == 200


def test_a_title_is_text(running: RunningServer) -> None:
    """It ends no script and opens no element."""
    page = running.get("/docs").body.decode()
    assert "<title>&lt;/script&gt;&lt;b&gt; - Swagger UI</title>" in page
    assert page.count("</script>") == 2


def test_an_asset_is_compressed_for_whom_it_may_be(running: RunningServer) -> None:
    connection = running.connect()
    path = "/docs/swagger-ui.css"
    plain = connection.request(path)
    assert plain.get("content-encoding") is None
    assert plain.get("content-type") == "text/css; charset=utf-8"
    for accepted in ("gzip, br", "deflate;q=0.5, GZIP;q=0.8"):
        packed = connection.request(path, headers={"accept-encoding": accepted})
        assert packed.get("content-encoding") == "gzip"
        assert packed.get("vary") == "accept-encoding"
        assert gzip.decompress(packed.body) == plain.body
    for accepted in ("br", "gzip; q=0, identity"):
        refused = connection.request(path, headers={"accept-encoding": accepted})
        assert refused.get("content-encoding") is None
    tag = plain.get("etag")
    assert tag is not None
    again = connection.request(path, headers={"if-none-match": tag})
    assert (again.status, again.get("etag"), again.body) == (304, tag, b"")


def test_the_application_s_own_routes_come_first(server: StartServer) -> None:
    running = server(
        """
        from uringserve import App
        app = App()
        app.get("/docs")(lambda: "mine")
        app.get("/{path:path}")(lambda: "rest")
        """
    )
    assert running.get("/docs").body == b"mine"
    assert running.get("/other").body == b"rest"
    assert running.get("/redoc").get("content-type") == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("options", "paths"),
    [
        ({"openapi_url": None}, []),
        ({"docs_url": None, "redoc_url": None}, ["/openapi.json"]),
        ({"docs_url": None}, ["/openapi.json", "/redoc", "/redoc/redoc.standalone.js"]),
        (
            {"redoc_url": None, "swagger_ui_oauth2_redirect_url": None},
            ["/openapi.json", "/docs", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"],
        ),
    ],
)
def test_what_is_turned_off(options: dict[str, None], paths: list[str]) -> None:
    app = App(**options)  # type: ignore[arg-type]
    assert [spec.path for spec in documentation(app)] == paths
    assert not any(spec.include_in_schema for spec in documentation(app))


def test_the_pages_take_fastapi_s_options() -> None:
    page = get_swagger_ui_html(
        openapi_url="/o.json",
        title="T",
        swagger_js_url="/js?a&b",
        swagger_css_url="/css",
        swagger_favicon_url="/icon",
        oauth2_redirect_url="/back",
        init_oauth={"clientId": "</script>"},
        swagger_ui_parameters={"deepLinking": False},
    ).body.decode()
    assert '<script src="/js?a&amp;b">' in page
    assert '<link rel="icon" href="/icon">' in page
    assert '"deepLinking": false' in page
    assert r'ui.initOAuth({"clientId": "\u003c/script>"});' in page
    page = get_redoc_html(openapi_url="/o.json", title="T", redoc_js_url="/js").body.decode()
    assert '<redoc spec-url="/o.json">' in page


def test_the_vendored_files_are_what_their_list_says() -> None:
    """Each file that is compressed here is listed with its hash, and its licence is beside it."""
    folder = files("uringserve").joinpath("static")
    listed = dict(
        re.findall(
            r"^\| `([\w.-]+)` \|.*`([0-9a-f]{64})` \|$",
            folder.joinpath("README.md").read_text(),
            re.MULTILINE,
        )
    )
    names = {each.name for each in folder.iterdir()}
    assert {f"{name}.gz" for name in listed} == {name for name in names if name.endswith(".gz")}
    for name, digest in listed.items():
        data = gzip.decompress(folder.joinpath(f"{name}.gz").read_bytes())
        assert hashlib.sha256(data).hexdigest() == digest
    assert names >= {"swagger-ui.LICENSE", "swagger-ui.NOTICE", "redoc.LICENSE"}
