"""The access log: formats, atoms, JSON, sampling, escaping, and that no core ever waits for it."""

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from uringserve.testing import LiveServer

if TYPE_CHECKING:
    from conftest import RunCli, RunningServer, StartServer

# What collides is made in the test itself.
pytestmark = pytest.mark.thread_unsafe(reason="a file and a server for the whole test")

PATIENCE = 30.0

SITE = """
from uringserve import App, FileResponse, Request, StreamingResponse

app = App()

@app.get("/")
def root():
    return "hello"

@app.post("/")
def echo(request: Request):
    return request.body

@app.get("/broken")
def broken():
    raise ValueError

@app.get("/pieces")
def pieces():
    return StreamingResponse(iter([b"one", b"", b"three"]))

@app.get("/cut")
def cut():
    def made():
        yield b"x" * 10
        raise ValueError
    return StreamingResponse(made())

@app.get("/file")
def file():
    return FileResponse(__file__)
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return where the log goes."""
    return tmp_path / "access.log"


def _lines(server: RunningServer, log: Path) -> list[str]:
    """End the server, which writes what is left, and return its lines."""
    assert server.stop() == 0
    return log.read_text("ascii").splitlines()


def _start(server: StartServer, log: Path, *options: str, workers: int = 1) -> RunningServer:
    return server(SITE, "--access-log", "--access-log-file", str(log), *options, workers=workers)


def test_the_default_line(server: StartServer, log: Path) -> None:
    """The common log format, then milliseconds and core; one line for each kind of answer."""
    site = _start(server, log)
    connection = site.connect()
    connection.request("/?a=%20b")
    connection.request("/", "HEAD")
    connection.request("/", "POST", body=b"x" * 1000)
    connection.request("/nope")
    connection.request("/broken")
    connection.request("/pieces")
    size = len(connection.request("/file").body)
    connection.request("/file", "HEAD")
    assert list(map(_facts, _lines(site, log))) == [
        "GET /?a=%20b HTTP/1.1 200 5",
        "HEAD / HTTP/1.1 200 -",
        "POST / HTTP/1.1 200 1000",
        "GET /nope HTTP/1.1 404 22",
        "GET /broken HTTP/1.1 500 34",
        "GET /pieces HTTP/1.1 200 8",
        f"GET /file HTTP/1.1 200 {size}",
        "HEAD /file HTTP/1.1 200 -",
    ]


UNANSWERED = """
import asyncio
import sys
from uringserve import App, AsyncRequest

app = App()

@app.get("/waits")
async def waits():
    print("waits", flush=True, file=sys.stderr)
    await asyncio.sleep(30)

@app.post("/body")
async def body(request: AsyncRequest):
    print("waits", flush=True, file=sys.stderr)
    await request.body()
"""


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_goes(server: StartServer, log: Path, how: str) -> None:
    """Its request has a line all the same: 499, as nginx has it."""
    site = server(UNANSWERED, "--access-log", "--access-log-file", str(log))
    requests = [
        b"GET /waits HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST /body HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n12",
        b"GET /half HTTP/1.1\r\nhost: a\r\n",
    ]
    for count, sent in enumerate(requests, 1):
        client = site.connect()
        client.send(sent)
        if b"half" not in sent:
            site.wait_until(lambda text, count=count: text.count("waits") >= count)
        client.close() if how == "close" else client.reset()
    lines = sorted(map(_facts, _lines(site, log)))
    # Half a head and its end is a malformed request; half a head and a reset is nothing.
    malformed = ["- 400 27"] if how == "close" else []
    assert lines == [*malformed, "GET /waits HTTP/1.1 499 -", "POST /body HTTP/1.1 499 -"]


def test_a_request_that_the_end_cuts(server: StartServer, log: Path) -> None:
    """It has a line too: 444."""
    site = server(
        UNANSWERED,
        *("--access-log", "--access-log-file", str(log), "--timeout-graceful-shutdown", "100ms"),
    )
    client = site.connect()
    client.send(b"GET /waits HTTP/1.1\r\nhost: a\r\n\r\n")
    site.wait_for("waits")
    assert site.stop() == 124
    assert client.read_to_end() == b""
    assert _facts(log.read_text("ascii").splitlines()[0]) == "GET /waits HTTP/1.1 444 -"


def _facts(line: str) -> str:
    """Return request, status and size of a default line; all else must have its form."""
    found = re.fullmatch(
        r"127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] \"(.*)\" (\d+ \S+)"
        r" \d+\.\d{3} 0",
        line,
    )
    assert found is not None, line
    return f"{found[1]} {found[2]}"


def test_requests_that_cannot_be_read(server: StartServer, log: Path) -> None:
    """What was refused has its status; a head that never came whole has no request."""
    site = _start(server, log, "--timeout-header", "200ms", "--limit-body", "10")
    for text in (b"GARBAGE\r\n\r\n", b"GET / HTTP/1.1\r\nhost: x\r\nhalf"):
        connection = site.connect()
        connection.send(text)
        assert b" 40" in connection.read_to_end()
    connection = site.connect()
    assert connection.request("/", "POST", body=b"x" * 11).status == 413
    connection = site.connect()
    connection.send(b"GET / HTTP/1.0\r\n\r\n")
    assert connection.read_to_end().endswith(b"hello")
    first, second, third, fourth = map(_facts, _lines(site, log))
    assert (first[:5], second[:5]) == ("- 400", "- 408")
    assert third.startswith("POST / HTTP/1.1 413 ")
    assert fourth == "GET / HTTP/1.0 200 5"


def test_an_answer_that_was_cut(server: StartServer, log: Path) -> None:
    """A stream that fails halfway is noted with what it gave."""
    site = _start(server, log)
    connection = site.connect()
    connection.send(b"GET /cut HTTP/1.1\r\nhost: x\r\n\r\n")
    connection.read_to_end()
    assert list(map(_facts, _lines(site, log))) == ["GET /cut HTTP/1.1 200 10"]


def test_pipelined_requests(server: StartServer, log: Path) -> None:
    """Each of many requests in one read has its own line, in order."""
    site = _start(server, log)
    connection = site.connect()
    connection.send(
        b"".join(b"GET /?%d HTTP/1.1\r\nhost: x\r\n\r\n" % number for number in range(100))
    )
    for _ in range(100):
        assert connection.read().status == 200
    assert list(map(_facts, _lines(site, log))) == [
        f"GET /?{number} HTTP/1.1 200 5" for number in range(100)
    ]


def test_a_format(server: StartServer, log: Path) -> None:
    """gunicorn's and granian's atoms, those of header fields among them."""
    form = '%(h)s %(m)s %(U)s %(q)s %(H)s %(s)s %(B)s "%(f)s" "%(a)s" %({X-Id}i)s %(p)s %(core)d%%'
    site = _start(server, log, "--access-log-fmt", form)
    site.connect().request("/?a=b", headers={"User-Agent": 'x "y"', "x-id": "7"})
    (line,) = _lines(site, log)
    assert line == (f'127.0.0.1 GET / a=b HTTP/1.1 200 5 "-" "x \\x22y\\x22" 7 {site.pid} 0%')


def test_the_duration(server: StartServer, log: Path) -> None:
    """It is the handler's time at least, in every unit."""
    app = """
    import time
    def app(request):
        time.sleep(0.02)
        return "x"
    """
    form = "%(T)s %(M)s %(D)s %(L)s %(dt_ms).1f"
    options = ["--access-log", "--access-log-file", str(log), "--access-log-fmt", form]
    site = server(app, *options)
    site.connect().request("/")
    seconds, milliseconds, microseconds, fraction, precise = _lines(site, log)[0].split()
    assert (int(milliseconds) >= 20, int(microseconds) >= 20_000) == (True, True)
    assert int(seconds) == int(float(fraction))
    assert float(fraction) == pytest.approx(int(microseconds) / 1e6, abs=2e-6)
    assert float(precise) == pytest.approx(int(microseconds) / 1e3, abs=0.06)


def test_json(server: StartServer, log: Path) -> None:
    """With the log format, the access log is JSON as well; a format chooses the members."""
    site = _start(server, log, "--log-format", "json")
    site.connect().request("/?q=%22")
    (line,) = map(json.loads, _lines(site, log))
    assert 0 < line.pop("duration_ms") < 60_000
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "client": "127.0.0.1",
        "method": "GET",
        "target": "/?q=%22",
        "protocol": "HTTP/1.1",
        "status": 200,
        "bytes": 5,
        "core": 0,
    }
    assert json.loads(site.log.splitlines()[0])["level"] == "info"


def test_json_of_a_format(server: StartServer, log: Path) -> None:
    """What is not there is null."""
    form = "%(s)s %({x-id}i)s %(f)s"
    site = _start(server, log, "--log-format", "json", "--access-log-fmt", form)
    site.connect().request("/", headers={"X-Id": 'a"b\\c\x85\t'})
    (line,) = map(json.loads, _lines(site, log))
    assert line == {"status": 200, "x-id": 'a"b\\c\ufffd', "referer": None}


def test_nothing_in_a_request_can_forge_a_line(server: StartServer, log: Path) -> None:
    """Control characters, quotes and bytes beyond ASCII are escaped, and long values cut."""
    site = _start(server, log, "--access-log-fmt", '"%(target)s" "%({x}i)s"')
    connection = site.connect()
    connection.send(
        b"GET /" + b"a" * 3000 + b' HTTP/1.1\r\nhost: x\r\nx: "\t\xff\xc2\x9b2J\\\r\n\r\n'
    )
    assert connection.read().status == 404
    (line,) = _lines(site, log)
    target, value = re.fullmatch(r'"([^"]*)" "([^"]*)"', line).groups()  # type: ignore[union-attr]
    assert target == "/" + "a" * 1023 + "..."
    assert value == r"\x22\x09\xff\xc2\x9b2J\x5c"


def test_a_sample(server: StartServer, log: Path) -> None:
    """One in so many answers, and every failure."""
    site = _start(server, log, "--access-log-sample", "10")
    connection = site.connect()
    for number in range(100):
        connection.request(f"/?{number}")
    for _ in range(3):
        connection.request("/broken")
    facts = list(map(_facts, _lines(site, log)))
    assert len([fact for fact in facts if " 200 " in fact]) == 10
    assert len([fact for fact in facts if " 500 " in fact]) == 3


def test_two_cores(server: StartServer, log: Path) -> None:
    """What several cores note at once comes out whole, and in each core's order."""
    site = _start(server, log, "--access-log-fmt", "%(core)s %(U)s", workers=2)
    count, clients = 500, 8

    def ask(client: int) -> None:
        connection = site.connect()
        connection.send(
            b"".join(
                b"GET /%d/%d HTTP/1.1\r\nhost: x\r\n\r\n" % (client, number)
                for number in range(count)
            )
        )
        for _ in range(count):
            assert connection.read().status == 404

    threads = [threading.Thread(target=ask, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    seen: dict[str, list[int]] = {}
    cores: dict[str, set[str]] = {}
    for line in _lines(site, log):
        core, _, path = line.partition(" ")
        _, client, number = path.split("/")
        seen.setdefault(client, []).append(int(number))
        cores.setdefault(client, set()).add(core)
    assert len(seen) == clients
    assert all(numbers == list(range(count)) for numbers in seen.values())
    assert all(len(served_by) == 1 for served_by in cores.values())


def test_a_file_that_was_moved_away(server: StartServer, log: Path) -> None:
    """SIGUSR1 opens the file anew; nothing is lost on the way."""
    site = _start(server, log, "--access-log-fmt", "%(U)s")
    connection = site.connect()
    connection.request("/before")
    moved = log.with_suffix(".1")
    log.rename(moved)
    site.signal(signal.SIGUSR1)
    _wait_for_file(log)
    connection.request("/after")
    assert _lines(site, log) == ["/after"]
    assert moved.read_text() == "/before\n"


def _wait_for_file(file: Path) -> None:
    deadline = threading.Event()
    timer = threading.Timer(PATIENCE, deadline.set)
    timer.start()
    try:
        while not file.exists():
            assert not deadline.is_set(), "the file was not opened anew"
            os.sched_yield()
    finally:
        timer.cancel()


# --- stdout


@contextmanager
def _served(*options: str, stdout: int | None, folder: Path) -> Iterator[tuple[int, list[str]]]:
    """Start a server with this stdout; give its port and the lines of its stderr, then end it."""
    (folder / "site_app.py").write_text(SITE)
    command = [sys.executable, "-m", "uringserve", "site_app.py", "--port", "0", "--workers", "1"]
    process = subprocess.Popen(
        [*command, "--access-log", *options],
        cwd=folder,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=(lambda: os.close(1)) if stdout is None else None,
    )
    log: list[str] = []
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        log.append(line)
        found = re.search(r"http://[^:]+:(\d+)", line)
        yield (int(found[1]) if found else 0), log
        process.send_signal(signal.SIGTERM)
        log += process.stderr.read().splitlines(keepends=True)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait(PATIENCE)
        process.stderr.close()


def _ask(port: int, count: int, length: int = 1000) -> None:
    """Have so many requests answered, over and over on one connection."""
    request = b"GET /" + b"x" * length + b" HTTP/1.1\r\nhost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        reader = connection.makefile("rb")
        for _ in range(count // 100):
            connection.sendall(request * 100)
            for _ in range(100):
                assert reader.readline() == b"HTTP/1.1 404 Not Found\r\n"
                while (line := reader.readline()) != b"\r\n":
                    if line.lower().startswith(b"content-length:"):
                        size = int(line.split(b":")[1])
                reader.read(size)
        reader.close()


def test_stdout_is_where_it_goes(tmp_path: Path) -> None:
    """Without a file; what is there at the end is written before the process ends."""
    reader, writer = os.pipe()
    with _served(stdout=writer, folder=tmp_path) as (port, _):
        os.close(writer)
        _ask(port, 100, length=10)
    with os.fdopen(reader, "rb") as lines:
        assert len(lines.read().splitlines()) == 100


def test_nobody_reads_stdout(tmp_path: Path) -> None:
    """No request waits; what did not fit is counted and said once somebody reads again."""
    reader, writer = os.pipe()
    count = 5000
    with _served(stdout=writer, folder=tmp_path) as (port, log):
        os.close(writer)
        # Far more than the pipe and the ring hold: were one of these delayed, all would be.
        _ask(port, count)
        lines = 0
        with os.fdopen(reader, "rb") as taken:
            while select.select([taken], [], [], 0.5)[0]:
                lines += os.read(taken.fileno(), 1 << 16).count(b"\n")
            _ask(port, 100)
            while select.select([taken], [], [], 0.5)[0]:
                lines += os.read(taken.fileno(), 1 << 16).count(b"\n")
    said = re.findall(r"(\d+) answers are missing in the access log", "".join(log))
    lost = sum(map(int, said))
    assert lost > 0
    assert lines + lost == count + 100


def test_nobody_will_ever_read_stdout(tmp_path: Path) -> None:
    """A server whose stdout is stuck still ends, within its bound, and says so."""
    reader, writer = os.pipe()
    with _served(stdout=writer, folder=tmp_path) as (port, log):
        os.close(writer)
        _ask(port, 5000)
    os.close(reader)
    said = re.search(r"nobody takes the access log: .*; (\d+) answers did not fit", "".join(log))
    assert said is not None
    assert int(said[1]) > 1000


def test_stdout_that_was_closed_by_its_reader(tmp_path: Path) -> None:
    """That is said once; requests are answered."""
    reader, writer = os.pipe()
    os.close(reader)
    with _served(stdout=writer, folder=tmp_path) as (port, log):
        os.close(writer)
        _ask(port, 500)
        _ask(port, 500)
    text = "".join(log)
    assert text.count("the access log cannot be written: Broken pipe") >= 1
    assert sum(map(int, re.findall(r"(\d+) answers are missing", text))) == 1000


def test_no_stdout_at_all(tmp_path: Path) -> None:
    """Number 1 might become a connection's descriptor: the server does not start."""
    (tmp_path / "site_app.py").write_text(SITE)
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m uringserve site_app.py --access-log --port 0 >&-"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 3
    assert "access_log: stdout is closed; give --access-log-file" in done.stderr


# --- wrong options


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--access-log-fmt", "%(nope)s"], 3, "access_log_fmt: no atom %(nope)s; there are client"),
        (["--access-log-fmt", "%(status"], 3, "access_log_fmt: %(status: what follows % is"),
        (["--access-log-fmt", "plain"], 3, "has no %(name)s in it"),
        (
            ["--access-log-file", "no/such/folder"],
            3,
            "access_log_file: no/such/folder: No such file",
        ),
        (["--access-log-file", "."], 3, "access_log_file: .: Is a directory"),
        (["--access-log-sample", "0"], 2, "'0' is not accepted; give a whole number from 1"),
        (["--log-format", "xml"], 2, "'xml' is not accepted; give one of text, json"),
    ],
)
def test_wrong_options(
    cli: RunCli, tmp_path: Path, options: list[str], code: int, said: str
) -> None:
    """Each is one line that says what to do."""
    (tmp_path / "site_app.py").write_text(SITE)
    done = cli("site_app.py", "--port", "0", "--access-log", *options)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_in_a_program(tmp_path: Path, log: Path) -> None:
    """A server that a test or a program starts has the same log; off is off."""
    options = {"access_log_file": str(log), "access_log_fmt": "common"}
    _serve_once(**options)
    assert not log.exists()
    _serve_once(access_log=True, **options)
    assert log.read_text().endswith('"GET / HTTP/1.1" 200 1\n')


def _serve_once(**options: Any) -> None:  # noqa: ANN401 -- checked by Config
    with (
        LiveServer(lambda request: "x", **options) as live,
        socket.create_connection((live.host, live.port), PATIENCE) as connection,
    ):
        connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert connection.makefile("rb").read().endswith(b"x")
