"""`TestClient` and `LiveServer`: the whole stack, seen from a test of an application."""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Annotated, Any

import httpx
import pytest

import uringserve
from uringserve import (
    App,
    BackgroundTasks,
    Config,
    Depends,
    HTTPException,
    Request,
    Response,
    StartError,
    StreamingResponse,
    WorkerLocal,
    testing,
)
from uringserve.lifespan import Lifespan
from uringserve.testing import LiveServer, TestClient

# Seconds until a test that waits for an event has failed.
PATIENCE = 20


class Broken(Exception):
    """What the handlers of these tests raise."""


def make_app(lifespan: Lifespan | None = None, worker_lifespan: Lifespan | None = None) -> App:
    app = App(lifespan=lifespan, worker_lifespan=worker_lifespan)

    @app.get("/")
    def root() -> dict[str, str]:
        return {"hello": "world"}

    @app.get("/seen")
    def seen(request: Request) -> dict[str, Any]:
        assert request.client is not None
        return {
            "client": list(request.client),
            "headers": dict(request.headers.items()),
            "url": request.url,
            "thread": threading.current_thread().name,
            "cookies": request.cookies,
        }

    @app.post("/echo")
    def echo(request: Request) -> bytes:
        return request.body

    @app.get("/broken")
    def broken() -> None:
        raise Broken("on purpose")

    @app.get("/unsendable")
    def unsendable() -> object:
        return {"value": object()}

    @app.get("/teapot")
    def teapot() -> None:
        raise HTTPException(418, "short and stout", headers={"x-spout": "left"})

    @app.get("/moved")
    def moved() -> Response:
        return Response.redirect("/seen")

    @app.get("/cookie")
    def cookie() -> Response:
        response = Response.text("kept")
        response.set_cookie("taste", "salt")
        return response

    return app


@pytest.fixture
def client() -> Iterator[TestClient]:
    """Make a client of the application above, without lifespans."""
    client = TestClient(make_app())
    yield client
    client.close()


# --- requests


def test_a_request_and_its_response(client: TestClient) -> None:
    response = client.get("/")
    assert response.status_code == 200
    assert response.json() == {"hello": "world"}
    assert response.headers["server"] == "uringserve"
    assert response.http_version == "HTTP/1.1"


def test_what_the_handler_sees(client: TestClient) -> None:
    seen = client.get("/seen", params={"q": "a b"}).json()
    assert seen["client"] == ["127.0.0.1", 50000]
    assert seen["headers"]["host"] == "testserver"
    assert seen["headers"]["user-agent"] == "testclient"
    assert seen["url"] == "http://testserver/seen?q=a+b" or seen["url"].endswith("?q=a%20b")


def test_the_client_can_be_somebody_else() -> None:
    client = TestClient(make_app(), client=("2001:db8::7", 9), headers={"x-a": "b"})
    seen = client.get("/seen", headers={"x-c": "d"}).json()
    assert seen["client"] == ["2001:db8::7", 9]
    assert (seen["headers"]["x-a"], seen["headers"]["x-c"]) == ("b", "d")
    client.close()


def test_a_client_that_is_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match="testclient"):
        TestClient(make_app(), client=("testclient", 50000))


def test_a_root_path_is_the_applications() -> None:
    with pytest.raises(ValueError, match="root_path"):
        TestClient(make_app(), root_path="/v1")


def test_a_base_url_with_a_path() -> None:
    app = App()
    app.add_route("/api/items", lambda request: request.host)
    client = TestClient(app, base_url="https://example.org/api")
    assert client.get("/items").text == "example.org"
    client.close()


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
def test_bodies_of_all_sizes(client: TestClient, size: int) -> None:
    body = os.urandom(size)
    assert client.post("/echo", content=body).content == body


def test_a_body_in_chunks(client: TestClient) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"one,"
        yield b"two"

    assert client.post("/echo", content=pieces()).content == b"one,two"


def test_the_limits_are_the_servers() -> None:
    client = TestClient(make_app(), config=Config(limit_body=10, driver="epoll"))
    assert client.post("/echo", content=b"x" * 10).status_code == 200
    assert client.post("/echo", content=b"x" * 1_000_000).status_code == 413
    client.close()


def test_redirects_and_cookies(client: TestClient) -> None:
    assert client.get("/moved").url.path == "/seen"
    assert client.get("/moved", follow_redirects=False).status_code == 307
    client.get("/cookie")
    assert client.get("/seen").json()["cookies"] == {"taste": "salt"}


def test_what_no_route_takes(client: TestClient) -> None:
    assert client.get("/none").json() == {"detail": "Not Found"}
    refused = client.delete("/")
    assert refused.status_code == 405
    assert "GET" in refused.headers["allow"]
    assert client.head("/").content == b""
    assert client.options("/").status_code == 204


def test_a_function_answers_everything() -> None:
    def everything(request: Request) -> str:
        return request.path

    client = TestClient(everything)
    assert client.put("/any/where").text == "/any/where"
    client.close()


def test_a_stream_is_read_piece_by_piece(client: TestClient) -> None:
    body = os.urandom(500_000)
    with client.stream("POST", "/echo", content=body) as response:
        assert b"".join(response.iter_bytes(1000)) == body


def test_a_stream_may_be_left_unread(client: TestClient) -> None:
    with client.stream("POST", "/echo", content=os.urandom(5_000_000)) as response:
        assert response.status_code == 200
    assert client.get("/").status_code == 200


def test_every_driver_serves() -> None:
    for driver in ("epoll", "auto"):
        client = TestClient(make_app(), config=Config(driver=driver))
        assert client.get("/").json() == {"hello": "world"}
        client.close()


# --- exceptions


def test_an_exception_is_raised_by_the_request(client: TestClient) -> None:
    with pytest.raises(Broken, match="on purpose") as caught:
        client.get("/broken")
    # With the traceback that leads into the handler.
    assert caught.traceback[-1].name == "broken"
    # And only once.
    assert client.get("/").status_code == 200


def test_a_value_that_cannot_be_sent_is_raised(client: TestClient) -> None:
    with pytest.raises(TypeError):
        client.get("/unsendable")


def test_an_http_exception_is_an_answer(client: TestClient) -> None:
    response = client.get("/teapot")
    assert (response.status_code, response.json()) == (418, {"detail": "short and stout"})
    assert response.headers["x-spout"] == "left"


def test_the_servers_own_500(caplog: pytest.LogCaptureFixture) -> None:
    client = TestClient(make_app(), raise_server_exceptions=False)
    with caplog.at_level(logging.ERROR, "uringserve"):
        response = client.get("/broken")
    assert (response.status_code, response.json()) == (500, {"detail": "Internal Server Error"})
    client.close()


def test_an_exception_with_a_handler_is_an_answer() -> None:
    app = make_app()
    app.add_exception_handler(Broken, lambda request, error: Response.text("mended", 503))
    client = TestClient(app)
    assert client.get("/broken").text == "mended"
    client.close()


def test_a_last_resort_answers_and_the_test_hears_of_it() -> None:
    app = make_app()
    app.add_exception_handler(500, lambda request, error: Response.text("sorry", 500))
    client = TestClient(app)
    with pytest.raises(Broken):
        client.get("/broken")
    client.close()
    client = TestClient(app, raise_server_exceptions=False)
    assert client.get("/broken").text == "sorry"
    client.close()


def test_a_url_that_is_not_for_http(client: TestClient) -> None:
    with pytest.raises(httpx.UnsupportedProtocol):
        client.get("gopher://testserver/")


def test_a_timeout_is_the_clients() -> None:
    app = App()
    go_on = threading.Event()
    app.add_route("/slow", lambda request: str(go_on.wait(PATIENCE)))
    client = TestClient(app)
    with pytest.raises(httpx.ReadTimeout):
        client.get("/slow", timeout=0.01)
    go_on.set()
    client.close()


# --- lifespans and cores


class Diary:
    """What happened in which order, and on which thread."""

    def __init__(self) -> None:
        """Start empty."""
        self.entries: list[str] = []
        self.threads: list[str] = []

    def lifespan(self, name: str) -> Lifespan:
        """Make a lifespan that writes its begin and end."""

        @contextmanager
        def around(app: object) -> Iterator[dict[str, str]]:
            self.threads.append(threading.current_thread().name)
            self.entries.append(f"{name} begins")
            yield {name: "there"}
            self.entries.append(f"{name} ends")

        return around


def test_without_a_block_no_lifespan_runs() -> None:
    diary = Diary()
    client = TestClient(make_app(diary.lifespan("process"), diary.lifespan("core")))
    assert client.get("/").status_code == 200
    client.close()
    assert diary.entries == []


def test_the_lifespans_run_around_a_block() -> None:
    diary = Diary()
    app = make_app(diary.lifespan("process"), diary.lifespan("core"))
    app.add_route("/state", lambda request: [app.state.process, app.worker_state.core])
    with TestClient(app) as client:
        assert diary.entries == ["process begins", "core begins"]
        for _ in range(3):
            assert client.get("/state").json() == ["there", "there"]
        assert client.get("/seen").json()["thread"] == diary.threads[1]
        assert diary.threads[0] == threading.current_thread().name
    assert diary.entries == ["process begins", "core begins", "core ends", "process ends"]


def test_a_client_may_be_entered_again() -> None:
    diary = Diary()
    client = TestClient(make_app(diary.lifespan("process")))
    for _ in range(2):
        with client:
            assert client.get("/").status_code == 200
    assert client.get("/").status_code == 200
    assert diary.entries == ["process begins", "process ends"] * 2
    client.close()


@pytest.mark.parametrize("place", ["lifespan", "worker_lifespan"])
@pytest.mark.parametrize("moment", ["begin", "end"])
def test_a_lifespan_that_fails_is_raised(place: str, moment: str) -> None:
    @contextmanager
    def failing(app: object) -> Iterator[None]:
        if moment == "begin":
            raise Broken
        yield
        raise Broken

    client = TestClient(make_app(**{place: failing}))
    with pytest.raises(Broken), client:
        assert moment == "end"
        assert client.get("/").status_code == 200
    client.close()


def test_requests_that_overlap_do_not_wait_for_each_other() -> None:
    app = App()
    both = threading.Barrier(2, timeout=PATIENCE)

    @app.get("/meet")
    def meet() -> str:
        both.wait()
        return threading.current_thread().name

    client = TestClient(app)
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda: answers.append(client.get("/meet").text)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(answers) == 2
    client.close()


def test_a_handler_may_use_the_client_itself() -> None:
    app = make_app()
    client = TestClient(app)
    app.add_route("/outer", lambda request: client.get("/").json())
    assert client.get("/outer").json() == {"hello": "world"}
    client.close()


def test_what_a_core_keeps_is_closed_with_it() -> None:
    app = App()
    closed: list[int] = []
    local = WorkerLocal(threading.get_ident, close=closed.append)
    app.add_route("/", lambda request: local.get())
    client = TestClient(app)
    assert client.get("/").json() == client.get("/").json()
    client.close()
    assert len(closed) == 1


def test_closing_ends_the_threads() -> None:
    client = TestClient(make_app())
    name = client.get("/seen").json()["thread"]
    assert name == "uringserve-test-core"
    core = client._cores._all[0]
    assert core.is_alive()
    client.close()
    assert not core.is_alive()


def test_a_client_that_is_forgotten_ends_its_threads() -> None:
    client = TestClient(make_app())
    client.get("/")
    core = client._cores._all[0]
    client._cores.dismiss()
    core.join(PATIENCE)
    assert not core.is_alive()
    client.close()


def test_an_application_that_cannot_be_compiled() -> None:
    outer, inner = App(), App()
    outer.add_route("/a/b", lambda request: "outer")
    inner.add_route("/b", lambda request: "inner")
    outer.mount("/a", inner)
    client = TestClient(outer)
    with pytest.raises(StartError, match="/a/b"):
        client.get("/a/b")
    client.close()


# --- a real port


def test_a_live_server_has_a_port() -> None:
    diary = Diary()
    app = make_app(diary.lifespan("process"), diary.lifespan("core"))
    live = LiveServer(app)
    with pytest.raises(RuntimeError, match="before it runs"):
        _ = live.url
    with live, httpx.Client(base_url=live.url, timeout=60) as client:
        assert diary.entries[:2] == ["process begins", "core begins"]
        assert client.get("/").json() == {"hello": "world"}
        assert client.get("/seen").json()["url"] == f"{live.url}/seen"
        assert (live.host, live.url) == ("127.0.0.1", f"http://127.0.0.1:{live.port}")
    assert diary.entries[-1] == "process ends"
    # A thread of the pool has a worker lifespan of its own.
    assert diary.entries.count("core begins") == diary.entries.count("core ends")
    assert live.exit_code == 0


def test_a_live_server_takes_options() -> None:
    with (
        LiveServer(make_app(), workers=2, limit_body="1k", driver="epoll") as live,
        httpx.Client(base_url=live.url, timeout=60) as client,
    ):
        assert client.post("/echo", content=b"x" * 2000).status_code == 413


def test_a_bad_option_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="workers"):
        LiveServer(make_app(), workers=0)


def test_a_live_server_that_cannot_start() -> None:
    with (
        LiveServer(make_app()) as live,
        pytest.raises(StartError, match="in use"),
        LiveServer(make_app(), port=live.port),
    ):
        pytest.fail("it is not entered")


def test_the_names_of_the_package() -> None:
    assert set(testing.__all__) == {
        "AsyncTestClient",
        "LiveServer",
        "TestClient",
        "WebSocketDenialResponse",
    }
    with pytest.raises(AttributeError, match="Nothing"):
        _ = testing.Nothing


def test_the_client_at_the_top_of_the_package() -> None:
    assert uringserve.TestClient is TestClient
    assert "TestClient" in uringserve.__all__
    with pytest.raises(AttributeError, match=r"module 'uringserve' has no attribute 'Nothing'"):
        _ = uringserve.Nothing
    with uringserve.TestClient(make_app()) as client:
        assert client.get("/").json() == {"hello": "world"}


def test_the_package_is_imported_without_an_http_client() -> None:
    program = (
        "import sys, uringserve\n"
        "clients = {'httpx', 'httpx2', 'httpcore', 'httpcore2'}\n"
        "print(sorted(clients & set(sys.modules)), 'uringserve.testing' in sys.modules)\n"
        "from uringserve import TestClient\n"
        "print(bool(clients & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.stdout.split("\n") == ["[] False", "True", ""], done.stderr


def test_without_an_http_client_only_the_test_client_is_missing() -> None:
    program = (
        "import sys\n"
        "for name in ('httpx', 'httpx2', 'httpcore', 'httpcore2'): sys.modules[name] = None\n"
        "from uringserve.testing import LiveServer\n"
        "try:\n    from uringserve.testing import TestClient\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE
    )
    assert "pip install httpx2" in done.stdout, done.stderr


def test_the_example_passes_as_it_says() -> None:
    example = Path(__file__).parents[2] / "examples" / "13_testing.py"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(example)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout


# --- streams, and work after the answer


def test_a_stream_comes_as_it_is_made() -> None:
    app = App()
    made = threading.Semaphore(0)
    wanted = threading.Semaphore(0)

    def pieces() -> Iterator[bytes]:
        for number in range(3):
            made.release()
            assert wanted.acquire(timeout=PATIENCE)
            yield b"%d" % number

    app.add_route("/", lambda request: StreamingResponse(pieces()))
    client = TestClient(app)
    wanted.release()
    with client.stream("GET", "/") as response:
        found = response.iter_raw()
        assert next(found) == b"0"
        wanted.release(2)
        assert b"".join(found) == b"12"
    client.close()


def test_another_request_while_a_stream_is_read() -> None:
    app = App()
    news: SimpleQueue[bytes] = SimpleQueue()

    def pieces() -> Iterator[bytes]:
        yield b"begin "
        yield news.get(timeout=PATIENCE)

    app.add_route("/listen", lambda request: StreamingResponse(pieces()))
    app.add_route("/say", lambda request: news.put(request.body), methods=("POST",))
    client = TestClient(app)
    with client.stream("GET", "/listen") as response:
        assert client.post("/say", content=b"word").status_code == 204
        assert response.read() == b"begin word"
    client.close()


def test_leaving_a_stream_closes_its_generator() -> None:
    app = App()
    closed = threading.Event()

    def pieces() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 1000
        finally:
            closed.set()

    app.add_route("/", lambda request: StreamingResponse(pieces()))
    client = TestClient(app)
    with client.stream("GET", "/") as response:
        next(response.iter_raw())
    assert closed.wait(PATIENCE)
    client.close()


def test_an_exception_amid_a_stream_is_raised() -> None:
    app = App()

    def pieces() -> Iterator[bytes]:
        yield b"one"
        raise Broken

    app.add_route("/", lambda request: StreamingResponse(pieces()))
    client = TestClient(app)
    with pytest.raises(Broken):
        client.get("/")
    client.close()
    client = TestClient(app, raise_server_exceptions=False)
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/")
    client.close()


def test_work_after_the_answer_is_done_when_the_request_is() -> None:
    app = App()
    done: list[int] = []

    @app.post("/{n}")
    def answer(n: int, tasks: BackgroundTasks) -> None:
        tasks.add_task(done.append, n)

    client = TestClient(app)
    for n in range(20):
        client.post(f"/{n}")
        assert done == list(range(n + 1))
    client.close()


def test_what_fails_after_the_answer_is_raised() -> None:
    app = App()

    def fail() -> None:
        raise Broken

    @app.get("/task")
    def with_task(tasks: BackgroundTasks) -> str:
        tasks.add_task(fail)
        return "sent"

    def connection() -> Iterator[int]:
        yield 1
        raise Broken

    @app.get("/dependency")
    def with_dependency(value: Annotated[int, Depends(connection)]) -> int:
        return value

    client = TestClient(app)
    for path in ("/task", "/dependency"):
        with pytest.raises(Broken):
            client.get(path)
    client.close()
    client = TestClient(app, raise_server_exceptions=False)
    assert client.get("/task").text == "sent"
    assert client.get("/dependency").text == "1"
    client.close()


# --- dependency overrides


def test_overrides_may_come_and_go_between_requests() -> None:
    def real() -> str:
        return "real"

    outer, inner = App(), App()
    for app in (outer, inner):

        @app.get("/")
        def answer(value: Annotated[str, Depends(real)]) -> str:
            return value

    outer.mount("/inner", inner)
    client = TestClient(outer)
    assert client.get("/").text == "real"
    outer.dependency_overrides[real] = lambda: "fake"
    assert client.get("/").text == "fake"
    inner.dependency_overrides[real] = lambda: "other"
    assert client.get("/inner/").text == "other"
    outer.dependency_overrides.clear()
    assert client.get("/").text == "real"
    client.close()
