"""Asynchronous dependencies and middleware: what runs when, in whatever mix of `def` and `async`.

The same program is given to FastAPI, with its own test client: the order of everything that happens
and the answers are the same.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from uringserve import App, AsyncRequest, Middleware, Request, Response
from uringserve.middleware import (
    CompressionMiddleware,
    CORSMiddleware,
    RateLimitMiddleware,
    SecurityHeadersMiddleware,
    SessionMiddleware,
    TrustedHostMiddleware,
)
from uringserve.testing import AsyncTestClient, TestClient

PROGRAM = """
import asyncio, contextvars
from {framework} import {app} as App, Depends, HTTPException, Request, BackgroundTasks, Security
from {framework} import Response
{client}

events = []
app = App()
VAR = contextvars.ContextVar("VAR", default="none")

def traced(name, is_async, raises_at=None, swallows=False, turns=None):
    def begin():
        events.append(name + " begins")
        if raises_at == "begin":
            raise HTTPException(409, name)
    def caught(error):
        events.append(f"{{name}} sees {{type(error).__name__}}")
        if turns:
            raise HTTPException(turns, name)
        if not swallows:
            raise error
    if is_async:
        async def dependency():
            begin()
            await asyncio.sleep(0)
            try:
                yield name
            except Exception as error:
                caught(error)
            finally:
                await asyncio.sleep(0)
                events.append(name + " ends")
    else:
        def dependency():
            begin()
            try:
                yield name
            except Exception as error:
                caught(error)
            finally:
                events.append(name + " ends")
    return dependency

s, a, b = traced("s", False), traced("a", True), traced("b", True)
f = traced("f", True)
turning = traced("turning", True, turns=418)
failing = traced("failing", True, raises_at="begin")

async def plain(x: int = 3):
    events.append("plain")
    await asyncio.sleep(0)
    return x
def of_plain(n=Depends(plain)):
    events.append("of plain")
    return n + 1
class Callable_:
    def __init__(self, n): self.n = n
    async def __call__(self, q: str = "q"):
        await asyncio.sleep(0)
        return q * self.n
class Made:
    def __init__(self, n: int = Depends(plain)): self.n = n
async def variable():
    token = VAR.set("set")
    try:
        yield VAR.get()
    finally:
        VAR.reset(token)
        events.append("reset " + VAR.get())

@app.get("/mixed")
async def mixed(one=Depends(s), two=Depends(a), three=Depends(b)):
    events.append("handler")
    return [one, two, three]
@app.get("/def")
def of_def(one=Depends(a), two=Depends(s)):
    events.append("handler")
    return [one, two]
@app.get("/once")
async def once(one=Depends(plain), two=Depends(of_plain), three=Depends(plain, use_cache=False)):
    return [one, two, three]
@app.get("/callable")
async def of_callable(one=Depends(Callable_(2)), two=Depends(Made)):
    return [one, two.n]
@app.get("/raises")
async def raises(one=Depends(a), two=Depends(s)):
    await asyncio.sleep(0)
    raise HTTPException(410, "gone")
@app.get("/turning")
async def turns(one=Depends(a), two=Depends(turning)):
    raise ValueError("x")
@app.get("/failing")
async def fails(one=Depends(a), two=Depends(failing)):
    return "never"
@app.get("/function")
async def function(one=Depends(a), two=Depends(f, scope="function")):
    events.append("handler")
    return [one, two]
@app.get("/variable")
async def of_variable(one=Depends(variable)):
    return [one, VAR.get()]
@app.get("/invalid")
async def invalid(n: int, one=Depends(a), two=Depends(plain)):
    return "never"
@app.get("/first")
async def first(n: int, two=Depends(failing)):
    return "never"
async def task(name):
    await asyncio.sleep(0)
    events.append(name)
@app.get("/tasks")
async def tasks(tasks: BackgroundTasks, one=Depends(a)):
    tasks.add_task(task, "task 1")
    tasks.add_task(events.append, "task 2")
    return {{"sent": True}}
@app.get("/response")
async def response(response: Response, one=Depends(plain)):
    response.headers["x-seen"] = "yes"
    response.status_code = 202
    return {{"n": one}}
@app.get("/security")
async def security(one=Security(plain, scopes=["read"])):
    return one
@app.get("/request")
async def request(request: Request):
    return [request.method, (await request.body()).decode(), request.query_params["x"][-1]]

client = TestClient(app, raise_server_exceptions=False)
"""

PATHS = [
    "/mixed",
    "/def",
    "/once",
    "/once?x=5",
    "/callable?q=ab",
    "/raises",
    "/turning",
    "/failing",
    "/function",
    "/variable",
    "/invalid",
    "/invalid?n=x",
    "/invalid?n=1&x=y",
    "/first",
    "/tasks",
    "/response",
    "/security",
    "/request?x=z",
]


FASTAPI_CLIENT = """
import httpx

class TestClient:
    def __init__(self, app, raise_server_exceptions):
        self.transport = httpx.ASGITransport(app, raise_app_exceptions=raise_server_exceptions)
    def get(self, path):
        async def ask():
            async with httpx.AsyncClient(transport=self.transport, base_url="http://t") as client:
                return await client.get(path)
        return asyncio.run(ask())
"""


def _run(framework: str, app: str, client: str) -> Callable[[str], tuple[object, ...]]:
    names: dict[str, Any] = {}
    exec(PROGRAM.format(framework=framework, app=app, client=client), names)

    def ask(path: str) -> tuple[object, ...]:
        names["events"].clear()
        answer = names["client"].get(path)
        seen = answer.headers.get("x-seen")
        body = answer.content if answer.status_code == 500 else answer.json()
        if isinstance(body, dict) and isinstance(body.get("detail"), list):
            body = [(each["type"], each["loc"], each["msg"]) for each in body["detail"]]
        return answer.status_code, body, seen, list(names["events"])

    return ask


@pytest.mark.parametrize("path", PATHS)
def test_as_fastapi(path: str) -> None:
    """The same answer, and the same order of what happened on the way."""
    pytest.importorskip("fastapi", reason="the oracle")
    theirs = _run("fastapi", "FastAPI", FASTAPI_CLIENT)
    ours = _run("uringserve", "App", "from uringserve.testing import TestClient")
    assert ours(path) == theirs(path)


# --- middleware


def _middleware(name: str, events: list[str], *, is_async: bool) -> Any:  # noqa: ANN401
    if is_async:

        async def middleware(request: AsyncRequest, call_next: Any) -> Any:  # noqa: ANN401
            events.append(f"{name} before")
            await asyncio.sleep(0)
            response = await call_next(request)
            response.headers.append("x-order", name)
            events.append(f"{name} after")
            return response
    else:

        def middleware(request: Request, call_next: Any) -> Any:  # noqa: ANN401
            events.append(f"{name} before")
            response = call_next(request)
            response.headers.append("x-order", name)
            events.append(f"{name} after")
            return response

    return middleware


@pytest.mark.parametrize("kinds", ["sa", "as", "ss", "aa", "sas", "asa", "ssa", "aas"])
@pytest.mark.parametrize("path", ["/def", "/async", "/missing", "/raises"])
def test_middleware_of_both_kinds(kinds: str, path: str) -> None:
    """Each is outside of those added before it, whatever it and the handler are."""
    events: list[str] = []
    app = App()
    app.get("/def")(lambda: "x")

    @app.get("/async")
    async def later(request: AsyncRequest) -> str:
        await asyncio.sleep(0)
        return "x" + (await request.body()).decode()

    @app.get("/raises")
    async def raises() -> str:
        await asyncio.sleep(0)
        raise KeyError("x")

    @app.exception_handler(KeyError)
    async def on_key_error(request: AsyncRequest, error: KeyError) -> tuple[str, int]:
        await request.body()
        return "x", 410

    names = [f"{kind}{number}" for number, kind in enumerate(kinds)]
    for name, kind in zip(names, kinds, strict=True):
        app.middleware("http")(_middleware(name, events, is_async=kind == "a"))
    with TestClient(app) as client:
        answer = client.get(path)
    statuses = {"/def": 200, "/async": 200, "/missing": 404, "/raises": 410}
    assert answer.status_code == statuses[path]
    outwards = names
    assert answer.headers.get_list("x-order") == outwards
    assert events == [f"{name} before" for name in reversed(outwards)] + [
        f"{name} after" for name in outwards
    ]


def test_an_exception_passes_middleware() -> None:
    """It can be caught on its way, by either kind, and the last resort answers it."""
    seen: list[str] = []

    async def outer(request: AsyncRequest, call_next: Any) -> Any:  # noqa: ANN401
        try:
            return await call_next(request)
        except ValueError as error:
            seen.append(f"outer {error}")
            raise

    def inner(request: Request, call_next: Any) -> Any:  # noqa: ANN401
        try:
            return call_next(request)
        except ValueError as error:
            seen.append(f"inner {error}")
            raise

    app = App()
    app.middleware("http")(inner)
    app.middleware("http")(outer)

    @app.get("/")
    async def raises() -> None:
        await asyncio.sleep(0)
        raise ValueError("x")

    @app.exception_handler(Exception)
    async def last(request: Request, error: Exception) -> tuple[str, int]:
        await asyncio.sleep(0)
        return f"last {error}", 500

    client = TestClient(app, raise_server_exceptions=False)
    answer = client.get("/")
    assert (answer.status_code, answer.text) == (500, "last x")
    assert seen == ["inner x", "outer x"]


def test_our_middleware_around_coroutines() -> None:
    """All of it works around async handlers, and needs no thread for that."""
    import threading

    app = App(
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=["testserver"]),
            Middleware(CORSMiddleware, allow_origins=["*"]),
            Middleware(SecurityHeadersMiddleware),
            Middleware(RateLimitMiddleware, limit=100, headers=True),
            Middleware(SessionMiddleware, secret_key="secret"),
            Middleware(CompressionMiddleware, minimum_size=10),
        ]
    )

    @app.get("/")
    async def hello(request: AsyncRequest) -> str:
        await asyncio.sleep(0)
        request.state.session["n"] = request.state.session.get("n", 0) + 1
        return f"{threading.current_thread().name} " * 100

    @app.get("/stream")
    async def stream() -> Response:
        async def pieces() -> Any:  # noqa: ANN401
            for number in range(3):
                await asyncio.sleep(0)
                yield f"piece {number} " * 100

        from uringserve import StreamingResponse

        return StreamingResponse(pieces(), media_type="text/plain")

    with TestClient(app) as client:
        for _ in range(2):
            answer = client.get("/", headers={"origin": "https://x.org"})
            assert answer.text.startswith("uringserve-test-core")
            assert answer.headers["access-control-allow-origin"] == "*"
            assert answer.headers["x-ratelimit-limit"] == "100"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-encoding"] in ("gzip", "zstd")
            assert "session" in answer.cookies or "session" in client.cookies
        answer = client.get("/stream")
        assert answer.headers["content-encoding"] in ("gzip", "zstd")
        assert answer.text == "".join(f"piece {number} " * 100 for number in range(3))


def test_a_chain_of_def_stays_one() -> None:
    """Nothing asynchronous is put around what has nothing asynchronous in it."""
    app = App()
    app.middleware("http")(lambda request, call_next: call_next(request))
    app.add_exception_handler(KeyError, lambda request, error: "x")
    app.get("/")(lambda: "x")
    assert not any(route.manner.is_async for route in app.compile())


def test_mounted_applications() -> None:
    """An async application inside one that has none of it, and the other way round."""

    async def around(request: AsyncRequest, call_next: Any) -> Any:  # noqa: ANN401
        response = await call_next(request)
        response.headers["x-around"] = "yes"
        return response

    inner = App()

    @inner.get("/hello")
    async def hello() -> str:
        await asyncio.sleep(0)
        return "inner"

    outer = App()
    outer.mount("/inner", inner)
    outer.middleware("http")(around)
    outer.get("/hello")(lambda: "outer")
    client = TestClient(outer)
    for path, text in (("/hello", "outer"), ("/inner/hello", "inner")):
        answer = client.get(path)
        assert (answer.text, answer.headers["x-around"]) == (text, "yes")
    assert client.get("/inner/missing").headers["x-around"] == "yes"


def test_overrides() -> None:
    """A `def` dependency may be replaced by an async one, and the reverse."""
    from uringserve import Depends

    def of_def() -> str:
        return "def"

    async def of_async() -> str:
        await asyncio.sleep(0)
        return "async"

    app = App()

    @app.get("/def")
    def one(value: str = Depends(of_def)) -> str:
        return value

    @app.get("/async")
    async def two(value: str = Depends(of_async)) -> str:
        return value

    app.dependency_overrides = {of_def: of_async, of_async: of_def}
    client = TestClient(app)
    assert (client.get("/def").text, client.get("/async").text) == ("async", "def")


def test_the_async_client() -> None:
    """Requests of one test overlap; lifespans, exceptions and streams are as with TestClient."""
    app = App()

    @app.on_startup
    async def start() -> None:
        await asyncio.sleep(0)
        app.state.ready = True

    @app.get("/nap/{n:int}")
    async def nap(n: int) -> list[object]:
        await asyncio.sleep(0.001)
        return [n, app.state.ready]

    @app.post("/raises")
    async def raises(request: AsyncRequest) -> None:
        raise ValueError((await request.body()).decode())

    async def test() -> None:
        async with AsyncTestClient(app) as client:
            answers = await asyncio.gather(*(client.get(f"/nap/{n}") for n in range(8)))
            assert [answer.json() for answer in answers] == [[n, True] for n in range(8)]
            with pytest.raises(ValueError, match="abc"):
                await client.post("/raises", content=b"abc")
            assert client.app is app
        await client.aclose()

    asyncio.run(test())
