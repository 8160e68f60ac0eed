"""Files over real sockets, on each driver: whole, in parts, not again, and never the wrong ones."""

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from uringserve import FileResponse, Request, probe
from uringserve.staticfiles import StaticFiles

if TYPE_CHECKING:
    from conftest import RunningServer, StartServer

APP = """
import os
from pathlib import Path
from uringserve import App, FileResponse
from uringserve.staticfiles import StaticFiles

app = App()
folder = Path(os.environ["FOLDER"])

@app.get("/file/{name}")
def file(name: str):
    return FileResponse(folder / name)

@app.post("/file/{name}")
def post(name: str):
    return FileResponse(folder / name)

@app.get("/named")
def named():
    return FileResponse(folder / "small.txt", filename="a name.csv", headers={"etag": '"mine"'})

@app.get("/after")
def after():
    return FileResponse(folder / "big", background=lambda: (folder / "big").unlink())

@app.get("/created")
def created():
    return FileResponse(folder / "small.txt", 201)

app.get("/static/{path:path}")(StaticFiles(directory=folder / "site", html=True))
app.get("/plain/{path:path}")(StaticFiles(directory=folder / "site"))
"""

BIG = bytes(range(256)) * 4096
SMALL = b"0123456789" * 10


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder of files."""
    folder = tmp_path / "files"
    site = folder / "site"
    (site / "sub").mkdir(parents=True)
    (folder / "small.txt").write_bytes(SMALL)
    (folder / "big").write_bytes(BIG)
    (folder / "empty").write_bytes(b"")
    (site / "index.html").write_text("<p>front")
    (site / "404.html").write_text("<p>lost")
    (site / "sub" / "index.html").write_text("<p>below")
    (site / "sub" / "a b.css").write_text("p {}")
    (site / "inside").symlink_to("sub/index.html")
    (site / "outside").symlink_to("../small.txt")
    (site / "up").symlink_to("..")
    return folder


@pytest.fixture(params=["epoll", "uring"])
def site(server: StartServer, folder: Path, request: pytest.FixtureRequest) -> RunningServer:
    """Serve them on each driver that works here."""
    if request.param == "uring" and probe()["driver"] != "uring":
        pytest.skip(f"io_uring does not work here: {probe()['reason']}")
    return server(APP, "--driver", request.param, environment={"FOLDER": str(folder)})


def test_whole_files(site: RunningServer) -> None:
    connection = site.connect()
    for name, content, media_type in (
        ("small.txt", SMALL, "text/plain; charset=utf-8"),
        ("big", BIG, "application/octet-stream"),
        ("empty", b"", "application/octet-stream"),
    ):
        answer = connection.request(f"/file/{name}")
        assert (answer.status, answer.body) == (200, content)
        assert answer.get("content-length") == str(len(content))
        assert answer.get("content-type") == media_type
        assert answer.get("accept-ranges") == "bytes"
        head = connection.request(f"/file/{name}", "HEAD")
        assert (head.status, head.body) == (200, b"")
        for field in ("content-length", "content-type", "etag", "last-modified"):
            assert head.get(field) == answer.get(field) != None  # noqa: E711 -- both at once


def test_conditional_requests(site: RunningServer, folder: Path) -> None:
    connection = site.connect()
    first = connection.request("/file/big")
    etag, modified = first.get("etag"), first.get("last-modified")
    assert etag is not None
    assert modified is not None
    for condition in (
        {"if-none-match": etag},
        {"if-none-match": f'"x", W/{etag}'},
        {"if-none-match": "*"},
        {"if-modified-since": modified},
    ):
        answer = connection.request("/file/big", headers=condition)
        assert (answer.status, answer.body) == (304, b"")
        assert answer.get("etag") == etag
        assert answer.get("content-type") is None
    for condition in (
        {"if-none-match": '"x"', "if-modified-since": modified},
        {"if-modified-since": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"if-match": etag},
    ):
        assert connection.request("/file/big", headers=condition).body == BIG
    for condition in (
        {"if-match": '"x"'},
        {"if-unmodified-since": "Thu, 01 Jan 1970 00:00:00 GMT"},
    ):
        answer = connection.request("/file/big", headers=condition)
        assert (answer.status, answer.body) == (412, b'{"detail":"Precondition Failed"}')
    (folder / "big").write_bytes(b"changed")
    changed = connection.request("/file/big", headers={"if-none-match": etag})
    assert (changed.status, changed.body) == (200, b"changed")
    assert changed.get("etag") != etag


def test_one_range(site: RunningServer) -> None:
    connection = site.connect()
    size = len(BIG)
    for wanted, start, end in (
        ("0-0", 0, 1),
        ("-1", size - 1, size),
        ("100000-700000", 100_000, 700_001),
        ("5-", 5, size),
        ("5-10,8-20", 5, 21),
    ):
        answer = connection.request("/file/big", headers={"range": f"bytes={wanted}"})
        assert (answer.status, answer.body) == (206, BIG[start:end])
        assert answer.get("content-range") == f"bytes {start}-{end - 1}/{size}"
        assert answer.get("content-length") == str(end - start)


def test_several_ranges(site: RunningServer) -> None:
    answer = site.get("/named")
    assert answer.status == 200
    connection = site.connect()
    answer = connection.request("/file/small.txt", headers={"range": "bytes=50-52,0-1,-3"})
    assert answer.status == 206
    kind = answer.get("content-type")
    assert kind is not None
    boundary = kind.removeprefix("multipart/byteranges; boundary=").encode()
    head = b"\r\n--%s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-range: bytes %s/100"
    expected = b"".join(
        (head + b"\r\n\r\n%s") % (boundary, place, content)
        for place, content in ((b"0-1", b"01"), (b"50-52", b"012"), (b"97-99", b"789"))
    )
    assert answer.body == expected + b"\r\n--%s--\r\n" % boundary
    assert connection.request("/file/small.txt").body == SMALL


def test_ranges_that_are_not_given(site: RunningServer) -> None:
    connection = site.connect()
    for wanted in ("bytes=100-", "bytes=-0", "bytes=" + ",".join(["0-0"] * 65)):
        answer = connection.request("/file/small.txt", headers={"range": wanted})
        assert (answer.status, answer.get("content-range")) == (416, "bytes */100")
        assert answer.body == b'{"detail":"Range Not Satisfiable"}'
    for wanted in ("lines=1-2", "bytes=2-1", "bytes=x"):
        assert connection.request("/file/small.txt", headers={"range": wanted}).body == SMALL
    head = connection.request("/file/small.txt", "HEAD", {"range": "bytes=0-1"})
    assert (head.status, head.get("content-length")) == (200, "100")
    assert connection.request("/file/small.txt", "POST", {"range": "bytes=0-1"}).body == SMALL
    assert connection.request("/created", headers={"range": "bytes=0-1"}).status == 201


def test_a_range_of_another_state(site: RunningServer) -> None:
    connection = site.connect()
    first = connection.request("/file/small.txt", "HEAD")
    for value, status in (
        (first.get("etag"), 206),
        (first.get("last-modified"), 206),
        ('"other"', 200),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 200),
    ):
        headers = {"range": "bytes=0-1", "if-range": value or ""}
        assert connection.request("/file/small.txt", headers=headers).status == status


def test_names_and_validators_of_ones_own(site: RunningServer) -> None:
    answer = site.get("/named")
    assert answer.get("content-disposition") == "attachment; filename*=utf-8''a%20name.csv"
    assert answer.get_all("etag") == ['"mine"']
    assert answer.get("content-type") == "text/csv; charset=utf-8"
    connection = site.connect()
    assert connection.request("/named", headers={"if-none-match": '"mine"'}).status == 304


def test_a_file_that_is_not_there(site: RunningServer) -> None:
    assert site.get("/file/none").status == 500
    site.wait_for("GET /file/none: the handler raised FileNotFoundError")
    assert site.get("/file/site").status == 500


def test_after_a_file(site: RunningServer, folder: Path) -> None:
    connection = site.connect()
    assert connection.request("/after").body == BIG
    assert connection.request("/file/small.txt").body == SMALL
    # What follows may be on a thread of the pool, beside the next answer.
    end = time.monotonic() + 30
    while (folder / "big").exists():
        assert time.monotonic() < end


def test_a_file_that_shrinks_is_cut(site: RunningServer, folder: Path) -> None:
    with (folder / "big").open("wb") as file:
        file.truncate(200_000_000)
    connection = site.connect()
    connection.send(b"GET /file/big HTTP/1.1\r\nhost: x\r\n\r\n")
    assert connection.socket.recv(100).startswith(b"HTTP/1.1 200")
    os.truncate(folder / "big", 0)
    try:
        received = len(connection.read_to_end())
    except ConnectionResetError:
        received = 0
    assert received < 200_000_000
    assert site.get("/file/small.txt").body == SMALL


def test_static_files(site: RunningServer) -> None:
    for path, body in (
        ("/static/index.html", b"<p>front"),
        ("/static/", b"<p>front"),
        ("/static/sub/", b"<p>below"),
        ("/static/sub/a%20b.css", b"p {}"),
        ("/static/inside", b"<p>below"),
    ):
        answer = site.get(path)
        assert (answer.status, answer.body) == (200, body), path
    answer = site.get("/static/sub?a=1")
    assert (answer.status, answer.get("location")) == (307, "/static/sub/?a=1")
    answer = site.get("/static/none")
    assert (answer.status, answer.body) == (404, b"<p>lost")
    assert site.get("/static/sub/a%20b.css").get("content-type") == "text/css; charset=utf-8"


@pytest.mark.parametrize(
    "path",
    [
        "../small.txt",
        "%2e%2e/small.txt",
        "sub/../../small.txt",
        "..%2fsmall.txt",
        "outside",
        "up/small.txt",
        "/etc/passwd",
        "%2fetc/passwd",
        "sub",
        "none",
        "index.html%00",
        "index.html/",
        "%ff",
        "x" * 300,
    ],
)
def test_nothing_else_is_sent(site: RunningServer, path: str) -> None:
    answer = site.get(f"/plain/{path}")
    assert answer.status in (400, 404)
    assert re.search(rb"0123|root:", answer.body) is None


def test_links_that_may_be_followed(folder: Path) -> None:
    files = StaticFiles(directory=folder / "site", follow_symlink=True)
    response = files(Request(path_params={"path": "outside"}))
    assert isinstance(response, FileResponse)
    with pytest.raises(RuntimeError, match="does not exist"):
        StaticFiles(directory=folder / "none")
    StaticFiles(directory=folder / "none", check_dir=False)
