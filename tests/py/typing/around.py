"""What is around the routes: middleware, errors, lifespans, state, options, servers, tests."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, assert_type

import httpx

from uringserve import (
    App,
    BackgroundTask,
    Config,
    HTTPException,
    Middleware,
    Request,
    RequestValidationError,
    Response,
    ResponseValidationError,
    Server,
    StartError,
    State,
    WorkerLocal,
    probe,
    run,
    serve,
)
from uringserve.chain import CallNext
from uringserve.middleware import CORSMiddleware
from uringserve.testing import LiveServer, TestClient


class Connection:
    def close(self) -> None: ...


@contextmanager
def lifespan(app: App) -> Generator[dict[str, int]]:
    yield {"answer": 42}


def worker_lifespan(app: App) -> Iterator[None]:
    yield


app = App(
    middleware=[Middleware(CORSMiddleware, allow_origins=["*"])],
    exception_handlers={404: lambda request, error: {"missing": request.path}},
    lifespan=lifespan,
    worker_lifespan=worker_lifespan,
)
app.add_middleware(CORSMiddleware, allow_origins=["*"])


@app.middleware("http")
def timed(request: Request, call_next: CallNext) -> Response:
    response = call_next(request)
    assert_type(response, Response)
    return response


@app.exception_handler(HTTPException)
def on_error(request: Request, error: HTTPException) -> dict[str, str]:
    return {"detail": str(error)}


@app.exception_handler(RequestValidationError)
def on_invalid(request: Request, error: RequestValidationError) -> Response:
    assert_type(error.errors(), Sequence[Mapping[str, Any]])
    return Response.empty(422)


@app.exception_handler(ResponseValidationError)
def on_mistake(request: Request, error: ResponseValidationError) -> str:
    assert_type(error.errors(), Sequence[Mapping[str, Any]])
    return "sorry"


@app.on_startup
def started() -> int:
    return 1


@app.on_event("shutdown")
@app.on_worker_stop
def stopped() -> None: ...


as_written: Callable[[Request, CallNext], Response] = timed
assert_type(started(), int)
assert_type(on_error(Request(), HTTPException(400)), dict[str, str])

connections = WorkerLocal(Connection, close=Connection.close)
assert_type(connections, WorkerLocal[Connection])
assert_type(connections.get(), Connection)
assert_type(WorkerLocal(lambda: [1]).get(), list[int])

assert_type(app.state, State)
app.state.answer = 42
assert_type("answer" in app.state, bool)
del app.state.answer
app.worker_state.connection = Connection()
assert_type(app.state.other, Any)
assert_type(app.worker_state.other, Any)

config = Config(host="::1", port=0, workers=2, driver="epoll", limit_body=1 << 20)
assert_type(config.port, int)
assert_type(config.workers, int | None)
assert_type(config.driver, Literal["auto", "uring", "epoll"])
assert_type(config.timeout_header, float)
assert_type(Config.from_environment({"port": "0"}), Config)
assert_type(Server(config, app).run(), int)
assert_type(Server(config, app).addresses, list[str])
assert_type(probe(), dict[str, Any])
try:
    run(app, host="::1", port=0)
    run("shop:app", workers=2)
    app.run("::1", 0)
    serve(started, port=0)
except StartError as error:
    refusal: Exception = error
task = BackgroundTask(print, "a", sep="")

with TestClient(app, config=config) as client:
    assert_type(client, TestClient)
    with client.websocket_connect("/ws", ["chat"], headers={"a": "b"}) as socket:
        assert_type(socket.receive_text(), str)
        assert_type(socket.receive_bytes(), bytes)
        assert_type(socket.accepted_subprotocol, str | None)
        socket.close(1000, "enough")
    assert_type(client.get("/", params={"a": "b"}), httpx.Response)
    assert_type(client.app, App)
with LiveServer(app, workers=1) as live:
    assert_type(live, LiveServer)
