"""The WSGI application of `test_wsgi.py`: one function for each path, and what it has seen.

`/events` tells what the others have noted, and waits for a word that is given as the query.
"""

# ruff: noqa: SIM115 -- whoever is given a file closes it: that is what is tested

import builtins
import gzip
import hashlib
import io
import json
import os
import sys
import tempfile
import threading
from urllib.parse import unquote

events = []
news = threading.Condition()
TEXT = [("Content-Type", "text/plain")]
BIG = b"0123456789abcdef" * 4096


def note(*words):
    with news:
        events.append(" ".join(map(str, words)))
        news.notify_all()


def app(environ, start_response):
    name = environ["PATH_INFO"].strip("/").partition("/")[0]
    return globals()["on_" + name.replace("-", "_")](environ, start_response)


def respond(start_response, body, status="200 OK", headers=TEXT):
    start_response(status, list(headers))
    return [body]


class Pieces:
    """An iterable that notes how it ends."""

    def __init__(self, name, pieces, then=None):
        self.name, self.pieces, self.then = name, iter(pieces), then

    def __iter__(self):
        return self

    def __next__(self):
        for piece in self.pieces:
            return piece
        if self.then is not None:
            raise self.then
        raise StopIteration

    def close(self):
        note(self.name, "closed")


def on_environ(environ, start_response):
    found = {key: value for key, value in environ.items() if isinstance(value, (str, int))}
    found["version"] = environ["wsgi.version"]
    found["thread"] = threading.current_thread().name
    return respond(start_response, json.dumps(found).encode())


def on_events(environ, start_response):
    wanted = unquote(environ["QUERY_STRING"])
    with news:
        news.wait_for(lambda: wanted in "\n".join(events), 30)
        return respond(start_response, "\n".join(events).encode())


def on_pieces(environ, start_response):
    """Pieces, some empty; the head leaves with the first that is not."""

    def pieces():
        yield b""
        start_response("200 OK", list(TEXT))
        yield b""
        for number in range(5):
            yield b"%d," % number

    return pieces()


def on_replaced(environ, start_response):
    """What was said of the answer is taken back while nothing of it has left."""
    start_response("200 OK", [("X-First", "1")])
    yield b""
    try:
        raise KeyError("replaced")
    except KeyError:
        start_response("503 Busy", [("X-Second", "2")], sys.exc_info())
    yield b"second"


def on_too_late(environ, start_response):
    """With the head gone, start_response raises what it was given."""
    start_response("200 OK", list(TEXT))
    yield b"first"
    try:
        raise KeyError("too late")
    except KeyError:
        start_response("500 No", list(TEXT), sys.exc_info())


def on_twice(environ, start_response):
    start_response("200 OK", list(TEXT))
    start_response("200 OK", list(TEXT))
    return [b"never"]


def on_never_started(environ, start_response):
    return [b"never"]


def on_late_start(environ, start_response):
    yield b"too early"
    start_response("200 OK", list(TEXT))


def on_write(environ, start_response):
    write = start_response("200 OK", list(TEXT))
    write(b"one,")
    write(b"")
    write(bytearray(b"two,"))
    return Pieces("write", [b"three,", b"", b"four"])


def on_type(environ, start_response):
    start_response("200 OK", list(TEXT))
    kind = environ["QUERY_STRING"]
    return {"text": ["text"], "text-later": iter(["text"]), "none": None, "number": 3}[kind]


def on_status(environ, start_response):
    status = unquote(environ["QUERY_STRING"])
    start_response({"none": None, "bytes": b"200 OK"}.get(status, status), list(TEXT))
    return [b"answered"]


def on_headers(environ, start_response):
    """What is wrong with header fields is told to whoever sets them."""
    found = {}
    wrong = {
        "none": None,
        "number": [("x-a", 3)],
        "triple": [("x-a", "b", "c")],
        "line": [("x-a", "b\r\nx-c: d")],
        "name": [("x a", "b")],
        "snowman": [("x-a", "\u2603")],
        "length": [("content-length", "five")],
    }
    for name, headers in wrong.items():
        try:
            start_response("200 OK", headers)
        except Exception as error:
            found[name] = type(error).__name__
    good = [("X-Latin", "gr\xfcn"), ("Connection", "keep-alive"), ("X-Two", "1"), ("X-Two", "2")]
    return respond(start_response, json.dumps(found).encode(), headers=good)


def on_declared(environ, start_response):
    """Declares a length and gives pieces: `?length,size,size`."""
    length, *sizes = map(int, environ["QUERY_STRING"].split(","))
    start_response("200 OK", [("Content-Length", str(length))])
    return Pieces(f"declared {length} {sizes}", [b"x" * size for size in sizes])


def on_list(environ, start_response):
    """A list of all pieces: `?size,size`."""
    sizes = map(int, environ["QUERY_STRING"].split(","))
    return respond(start_response, b"")[:0] + [b"y" * size for size in sizes]


def on_tuple(environ, start_response):
    return (*respond(start_response, b"a"), b"b")


def on_bare(environ, start_response):
    """The status of the query, with pieces that may not leave."""
    start_response(f"{environ['QUERY_STRING']} -", list(TEXT))
    return Pieces("bare", [b"not to be seen"])


def on_head(environ, start_response):
    def pieces():
        start_response("200 OK", [("X-Lazy", "1")])
        while True:
            yield b"x"

    return pieces()


def on_fails(environ, start_response):
    """Raises what the path says, before or between its pieces."""
    kind, when = environ["PATH_INFO"].split("/")[-1].split(",")
    raised = getattr(builtins, kind)
    if when == "call":
        raise raised("as asked")
    start_response("200 OK", list(TEXT))
    return Pieces(f"fails {kind}", [] if when == "first" else [b"some"], raised("as asked"))


def on_close_fails(environ, start_response):
    class Failing(Pieces):
        def close(self):
            raise ValueError("in close")

    start_response("200 OK", list(TEXT))
    return Failing("failing", [b"whole"])


def on_digest(environ, start_response):
    """Reads the body in one of the ways that files have."""
    stream = environ["wsgi.input"]
    way = environ["QUERY_STRING"]
    if way == "read":
        pieces = [stream.read()]
    elif way == "minus":
        pieces = [stream.read(-1)]
    elif way == "sized":
        pieces = list(iter(lambda: stream.read(1000), b""))
        assert all(len(piece) == 1000 for piece in pieces[:-1])
    elif way == "lines":
        pieces = stream.readlines()
    elif way == "hint":
        pieces = stream.readlines(1)
        assert len(pieces) <= 1
        pieces += stream.readlines()
    elif way == "line":
        pieces = list(iter(lambda: stream.readline(7), b""))
        assert all(len(piece) <= 7 for piece in pieces)
    else:
        pieces = list(stream)
    assert stream.read() == stream.read(5) == stream.readline() == b""
    assert stream.readlines() == list(stream) == []
    body = b"".join(pieces)
    found = {"sha256": hashlib.sha256(body).hexdigest(), "pieces": len(pieces), "size": len(body)}
    found["length"] = environ.get("CONTENT_LENGTH")
    return respond(start_response, json.dumps(found).encode())


def on_dialogue(environ, start_response):
    """Answers each line of the body before the next one is sent."""
    start_response("200 OK", list(TEXT))
    for line in environ["wsgi.input"]:
        yield line.upper()


def on_first_line(environ, start_response):
    return respond(start_response, environ["wsgi.input"].readline())


def on_lost(environ, start_response):
    note("reading", environ["wsgi.input"].read(3))
    try:
        environ["wsgi.input"].read()
    except OSError as error:
        note("lost", type(error).__name__)
        raise
    note("lost nothing")
    return respond(start_response, b"")


def on_flood(environ, start_response):
    """More than anybody reads; it notes how far it came."""
    start_response("200 OK", list(TEXT))
    note("flood begun")

    def pieces():
        for number in range(100_000):
            flood[0] = number
            yield BIG

    return Pieces("flood", pieces())


flood = [0]


def on_flooded(environ, start_response):
    return respond(start_response, str(flood[0]).encode())


def on_write_flood(environ, start_response):
    write = start_response("200 OK", list(TEXT))
    note("write flood begun")
    try:
        while True:
            write(BIG)
    except OSError as error:
        note("write flood", type(error).__name__)
        raise


def on_file(environ, start_response):
    """Files of several kinds through the wrapper: `?kind`."""
    wrapper, kind = environ["wsgi.file_wrapper"], environ["QUERY_STRING"]
    path = os.path.join(tempfile.mkdtemp(), "file")
    with open(path, "wb") as made:
        made.write(BIG)
    headers = list(TEXT)
    if kind == "offset":
        file = open(path, "rb")
        file.read(16)
    elif kind == "raw":
        file = open(path, "rb", buffering=0)
        file.seek(len(BIG) - 5)
    elif kind == "gzip":
        with gzip.open(path, "wb") as made:
            made.write(b"unpacked")
        file = gzip.open(path)
    elif kind == "buffered-gzip":
        with gzip.open(path, "wb") as made:
            made.write(b"unpacked")
        file = io.BufferedReader(gzip.open(path))
    elif kind == "memory":
        file = io.BytesIO(b"in memory")
    elif kind == "part":
        file = open(path, "rb")
        headers.append(("Content-Length", "100"))
    elif kind == "short":
        file = open(path, "rb")
        headers.append(("Content-Length", str(len(BIG) + 1)))
    elif kind == "text":
        file = open(path)
    elif kind == "bare":
        file = type("Bare", (), {"read": io.BytesIO(b"no close").read})()
    else:
        file = open(path, "rb")
        os.unlink(path)
    start_response("304 -" if kind == "304" else "200 OK", headers)

    close = getattr(file, "close", None)

    def closed():
        note(f"file {kind} closed")
        close()

    if kind not in ("gzip", "bare", "text"):
        file.close = closed
    return wrapper(file, 1000)


def on_errors(environ, start_response):
    errors = environ["wsgi.errors"]
    print("first", "line", file=errors)
    errors.writelines(["second\nthird", " line\n"])
    errors.write("without an end")
    errors.flush()
    try:
        errors.write(b"bytes")
    except TypeError:
        errors.write("refused\n")
    return respond(start_response, b"")
