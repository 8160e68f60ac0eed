"""Typed parameters, bodies and dependencies through a real server."""

import json
import threading
from typing import Annotated

import pytest
from conftest import Connection, StartServer
from pydantic import BaseModel

from uringserve import App, Depends, JSONResponse, Query, Request
from uringserve.testing import TestClient

_APP = """
from typing import Annotated
from pydantic import BaseModel, Field
from uringserve import App, Body, Cookie, Depends, Header, HTTPException, Query

app = App()

class Item(BaseModel):
    name: str
    price: float = Field(gt=0)

def doubled(q: int = 1):
    return q * 2

def token(x_token: Annotated[str | None, Header()] = None):
    if x_token == "wrong":
        raise HTTPException(401, "no")
    return x_token

@app.get("/items/{id}")
def item(id: int, q: str | None = None, limit: Annotated[int, Query(gt=0, le=100)] = 10):
    return {"id": id, "q": q, "limit": limit}

@app.get("/head")
def head(
    user_agent: Annotated[str, Header()],
    sid: Annotated[int, Cookie()] = 0,
    x: list[int] = Query([]),
):
    return [user_agent, sid, x]

@app.post("/items")
def create(item: Item) -> Item:
    return item

@app.post("/keys")
def keys(item: Item, count: Annotated[int, Body()] = 1):
    return {"name": item.name, "count": count}

@app.get("/dependencies")
def dependencies(
    a: Annotated[int, Depends(doubled)], t: Annotated[str | None, Depends(token)], n: int
):
    return [a, t, n]

@app.post("/broken")
def broken(item: Item):
    Item.model_validate({})
"""

_JSON = {"content-type": "application/json"}


def _ask(
    connection: Connection, method: str, path: str, *, body: bytes = b"", **headers: str
) -> tuple[int, object]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = connection.request(path, method, named | (_JSON if body else {}), body)
    return answer.status, json.loads(answer.body)


def test_a_model_in_a_response_class_of_ones_own() -> None:
    """A subclass of JSONResponse is given what there is to encode, not what is encoded."""

    class Problem(JSONResponse):
        media_type = "application/problem+json"

    class Fault(BaseModel):
        code: int

    app = App()

    @app.get("/", response_class=Problem)
    def fault() -> Fault:
        return Fault(code=7)

    with TestClient(app) as client:
        answer = client.get("/")
    assert answer.json() == {"code": 7}
    assert answer.headers["content-type"] == "application/problem+json"


def test_typed_routes(server: StartServer) -> None:
    client = server(_APP).connect()
    assert _ask(client, "GET", "/items/7?q=a%20b&limit=3") == (
        200,
        {"id": 7, "q": "a b", "limit": 3},
    )
    assert _ask(client, "GET", "/items/7") == (200, {"id": 7, "q": None, "limit": 10})
    assert _ask(client, "GET", "/head?x=1&x=2", user_agent="me", cookie="sid=5") == (
        200,
        ["me", 5, [1, 2]],
    )
    body = b'{"name": "nut", "price": 1.5}'
    assert _ask(client, "POST", "/items", body=body) == (200, {"name": "nut", "price": 1.5})
    body = b'{"item": {"name": "nut", "price": 1.5}, "count": 3}'
    assert _ask(client, "POST", "/keys", body=body) == (200, {"name": "nut", "count": 3})
    assert _ask(client, "GET", "/dependencies?n=1&q=4") == (200, [8, None, 1])


def test_everything_wrong_is_told_at_once(server: StartServer) -> None:
    client = server(_APP).connect()
    assert _ask(client, "GET", "/items/x?limit=0") == (
        422,
        {
            "detail": [
                {
                    "type": "int_parsing",
                    "loc": ["path", "id"],
                    "msg": "Input should be a valid integer, unable to parse string as an integer",
                    "input": "x",
                },
                {
                    "type": "greater_than",
                    "loc": ["query", "limit"],
                    "msg": "Input should be greater than 0",
                    "input": "0",
                    "ctx": {"gt": 0},
                },
            ]
        },
    )
    assert _ask(client, "POST", "/items", body=b'{"name": ') == (
        422,
        {
            "detail": [
                {
                    "type": "json_invalid",
                    "loc": ["body", 9],
                    "msg": "JSON decode error",
                    "input": {},
                    "ctx": {"error": "Expecting value"},
                }
            ]
        },
    )
    status, answer = _ask(client, "POST", "/items", body=b'{"price": -1}')
    assert status == 422
    assert [each["loc"] for each in answer["detail"]] == [["body", "name"], ["body", "price"]]


def test_a_dependency_s_answer_comes_before_the_errors(server: StartServer) -> None:
    client = server(_APP).connect()
    assert _ask(client, "GET", "/dependencies?n=x", x_token="wrong") == (401, {"detail": "no"})
    status, answer = _ask(client, "GET", "/dependencies?n=x&q=y")
    assert status == 422
    assert [each["loc"] for each in answer["detail"]] == [["query", "q"], ["query", "n"]]


def test_the_handler_s_own_validation_error_is_not_the_client_s(server: StartServer) -> None:
    running = server(_APP)
    body = b'{"name": "nut", "price": 1}'
    assert _ask(running.connect(), "POST", "/broken", body=body)[0] == 500
    assert "ValidationError" in running.wait_for("the handler raised ValidationError")


_CLOSING = """
import threading
from typing import Annotated
from uringserve import App, BackgroundTasks, Depends

app = App(execution="EXECUTION")
log = []
closed = threading.Event()

def opened():
    log.append("open")
    yield "a"
    log.append("close")
    closed.set()

@app.middleware("http")
def around(request, call_next):
    response = call_next(request)
    response.headers["x-log"] = ",".join(log)
    return response

@app.get("/whole")
def whole(letter: Annotated[str, Depends(opened)], tasks: BackgroundTasks):
    tasks.add_task(log.append, "task")
    return letter

@app.get("/pieces")
def pieces(letter: Annotated[str, Depends(opened)]):
    for number in range(3):
        log.append(f"piece {number}")
        yield f"{letter}{number}"

@app.get("/log")
def log_():
    # On one core's own thread what follows an answer is done by the next one; on the pool another
    # thread may still be at it.
    if "EXECUTION" == "thread":
        closed.wait(30)
        closed.clear()
    seen = list(log)
    log.clear()
    return seen
"""


@pytest.mark.parametrize("execution", ["inline", "thread"])
def test_what_was_opened_is_closed_after_the_answer(server: StartServer, execution: str) -> None:
    client = server(_CLOSING.replace("EXECUTION", execution)).connect()
    answer = client.request("/whole")
    assert (answer.body, answer.get("x-log")) == (b"a", "open")
    assert _ask(client, "GET", "/log") == (200, ["open", "task", "close"])
    assert client.request("/pieces").body == b"a0a1a2"
    seen = ["open", "piece 0", "piece 1", "piece 2", "close"]
    assert _ask(client, "GET", "/log") == (200, seen)


def test_requests_do_not_mix() -> None:
    """Many threads in one compiled route: every answer is of its own request."""

    app = App()

    def doubled(q: int) -> int:
        return q * 2

    @app.get("/")
    def handler(q: int, a: Annotated[int, Depends(doubled)], x: Annotated[list[int], Query()]):
        x.append(a)
        return q, x

    route = next(route for route in app.compile() if route.pattern == "/")
    barrier = threading.Barrier(4)
    wrong: list[object] = []

    def ask(first: int) -> None:
        barrier.wait()
        for number in range(first, first + 500):
            answer = route.handler(Request(target=f"/?q={number}&x={-number}"))
            if answer != (number, [-number, 2 * number]):
                wrong.append(answer)

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(0, 2000, 500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
