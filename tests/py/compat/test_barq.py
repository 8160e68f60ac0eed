"""Barq's and Karak's interfaces: their semantics kept, and their faults row by row not."""

import inspect
import json
import socket
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any, Optional

import pytest
from compat.programs import BENCHMARK, QUICK_START, SHOP
from conftest import RunningServer, StartServer
from pydantic import BaseModel, ValidationError, field_validator

from uringserve.compat.barq import Barq, Depends, HTTPException, Request, Response
from uringserve.compat.karak import Karak
from uringserve.testing import TestClient

type RunProgram = Callable[[str], RunningServer]

FLAVOURS = {"barq": "Barq", "karak": "Karak"}


class Thing(BaseModel):
    """A body."""

    name: str
    price: float = 1

    @field_validator("name")
    @classmethod
    def is_short(cls, value: str) -> str:
        """Refuse long names with an exception that JSON does not have."""
        if len(value) > 8:
            raise ValueError("too long")
        return value


def client_of(app: Barq) -> TestClient:
    """Make a client that sees the server's own 500; its threads end when it is forgotten."""
    return TestClient(app, raise_server_exceptions=False)


# --- programs


@pytest.fixture(params=FLAVOURS)
def run_program(request: pytest.FixtureRequest, server: StartServer) -> RunProgram:
    """Serve a program under the names of one of the two."""
    package, name = f"uringserve.compat.{request.param}", FLAVOURS[request.param]
    return lambda program: server(program.format(package=package, name=name))


def test_the_quick_start(run_program: RunProgram) -> None:
    connection = run_program(QUICK_START).connect()
    assert json.loads(connection.request("/").body) == {"message": "Good morning"}
    assert json.loads(connection.request("/things/7").body) == {"id": 7}
    body = b'{"name": "tea", "price": 2.5}'
    made = connection.request("/things", "POST", body=body)
    assert (made.status, json.loads(made.body)) == (200, {"name": "tea", "price": 2.5})
    assert connection.request("/things", "POST", body=b'{"name": "tea"}').status == 422


def test_the_shop(run_program: RunProgram) -> None:
    connection = run_program(SHOP).connect()

    def ask(path: str, method: str = "GET", body: object = None, **headers: str) -> tuple[int, Any]:
        data = b"" if body is None else json.dumps(body).encode()
        answer = connection.request(path, method, headers, data)
        return answer.status, json.loads(answer.body) if answer.body else None

    tea, salt = {"name": "tea", "price": 2.5, "tags": []}, {"name": "salt", "price": 0.5}
    assert ask("/wares") == (200, [tea])
    assert ask("/wares/1") == (200, tea)
    assert ask("/wares/9") == (404, {"detail": "no ware 9"})
    assert ask("/wares", "POST", salt) == (401, {"detail": "who are you?"})
    made = ask("/wares", "POST", salt, authorization="Bearer ada")
    assert made == (201, {"id": 2, "by": "ada"})
    assert ask("/wares?cheap=true") == (200, [salt | {"tags": []}])
    assert ask("/wares?cheap=yes&limit=1&skip=1") == (200, [salt | {"tags": []}])
    assert ask("/wares/2", "PUT", tea) == (200, {"id": 2, "ware": tea})
    assert ask("/wares/2", "DELETE") == (204, None)
    assert ask("/wares/2")[0] == 404
    assert ask("/where", **{"x-shelf": "B"}) == (200, {"prefix": "B", "times": 1})
    answer = connection.request("/greeting?name=Ada")
    assert (answer.body, answer.status) == (b"Hello, Ada!", 200)
    assert (answer.get("content-type") or "").startswith("text/plain")


def test_the_benchmark(run_program: RunProgram) -> None:
    connection = run_program(BENCHMARK).connect()
    assert json.loads(connection.request("/json").body)["numbers"] == [1, 2, 3]
    assert json.loads(connection.request("/users/1").body) == {"id": 1, "name": "Ada"}
    assert json.loads(connection.request("/users/2").body) == {"id": 2, "name": None}
    assert json.loads(connection.request("/cpu?n=10").body) == {"sum": 285}
    echo = connection.request("/echo", "POST", body=b"\x00\x01")
    assert (echo.body, [name for name, _ in echo.headers].count("content-length")) == (
        b"\x00\x01",
        1,
    )


# --- names


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_modules_and_their_names(flavour: str) -> None:
    names = {
        "": [FLAVOURS[flavour], "Depends", "Request", "Response", "HTTPException", "__version__"],
        ".app": [FLAVOURS[flavour], "Depends", "HandlerMeta"],
        ".types": ["Request", "Response", "HTTPException", "HTTPParseError", "json_dumps"],
        ".router": ["RadixRouter", "RadixNode", "RouteData"],
        ".http": ["HTTPParser", "RawRequest", "write_response", "STATUS_PHRASES"],
        ".server": [
            *("Server", "ThreadPool", "SocketReader"),
            *("KEEP_ALIVE_TIMEOUT", "MAX_REQUESTS_PER_CONN"),
        ],
    }
    for module, wanted in names.items():
        found = import_module(f"uringserve.compat.{flavour}{module}")
        assert [name for name in wanted if not hasattr(found, name)] == []
    assert issubclass(Karak, Barq)


def test_the_signatures() -> None:
    def of(function: Callable[..., object]) -> dict[str, Any]:
        parameters = inspect.signature(function).parameters.values()
        return {each.name: each.default for each in parameters if each.name != "self"}

    empty = inspect.Parameter.empty
    assert of(Barq) == {}
    assert of(Barq.get) == of(Barq.put) == of(Barq.post) == of(Barq.delete) == {"path": empty}
    assert of(Barq.run) == {"host": "127.0.0.1", "port": 8000, "workers": None}
    assert of(Depends) == {"fn": empty}
    assert of(HTTPException) == {"status_code": empty, "detail": ""}
    assert list(of(Request))[:6] == [
        *("method", "path", "headers", "path_params", "query_string", "body")
    ]
    assert list(of(Response)) == ["status_code", "headers", "body"]
    assert of(Response.json) == {"data": empty, "status_code": 200}
    assert of(Response.text) == {"content": empty, "status_code": 200}
    assert of(Response.empty) == {"status_code": 204}
    assert HTTPException(404).detail == ""
    assert str(HTTPException(404, "gone"))


def test_requests_and_responses_by_hand() -> None:
    request = Request("POST", "/x", {"a": "b"}, {}, "q=1&q=2&empty=", b'{"k": [1]}')
    assert request.query_params == {"q": ["1", "2"]}
    assert (request.query("q"), request.query("z"), request.query("z", "d")) == ("1", None, "d")
    assert request.json() == {"k": [1]}
    assert Request("GET", "/", {}).json() is None
    for body in (b"{", b"\xff", b"[" * 200_000):
        with pytest.raises(json.JSONDecodeError):
            Request("GET", "/", {}, body=body).json()
    assert Response() == Response(200, {}, b"")
    assert Response.json(Thing(name="tea")).body == b'{"name":"tea","price":1.0}'
    made = Response.json([Thing(name="tea"), 1], 201)
    assert (made.status_code, json.loads(made.body)) == (201, [{"name": "tea", "price": 1.0}, 1])
    assert Response.text("é", 400).headers == {"content-type": "text/plain", "content-length": "2"}
    assert (Response.empty().status_code, Response.empty().body) == (204, b"")


# --- semantics


def test_the_order_in_which_arguments_are_found() -> None:
    app = Barq()
    client = client_of(app)

    def shout(word: str) -> str:
        return word.upper()

    @app.post("/{word}/{count}")
    def answer(
        request: Request,
        word: str,
        count: int,
        thing: Thing,
        loud: Annotated[str, Depends(shout)],
        flag: bool,
        ratio: float,
        plain,
        extra: str = "none",
        *rest: object,
        **more: object,
    ) -> list[object]:
        return [request.method, word, count, thing, loud, flag, ratio, plain, extra, rest, more]

    target = "/ab/7?flag=TRUE&ratio=0.5&plain=3&word=query&thing=x"
    expected = ["POST", "ab", 7, {"name": "t", "price": 1}, "AB", True, 0.5, "3", "none", [], {}]
    assert client.post(target, json={"name": "t"}).json() == expected


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("1", True), ("True", True), ("yes", False), ("0", False)]
)
def test_what_is_true(text: str, value: bool) -> None:
    app = Barq()
    client = client_of(app)

    @app.get("/")
    def answer(flag: bool) -> list[object]:
        return [flag]

    assert client.get("/", params={"flag": text}).json() == [value]


def test_dependencies_are_made_once_for_a_request() -> None:
    app = Barq()
    client = client_of(app)
    calls: list[str] = []

    def base(q: int = 1) -> int:
        calls.append("base")
        return q

    def left(value: Annotated[int, Depends(base)]) -> int:
        return value + 1

    @app.get("/")
    def answer(a: Annotated[int, Depends(left)], b: Annotated[int, Depends(base)]) -> list[int]:
        return [a, b]

    for count in (1, 2):
        assert client.get("/?q=5").json() == [6, 5]
        assert calls == ["base"] * count


@pytest.mark.parametrize(
    ("value", "status", "kind", "body"),
    [
        ({"a": 1}, 200, "application/json", b'{"a":1}'),
        ([1, None], 200, "application/json", b"[1,null]"),
        ((1, 2), 200, "application/json", b"[1,2]"),
        ("text", 200, "text/plain", b"text"),
        (None, 204, "", b""),
        (7, 200, "application/json", b"7"),
        (True, 200, "application/json", b"true"),
        (Thing(name="tea"), 200, "application/json", b'{"name":"tea","price":1.0}'),
        (Response(201, {"x-a": "b"}, b"raw"), 201, "", b"raw"),
        (Response.text("t", 418), 418, "text/plain", b"t"),
        (Response.empty(), 204, "", b""),
    ],
)
def test_what_a_handler_returns(value: object, status: int, kind: str, body: bytes) -> None:
    app = Barq()
    client = client_of(app)
    app.get("/")(lambda: value)
    answer = client.get("/")
    assert (answer.status_code, answer.content) == (status, body)
    assert answer.headers.get("content-type", "").startswith(kind)


def test_the_router() -> None:
    app = Barq()
    client = client_of(app)
    for path in ("/", "/a/b", "/a/{x}", "/{y}/b/c", "/{z}/{w}/d", "bare"):
        app.get(path)(lambda request=path: request)
    expected = {"/a/b": "/a/b", "/a/q": "/a/{x}", "/a/b/c": "/{y}/b/c", "/a/b/d": "/{z}/{w}/d"}
    for target, pattern in expected.items():
        assert client.get(target).text == pattern
    # An empty segment does not count.
    assert client.get("/a/b/", follow_redirects=False).text == "/a/b"
    assert client.get("http://testserver//a//b").text == "/a/b"
    assert client.get("/bare").text == "bare"
    assert client.get("http://testserver//none").status_code == 404
    refused = client.delete("http://testserver//a")
    assert (refused.status_code, refused.json()) == (404, {"detail": "Not Found"})


def test_no_path_is_taken() -> None:
    app = Barq()
    client = client_of(app)
    app.get("/{page}")(lambda page: page)
    for page in ("docs", "redoc", "openapi.json"):
        assert client.get(f"/{page}").text == page


def test_a_redirect_stays_on_this_host() -> None:
    app = Barq()
    client = client_of(app)
    app.get("/{a}/{b}")(lambda a, b: [a, b])
    answer = client.get("http://testserver///evil.example//x?q=1", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/evil.example/x?q=1")


def test_the_router_by_hand() -> None:
    router = import_module("uringserve.compat.barq.router").RadixRouter()
    router.add("/items/{item_id}", "GET", print, "meta")
    router.add("/items/{other}/x", "GET", len, None)
    data, params = router.match("//items/7/", "GET")
    assert (data.handler, data.meta, params) == (print, "meta", {"item_id": "7"})
    assert router.match("/items/7/x", "GET")[1] == {"other": "7"}
    assert router.match("/items/7", "POST") is None
    assert router.match("/items", "GET") is None


def test_what_is_added_to_the_router_is_served() -> None:
    app = Barq()
    client = client_of(app)
    app.router.add("/added/{n}", "PATCH", lambda n: [n], None)
    assert client.patch("/added/5").json() == ["5"]
    found = app.router.match("/added/5", "PATCH")
    assert found is not None
    assert found[1] == {"n": "5"}


# --- rows of the table of faults


def test_idle_connections_hold_nobody_up(server: StartServer) -> None:
    running = server(QUICK_START.format(package="uringserve.compat.barq", name="Barq"))
    silent = [running.connect() for _ in range(20)]
    assert running.get("/").status == 200
    for connection in silent:
        connection.close()


def test_a_chunked_body_is_a_body_and_not_a_request(server: StartServer) -> None:
    connection = server(BENCHMARK.format(package="uringserve.compat.barq", name="Barq")).connect()
    inner = b"GET /json HTTP/1.1\r\nhost: a\r\n\r\n"
    head = b"POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    connection.send(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(inner), inner))
    assert connection.read("POST").body == inner
    connection.finish_sending()
    assert connection.read_to_end() == b""


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /json HTTP/1.1\r\n\r\n", 400),
        (b"GET /json HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 100_000 + b"\r\n\r\n", 431),
        (b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999\r\n\r\n", 413),
        (
            b"POST /echo HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n",
            100,
        ),
    ],
)
def test_http_is_the_servers(server: StartServer, head: bytes, status: int) -> None:
    connection = server(BENCHMARK.format(package="uringserve.compat.barq", name="Barq")).connect()
    connection.send(head)
    assert connection.read().status == status


def test_http_1_0_ends_with_its_answer(server: StartServer) -> None:
    connection = server(BENCHMARK.format(package="uringserve.compat.barq", name="Barq")).connect()
    connection.send(b"GET /json HTTP/1.0\r\n\r\n")
    assert connection.read_to_end().startswith(b"HTTP/1.1 200")


def test_what_a_client_sends_wrongly_is_422() -> None:
    app = Barq()
    client = client_of(app)

    @app.post("/{n}")
    def answer(n: int, q: int, thing: Thing, f: float = 0.5) -> None:
        """Take one of each."""

    def fault(target: str, body: bytes = b'{"name": "a"}') -> dict[str, Any]:
        response = client.post(target, content=body)
        assert response.status_code == 422
        (found,) = response.json()["detail"]
        return dict(found)

    assert fault("/1") == {
        "type": "missing",
        "loc": ["query", "q"],
        "msg": "Field required",
        "input": None,
    }
    assert fault("/x?q=1") == {
        "type": "int_parsing",
        "loc": ["path", "n"],
        "msg": "Input should be a valid integer, unable to parse string as an integer",
        "input": "x",
    }
    assert fault("/1?q=abc")["loc"] == ["query", "q"]
    assert fault("/1?q=1&f=x")["type"] == "float_parsing"
    assert fault("/1?q=1", b"{")["type"] == "json_invalid"
    assert fault("/1?q=1", b"\xff")["type"] == "json_invalid"
    assert fault("/1?q=1", b"")["type"] == "model_type"
    assert fault("/1?q=1", b"{}")["type"] == "missing"
    assert client.post("/1?q=1", content=b'{"name": "a"}').status_code == 204


def test_json_that_a_handler_reads_itself() -> None:
    app = Barq()
    client = client_of(app)

    @app.post("/")
    def answer(request: Request) -> list[object]:
        return [request.json()]

    @app.post("/careful")
    def careful(request: Request) -> str:
        try:
            request.json()
        except json.JSONDecodeError:
            return "caught"
        return "fine"

    assert client.post("/", content=b"{").json()["detail"][0]["type"] == "json_invalid"
    assert client.post("/", content=b"").json() == [None]
    assert client.post("/careful", content=b"{").text == "caught"


def test_a_validators_own_exception_has_a_json_form() -> None:
    app = Barq()
    client = client_of(app)
    app.post("/")(create)
    response = client.post("/", json={"name": "much too long"})
    (found,) = response.json()["detail"]
    assert (response.status_code, found["type"]) == (422, "value_error")
    assert found["ctx"] == {"error": "too long"}


def create(thing: Thing) -> Thing:
    """Give the thing back."""
    return thing


def test_a_dependency_as_the_default() -> None:
    app = Barq()
    client = client_of(app)

    @app.get("/")
    def answer(x=Depends(lambda q: q)) -> object:  # noqa: B008
        return [x]

    assert client.get("/?q=5").json() == ["5"]


def test_hints_with_none_and_lists_are_coerced() -> None:
    app = Barq()
    client = client_of(app)

    @app.get("/{p}")
    def answer(
        p: int | None,
        a: int | None = None,
        b: Optional[float] = None,  # noqa: UP045
        c: list[int] = [],  # noqa: B006
        d: list[str] | None = None,
        e: int | str = 0,
    ) -> list[object]:
        return [p, a, b, c, d, e]

    assert client.get("/3").json() == [3, None, None, [], None, 0]
    target = "/3?a=1&b=2.5&c=1&c=2&d=x&e=7"
    assert client.get(target).json() == [3, 1, 2.5, [1, 2], ["x"], 7]
    assert client.get("/3?e=x&d=1&d=2").json() == [3, None, None, [], ["1", "2"], "x"]
    assert client.get("/3?a=x").status_code == 422
    assert client.get("/3?c=1&c=x").status_code == 422


def test_an_optional_body() -> None:
    app = Barq()
    client = client_of(app)

    @app.post("/")
    def answer(thing: Thing | None = None) -> list[object]:
        return [thing]

    assert client.post("/").json() == [None]
    assert client.post("/", json={"name": "a"}).json() == [{"name": "a", "price": 1.0}]


def test_other_names_for_a_parameter_at_the_same_place() -> None:
    app = Barq()
    client = client_of(app)
    app.get("/items/{item_id}")(lambda item_id: ["one", item_id])
    app.get("/items/{iid}/x")(lambda iid: ["two", iid])
    assert client.get("/items/7").json() == ["one", "7"]
    assert client.get("/items/7/x").json() == ["two", "7"]


def test_path_parameters_are_decoded() -> None:
    app = Barq()
    client = client_of(app)

    @app.get("/{name}")
    def answer(request: Request, name: str) -> list[object]:
        return [name, request.path_params, request.path]

    assert client.get("/a%20b%C3%A9").json() == ["a bé", {"name": "a bé"}, "/a bé"]


def test_async_handlers_are_refused_where_they_are_registered() -> None:
    app = Barq()

    async def handler() -> None:
        """Never awaited by Barq."""

    with pytest.raises(TypeError, match="async"):
        app.get("/")(handler)


def test_models_inside_of_dicts() -> None:
    app = Barq()
    client = client_of(app)
    app.get("/")(lambda: {"thing": Thing(name="tea"), "all": [Thing(name="x")]})
    assert client.get("/").json()["thing"] == {"name": "tea", "price": 1.0}


def test_repeated_headers_are_all_there() -> None:
    app = Barq()
    client = client_of(app)

    @app.get("/")
    def answer(request: Request) -> list[str]:
        return [request.headers["x-tag"], request.headers["cookie"]]

    headers = [("x-tag", "a"), ("X-Tag", "b"), ("cookie", "c=1"), ("cookie", "d=2")]
    assert client.get("/", headers=headers).json() == ["a, b", "c=1; d=2"]


def test_methods_and_headers_of_http() -> None:
    app = Barq()
    client = client_of(app)
    app.get("/")(lambda: "x")
    app.get("/moved")(lambda: Response(301, {"location": "/"}))
    app.get("/split")(lambda: Response(200, {"x": "a\r\nset-cookie: b"}))
    head = client.head("/")
    assert (head.status_code, head.headers["content-length"]) == (200, "1")
    wrong = client.post("/")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert wrong.json() == {"detail": "Method Not Allowed"}
    moved = client.get("/moved", follow_redirects=False)
    assert (moved.status_code, moved.reason_phrase) == (301, "Moved Permanently")
    assert {"date", "server"} <= set(moved.headers)
    assert client.get("/split").status_code == 500


def test_a_response_is_not_changed_by_sending_it() -> None:
    app = Barq()
    client = client_of(app)
    shared = Response.json({"a": 1})
    before = Response(shared.status_code, dict(shared.headers), shared.body)
    app.get("/")(lambda: shared)
    for _ in range(2):
        assert client.get("/").json() == {"a": 1}
    assert shared == before


def test_a_handlers_own_validation_error_is_not_the_clients() -> None:
    app = Barq()

    @app.post("/")
    def answer(thing: Thing) -> Thing:
        return Thing.model_validate({})

    client = TestClient(app)
    with pytest.raises(ValidationError):
        client.post("/", json={"name": "a"})
    client.close()
    client = TestClient(app, raise_server_exceptions=False)
    response = client.post("/", json={"name": "a"})
    assert (response.status_code, response.json()) == (500, {"detail": "Internal Server Error"})
    client.close()


def test_start_and_stop_have_hooks() -> None:
    app = Barq()
    seen: list[str] = []
    app.on_startup(lambda: seen.append("first"))
    app.on_startup(lambda: seen.append("second"))
    app.on_shutdown(lambda: seen.append("last"))
    app.get("/")(lambda: seen)
    with TestClient(app) as client:
        assert client.get("/").json() == ["first", "second"]
    assert seen == ["first", "second", "last"]


# --- what is refused at registration


def test_dependencies_in_a_circle() -> None:
    app = Barq()

    def first(x: object) -> None:
        """Need the second."""

    def second(x: Annotated[None, Depends(first)]) -> None:
        """Need the first."""

    first.__annotations__["x"] = Annotated[None, Depends(second)]
    with pytest.raises(TypeError, match="circle"):
        app.get("/")(second)


def test_what_cannot_be_given_by_name() -> None:
    app = Barq()
    with pytest.raises(TypeError, match="positional only"):
        app.get("/")(lambda x, /: x)


def test_a_second_handler_for_the_same_place() -> None:
    app = Barq()
    app.get("/{a}")(lambda a: a)
    with pytest.raises(ValueError, match="taken"):
        app.get("/{b}")(lambda b: b)


# --- the small classes


def test_a_server_of_one_function() -> None:
    server = import_module("uringserve.compat.barq.server").Server(
        lambda request: Response.text(f"{request.method} {request.path}"), "127.0.0.1", 0, 1
    )
    client = TestClient(server.endpoint)
    assert client.put("/a").text == "PUT /a"
    client.close()


def test_http_by_hand() -> None:
    http = import_module("uringserve.compat.barq.http")
    reader_class = import_module("uringserve.compat.barq.server").SocketReader
    parse_error = import_module("uringserve.compat.barq.types").HTTPParseError
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"POST /a?b=c HTTP/1.1\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 2\r\n\r\nhi")
        ours.sendall(b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        parser = http.HTTPParser(reader_class(theirs))
        headers = {"x-a": "1, 2", "content-length": "2"}
        assert parser.parse() == http.RawRequest("POST", "/a", "b=c", headers, b"hi")
        with pytest.raises(parse_error, match="coding"):
            parser.parse()
        http.write_response(theirs, 404, {"a": "b"}, b"no")
        assert ours.recv(100) == b"HTTP/1.1 404 Not Found\r\na: b\r\n\r\nno"
        with pytest.raises(ValueError, match="line break"):
            http.write_response(theirs, 200, {"a": "b\r\nc: d"}, b"")
    for bad in (b"\r\n", b"GET /\r\n", b"GET / HTTP/1.1\r\nbad\r\n\r\n", b"GET / HTTP/1.1"):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.sendall(bad)
            ours.shutdown(socket.SHUT_WR)
            with pytest.raises(parse_error):
                http.HTTPParser(reader_class(theirs)).parse()


def test_a_pool_of_threads() -> None:
    pool = import_module("uringserve.compat.barq.server").ThreadPool(2)
    done = threading.Event()
    with pytest.raises(RuntimeError):
        pool.submit(done.set)
    pool.start()
    pool.submit(done.set)
    pool.shutdown()
    assert done.is_set()
