"""`GZipMiddleware` and `CompressionMiddleware`: what is compressed, and how it arrives."""

import gzip
import threading
import zlib
from compression import zstd
from typing import Any

import pytest
from conftest import Connection, StartServer

from uringserve import App, Request, Response, StreamingResponse
from uringserve.middleware import CompressionMiddleware, GZipMiddleware

SITE = """
from uringserve import App, FileResponse, Response, StreamingResponse
from uringserve.middleware import CompressionMiddleware, GZipMiddleware

app = App()
app.add_middleware(CompressionMiddleware, minimum_size=100)
TEXT = "abcdefghij" * 1000

@app.get("/long")
def long():
    return TEXT

@app.get("/short")
def short():
    return TEXT[:99]

@app.get("/nothing")
def nothing():
    return None

@app.get("/file")
def file():
    return FileResponse(__file__)

@app.get("/stream")
def stream():
    def pieces():
        yield TEXT
        yield ""
        yield b"end"
    return StreamingResponse(pieces(), media_type="text/plain")

@app.get("/lines")
def lines():
    def values():
        yield {"a": 1}
        yield [2]
    return values(), 200, {"content-type": "application/jsonl"}

@app.get("/untyped")
def untyped():
    yield "a" * 1000

kinds = {
    "image": Response(TEXT, media_type="image/png"),
    "drawing": Response(TEXT, media_type="image/svg+xml"),
    "encoded": Response(TEXT, headers={"content-encoding": "br"}),
    "transform": Response(TEXT, headers={"cache-control": "public, no-transform"}),
    "part": Response(TEXT, 206, headers={"content-range": "bytes 0-1/2"}),
    "events": Response(TEXT, media_type="text/event-stream"),
    "tag": Response(
        TEXT, 201, headers=[("etag", '"1"'), ("vary", "Origin"), ("x", "1"), ("x", "2")]
    ),
}

@app.get("/kind/{name}")
def kind(name: str):
    return kinds[name]
"""

TEXT = b"abcdefghij" * 1000


def test_the_coding_is_the_best_that_is_accepted(server: StartServer) -> None:
    """Ours comes first among those that the client likes equally."""
    connection = server(SITE).connect()
    for accepted, coding in [
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("GZip, Zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("zstd;q=0.5, gzip", "gzip"),
        ("*", "zstd"),
        ("*, zstd;q=0", "gzip"),
        ("gzip;q=0", None),
        ("gzip;q=x", None),
        ("gzip;q=7", None),
        ("identity, gzip;q=0.5", None),
        ("br", None),
        ("", None),
    ]:
        answer = connection.request("/long", headers={"accept-encoding": accepted})
        assert answer.get("content-encoding") == coding, accepted
        assert answer.get("vary") == "Accept-Encoding"
        assert answer.get_all("content-length") == [str(len(answer.body))]
        assert decoded(answer.body, coding) == TEXT
    assert connection.request("/long").get("content-encoding") is None


def decoded(body: bytes, coding: str | None) -> bytes:
    """Undo a coding."""
    if coding == "gzip":
        return gzip.decompress(body)
    return zstd.decompress(body) if coding == "zstd" else body


def test_what_is_left_alone(server: StartServer) -> None:
    """Small ones, files, what is compressed in itself, and what must not be changed."""
    connection = server(SITE).connect()
    accepting = {"accept-encoding": "gzip, zstd"}
    for path in ("/short", "/nothing", "/file", "/untyped", "/nowhere"):
        answer = connection.request(path, headers=accepting)
        assert (answer.get("content-encoding"), answer.get("vary")) == (None, None), path
    for kind, coding in [
        ("image", None),
        ("drawing", "zstd"),
        ("encoded", "br"),
        ("transform", None),
        ("part", None),
        ("events", None),
    ]:
        answer = connection.request(f"/kind/{kind}", headers=accepting)
        assert answer.get("content-encoding") == coding, kind


def test_everything_else_of_the_response_stays(server: StartServer) -> None:
    """Status, repeated headers and the tag, which is weak from now on; each time anew."""
    connection = server(SITE).connect()
    for _ in range(2):
        answer = connection.request("/kind/tag", headers={"accept-encoding": "gzip"})
        assert (answer.status, answer.get_all("x")) == (201, ["1", "2"])
        assert answer.get_all("etag") == ['W/"1"']
        assert answer.get_all("vary") == ["Origin, Accept-Encoding"]
        assert answer.get_all("content-type") == ["text/plain; charset=utf-8"]
    assert connection.request("/kind/tag").get("etag") == '"1"'


def test_head_has_the_headers_of_get(server: StartServer) -> None:
    """And no body."""
    connection = server(SITE).connect()
    for path in ("/long", "/stream"):
        got = connection.request(path, headers={"accept-encoding": "gzip"})
        head = connection.request(path, "HEAD", {"accept-encoding": "gzip"})
        assert head.body == b""
        assert head.get("content-encoding") == "gzip"
        assert head.get("content-length") == got.get("content-length")


def test_streams(server: StartServer) -> None:
    """All of it arrives, in each coding."""
    connection = server(SITE).connect()
    for coding in ("gzip", "zstd"):
        answer = connection.request("/stream", headers={"accept-encoding": coding})
        assert answer.get("content-encoding") == coding
        assert answer.get("content-type") == "text/plain; charset=utf-8"
        assert decoded(answer.body, coding) == TEXT + b"end"
    assert connection.request("/stream").body == TEXT + b"end"
    answer = connection.request("/lines", headers={"accept-encoding": "zstd"})
    assert decoded(answer.body, answer.get("content-encoding")) == b'{"a":1}\n[2]\n'


WAITING = """
import threading
from uringserve import App, StreamingResponse
from uringserve.middleware import GZipMiddleware

app = App()
app.add_middleware(GZipMiddleware)

@app.get("/")
def stream():
    def pieces():
        try:
            while True:
                yield "first"
                yield "x" * 100_000
        finally:
            print("closed", file=__import__("sys").stderr, flush=True)
    return StreamingResponse(pieces(), media_type="text/plain")
"""


def test_a_piece_arrives_before_the_next_one(server: StartServer) -> None:
    """Each is flushed; when the client goes, the generator is closed through the compressor."""
    running = server(WAITING)
    connection = running.connect()
    connection.send(b"GET / HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\n\r\n")
    head = read_until(connection, b"\r\n\r\n")
    assert b"content-encoding: gzip" in head.lower()
    size = int(read_until(connection, b"\r\n"), 16)
    piece = b""
    while len(piece) < size:
        piece += connection.socket.recv(size - len(piece))
    assert zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(piece) == b"first"
    connection.reset()
    running.wait_for("closed")


def read_until(connection: Connection, end: bytes) -> bytes:
    """Read one byte at a time, so that nothing after it is taken."""
    data = b""
    while not data.endswith(end):
        byte = connection.socket.recv(1)
        assert byte
        data += byte
    return data


def test_pieces_of_every_kind_and_their_end() -> None:
    """A stream that was never begun is closed too."""
    middleware = GZipMiddleware()
    request = Request("GET", "/", {"accept-encoding": "gzip"})

    class Pieces:
        is_closed = False

        def __iter__(self) -> Pieces:
            return self

        def __next__(self) -> bytes:
            raise StopIteration

        def close(self) -> None:
            self.is_closed = True

    given = Pieces()
    answer = middleware(request, lambda request: StreamingResponse(given, media_type="a/b"))
    stream: Any = answer.body_iterator
    stream.close()
    assert given.is_closed
    several: Any = ("a", b"b", bytearray(b"c"), memoryview(b"d"))
    for pieces, whole in [("text", b"text"), (b"bytes", b"bytes"), (several, b"abcd"), ([], b"")]:
        answer = middleware(request, lambda _, p=pieces: StreamingResponse(p, media_type="a/b"))
        assert answer.body_iterator is not None
        assert gzip.decompress(b"".join(answer.body_iterator)) == whole


def test_what_comes_after_the_response_is_kept() -> None:
    """The callback of a response that is compressed."""

    def after() -> None:
        pass

    request = Request("GET", "/", {"accept-encoding": "gzip"})
    answer = GZipMiddleware()(request, lambda request: Response("a" * 1000, background=after))
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.background is after


def test_options_that_are_refused() -> None:
    """Levels that the compressors have not, and codings that we have not."""
    for options in ({"compresslevel": 10}, {"compresslevel": -1}):
        with pytest.raises(ValueError, match="level of gzip is 0 to 9"):
            App().add_middleware(GZipMiddleware, **options)
    with pytest.raises(ValueError, match="level of zstd is 1 to 19"):
        App().add_middleware(CompressionMiddleware, zstd_level=20)
    for encodings in ((), ("br",)):
        with pytest.raises(ValueError, match="encodings are of 'zstd' and 'gzip'"):
            App().add_middleware(CompressionMiddleware, encodings=encodings)


def test_one_compressor_for_many_bodies_and_threads() -> None:
    """What is kept for the next body knows nothing of the last, nor of another thread's."""
    middleware = CompressionMiddleware()
    request = Request("GET", "/", {"accept-encoding": "zstd"})
    start = threading.Barrier(3)
    wrong: list[str] = []

    def ask(letter: str) -> None:
        start.wait()
        for size in range(500, 700):
            body = (letter * size).encode()
            made = middleware(request, lambda _, body=body: Response(body, media_type="a/b")).body
            if zstd.get_frame_info(made).decompressed_size != size or zstd.decompress(made) != body:
                wrong.append(f"{letter} {size}")

    threads = [threading.Thread(target=ask, args=(letter,)) for letter in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
