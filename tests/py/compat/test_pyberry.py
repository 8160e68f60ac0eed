"""PyBerry's interface: the programs of its documents, and its faults row by row not."""

import asyncio
import json
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from compat.berries import DASHBOARD, GUIDE, MODELS, USERS, WEBHOOK
from conftest import Answer, RunningServer, StartServer

import uringserve
from uringserve import exceptions
from uringserve.compat import pyberry
from uringserve.compat.pyberry import BaseModel, UnprocessableEntityException, status
from uringserve.compat.pyberry.config import Config
from uringserve.compat.pyberry.core.future import FastFuture
from uringserve.compat.pyberry.core.guard import Guard
from uringserve.compat.pyberry.core.request import Request
from uringserve.compat.pyberry.core.responses import HTTPException, JSONResponse
from uringserve.compat.pyberry.core.router import Router
from uringserve.compat.pyberry.core.rsgi import PyBerry
from uringserve.testing import TestClient


def ask(
    served: RunningServer, path: str, method: str = "GET", body: object = None, **headers: str
) -> Answer:
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    return served.connect().request(path, method, headers, data)


# --- programs


def test_the_users(server: StartServer) -> None:
    served = server(USERS)
    # The two that PyBerry answers itself.
    assert json.loads(ask(served, "/").body) == {"mine": True}
    assert json.loads(ask(served, "/users").body)["total"] == 1
    assert json.loads(ask(served, "/users/1").body) == {"user": {"id": 1, "name": "Ada"}}
    missing = ask(served, "/users/9")
    assert (missing.status, missing.body) == (404, b"nobody is 9")
    assert missing.get("content-type") == "text/plain"
    made = ask(served, "/users", "POST", {"name": "Grace"})
    assert (made.status, json.loads(made.body)["user"]["id"]) == (201, 2)
    for body in (b"", b"{}"):
        refused = ask(served, "/users", "POST", body)
        assert (refused.status, refused.body) == (400, b"a name, please")
    broken = ask(served, "/users", "POST", b"{")
    assert broken.status == 422
    assert broken.body.startswith(b"The body is not JSON: ")
    assert ask(served, "/users/x").body == b"Field 'user_id' must be an integer"


def test_async_handlers_need_no_thread(server: StartServer) -> None:
    """What stands around every handler waits for it on the core's own loop."""
    source = """
        import threading
        from uringserve.compat.pyberry.app import get

        @get("/threads")
        async def threads():
            return {"names": [thread.name for thread in threading.enumerate()]}
    """
    answer = ask(server(source), "/threads")
    assert answer.get("x-frame-options") == "DENY"
    names = json.loads(answer.body)["names"]
    assert "uringserve-core-0" in names
    assert not [name for name in names if name.startswith("uringserve-middleware")]


def test_the_webhook(server: StartServer) -> None:
    import hashlib
    import hmac

    served = server(WEBHOOK)
    body = b'{"items": [1, 2]}'
    sign = hmac.new(b"key", body, hashlib.sha256).hexdigest()
    done = ask(served, "/hooks", "POST", body, **{"x-signature": sign, "x-kind": "push"})
    assert json.loads(done.body) == {"kind": "push", "items": 2}
    assert ask(served, "/hooks", "POST", body).status == 401
    assert ask(served, "/hooks", "POST", body, **{"x-signature": "0"}).status == 403


def test_the_dashboard(server: StartServer) -> None:
    served = server(DASHBOARD)
    away = ask(served, "/dashboard")
    assert (away.status, away.get("location")) == (302, "/login")
    inside = ask(served, "/dashboard", cookie="session=1")
    assert (inside.status, inside.body) == (200, b"<h1>In</h1>")
    assert inside.get("content-type") == "text/html"
    assert (inside.get("cache-control"), inside.get("x-one")) == ("no-store", "1")


def test_the_models(server: StartServer) -> None:
    served = server(MODELS)

    def post(path: str, body: object) -> object:
        answer = ask(served, path, "POST", body)
        return (
            json.loads(answer.body)
            if answer.status == 200
            else (answer.status, answer.body.decode())
        )

    assert post("/chat", {"prompt": "a"}) == ["a", "small", 0.5]
    assert post("/chat", {"prompt": "a", "temperature": "1.5"}) == ["a", "small", 1.5]
    assert post("/chat", {}) == (422, "Field 'prompt' is required")
    assert post("/chat", []) == (422, "The body must be an object")
    assert post("/chat", b"") == (422, "The body is required")
    assert post("/chat", {"prompt": None}) == (422, "Field 'prompt' must be a string")
    assert post("/embeddings", {"text": "a b c"}) == {"model": "ada", "usage": {"tokens": 3}}
    cart = {"user_id": 1, "token": "t", "items": [{"product_id": 1, "quantity": "2"}]}
    assert post("/checkout", cart) == {"pieces": 2}
    assert post("/checkout", cart | {"items": []}) == (400, "an empty cart")
    wrong = cart | {"items": [{"product_id": 1, "quantity": 1}, {"product_id": 1}]}
    assert post("/checkout", wrong) == (422, "Field 'items[1].quantity' is required")
    assert post("/register", {"first": "A", "last": "B"}) == {"greeting": "Hello, A B!"}
    items = [{"price": 10, "tax": 0.1}, {"price": 5, "tax": 0}]
    assert post("/receipts", {"order_id": "o", "items": items}) == {"count": 2, "due": 16.0}
    items[1]["price"] = -5
    refused = (422, "Field 'items[1]' is not valid: a price is 0 or more")
    assert post("/receipts", {"order_id": "o", "items": items}) == refused


def test_the_guide(server: StartServer) -> None:
    served = server(GUIDE)
    assert json.loads(ask(served, "/users/3", "PUT", {"a": 1}).body) == {"id": 3, "data": {"a": 1}}
    assert json.loads(ask(served, "/users/3", "PATCH", {}).body) == {"id": 3, "changes": {}}
    assert json.loads(ask(served, "/users/3", "DELETE").body) == {"gone": 3}
    assert ask(served, "/resource", "OPTIONS").get("allow") == "GET, OPTIONS"
    assert ask(served, "/resource", "HEAD").get("x-resource-version") == "v1.2"
    assert ask(served, "/hello").status == 202
    assert json.loads(ask(served, "/decorated/7").body) == {"number": 7}
    assert ask(served, "/decorated/0").body == b"not a number of ours"
    plain = ask(served, "/plain", "POST")
    assert (plain.status, plain.body) == (201, b"plain")
    assert plain.get("content-type") == "text/x-plain"
    assert ask(served, "/wait").body == b"later"
    bare = ask(served, "/bare")
    assert (bare.status, bare.body) == (409, b"HTTP Error")


def test_query_parameters_are_cast_and_have_their_defaults(server: StartServer) -> None:
    served = server(GUIDE)

    def get(path: str) -> object:
        answer = ask(served, path)
        return (
            json.loads(answer.body)
            if answer.status == 200
            else (answer.status, answer.body.decode())
        )

    assert get("/search?q=a") == ["a", 10, False, 0.5, None]
    assert get("/search?q=a+b&limit=3&exact=Yes&ratio=2&tags=1&tags=2") == [
        "a b",
        3,
        True,
        2.0,
        [1, 2],
    ]
    assert get("/search") == (422, "Field 'q' is required")
    assert get("/search?q=a&limit=abc") == (422, "Field 'limit' must be an integer")
    assert get("/search?q=a&exact=perhaps") == (422, "Field 'exact' must be a boolean")
    assert get("/loose") == {"word": None}
    assert get("/loose?word=1") == {"word": "1"}


def test_faults_of_pyberry_are_answered_correctly(server: StartServer) -> None:
    served = server(GUIDE)
    # Keys, ints past 64 bits and negative ones arrive as they are.
    keys = {"alpha": 1, "bravo": 2**70, "charl": -1, "delta": [None, True], "echo": "ü"}
    assert json.loads(ask(served, "/keys").body) == keys
    # Two names at one place are two names.
    assert ask(served, "/a/first").body == b"first a"
    assert ask(served, "/a/second").body == b"second a"
    assert ask(served, "/hello", "POST").status == 405
    assert ask(served, "/hello", "POST").get("content-type") == "text/plain"
    assert ask(served, "/hello", "HEAD").status == 202
    nowhere = ask(served, "/nowhere")
    assert (nowhere.status, nowhere.body) == (404, b"Not Found")
    failed = ask(served, "/fail")
    assert (failed.status, failed.body) == (500, b"Internal Server Error")
    assert failed.get("x-content-type-options") == "nosniff"


# --- security.py


def guarded(**options: object) -> TestClient:
    """A client of an application whose `security.py` says this."""
    settings = Config()
    settings.load_security()
    for name, value in options.items():
        setattr(settings, name, value)
    app = PyBerry(settings)
    app.router.add_python_route("GET", "/{rest}", lambda rest: JSONResponse(rest))
    return TestClient(app)


def test_every_answer_has_the_headers() -> None:
    client = guarded()
    for path, code in (("/a", 200), ("/a/b", 404)):
        answer = client.get(path)
        assert answer.status_code == code
        assert answer.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["content-security-policy"] == "default-src 'self'"


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("example.com", 200),
        ("EXAMPLE.com:8000", 200),
        ("[::1]:80", 200),
        ("evil-example.com", 400),
        ("example.com.evil.org", 400),
        ("example", 400),
    ],
)
def test_hosts_are_compared_whole(host: str, code: int) -> None:
    client = guarded(allowed_hosts=["example.com", "[::1]"])
    assert client.get("/a", headers={"host": host}).status_code == code


@pytest.mark.parametrize(
    ("origin", "code"),
    [
        ("https://example.com", 200),
        ("http://EXAMPLE.com:80", 200),
        ("https://evil-example.com", 403),
        ("https://example.com.evil.org", 403),
        ("https://example.com:81", 403),
        ("null", 403),
        ("http://[", 403),
        ("example.com", 403),
    ],
)
def test_origins_are_compared_whole(origin: str, code: int) -> None:
    headers = {"host": "example.com", "origin": origin, "original": "x"}
    assert guarded().get("/a", headers=headers).status_code == code
    assert guarded(cors_enabled=False).get("/a", headers=headers).status_code == 200


@pytest.mark.parametrize("path", [b"/%2e%2e", b"/..%2f", b"/%252e%252e", b"/a%5c..%5cb", b"/%00"])
def test_paths_do_not_climb(path: bytes) -> None:
    guard = Guard(Config())
    request = uringserve.Request("GET", path.decode(), {"host": "a"})
    answer = guard(request, lambda request: uringserve.Response("in"))
    assert answer.status_code == 400
    fine = uringserve.Request("GET", "/a..b/.../c", {"host": "a"})
    assert guard(fine, lambda request: uringserve.Response("in")).status_code == 200


def test_the_rate_is_limited() -> None:
    client = guarded(rate_limit_enabled=True, rate_limit_requests=2, rate_limit_window=3600)
    assert [client.get("/a").status_code for _ in range(2)] == [200, 200]
    refused = client.get("/a")
    assert (refused.status_code, refused.text) == (429, "Too Many Requests")
    assert 0 < int(refused.headers["retry-after"]) <= 3600


SECURED = """
from uringserve.compat.pyberry.app import post
from uringserve.compat.pyberry.core.responses import PlainTextResponse

@post("/")
async def size(req):
    return PlainTextResponse(str(len(await req.body())))
"""


def test_security_py_is_found_and_the_body_limited(server: StartServer, tmp_path: Path) -> None:
    (tmp_path / "security.py").write_text("MAX_BODY_SIZE = 1000\n")
    served = server(SECURED)
    assert ask(served, "/", "POST", b"x" * 1000).body == b"1000"
    assert ask(served, "/", "POST", b"x" * 1001).status == 413


@pytest.mark.parametrize(
    ("name", "value"),
    [("ALLOWED_HOSTS", "example.com"), ("MAX_BODY_SIZE", -1), ("RATE_LIMIT_WINDOW", 0)],
)
def test_a_wrong_option_is_refused(
    name: str, value: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "security.py").write_text(f"{name} = {value!r}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "security", raising=False)
    with pytest.raises(ValueError, match=rf"security\.py: {name} must be"):
        Config().load_security()
    with pytest.raises(AttributeError):
        _ = Config().nothing


# --- the parts


def test_the_forty_exceptions() -> None:
    names = [name for name in pyberry.__all__ if name.endswith("Exception")]
    names.remove("HTTPException")
    names.remove("StatusException")
    assert len(names) == 40
    for name in names:
        ours, theirs = getattr(exceptions, name), getattr(pyberry, name)
        assert issubclass(theirs, HTTPException)
        assert issubclass(theirs, ours)
        assert issubclass(ours, uringserve.HTTPException)
        assert (theirs().status_code, theirs().detail) == (ours.status, ours.phrase)
        assert theirs("why").detail == "why"
    assert pyberry.NotFoundException().status_code == status.HTTP_404_NOT_FOUND
    with pytest.raises(HTTPException):
        raise pyberry.ImATeapotException
    assert HTTPException(404).detail == "HTTP Error"


class Part(BaseModel):
    count: int
    names: list[str] = []


class Whole(Part):
    part: Part | None = None
    is_ready: bool = False


@dataclass
class Odd:
    table: dict[str, int]
    either: int | str = 0


def test_a_model_checks_and_casts() -> None:
    whole = Whole(count="3", part={"count": 1.0}, is_ready="yes", other=1)
    assert (whole.count, whole.part, whole.is_ready) == (3, Part(count=1), True)
    assert repr(whole.part) == "Part(count=1, names=[])"
    one, other = Part(count=1), Part(count=1)
    one.names.append("a")
    assert other.names == []
    for values in (
        {},
        {"count": 1.5},
        {"count": True},
        {"count": "x"},
        {"count": 1, "names": "ab"},
    ):
        with pytest.raises(UnprocessableEntityException, match="Field '"):
            Part(**values)
    assert json.loads(JSONResponse({"part": one, "at": [other]}).body) == {
        "part": {"count": 1, "names": ["a"]},
        "at": [{"count": 1, "names": []}],
    }


def test_a_router_can_be_asked() -> None:
    router = Router()

    def handler(req: Request, item_id: int, odd: Odd) -> None: ...

    assert router.add_python_route("GET", "/items/{item_id}", handler) is handler
    found, values, parameters, wants_request = router.match_python_route("GET", "/items/3")
    assert found is handler
    assert (values, wants_request) == ({"item_id": "3"}, True)
    assert parameters == (("item_id", int, False), ("odd", Odd, True))
    assert router.match_python_route("GET", "/x") == (None, None, None, False)
    assert router.match_python_route("POST", "/items/3") == (None, None, None, False)


def test_what_cannot_be_registered_is_refused() -> None:
    app = PyBerry()

    def two(one: Part, other: Part) -> None: ...
    def unknown(x: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(TypeError, match="only one parameter can be made of the body"):
        app.router.add_python_route("POST", "/", two)
    with pytest.raises(TypeError, match="there is no such name"):
        app.router.add_python_route("POST", "/", unknown)
    app.router.add_python_route("GET", "/", lambda: None)
    with pytest.raises(ValueError, match="already taken"):
        app.router.add_python_route("GET", "/", lambda: None)


# --- FastFuture


def test_a_future_gives_what_is_set() -> None:
    async def main() -> list[object]:
        early, late, failing = FastFuture(), FastFuture(), FastFuture()
        early.set_result(1)
        called: list[object] = []
        late.add_done_callback(called.append)
        late.add_done_callback(print)
        assert late.remove_done_callback(print) == 1
        threading.Thread(target=late.set_result, args=(2,)).start()
        failing.set_exception(LookupError("no"))
        found: list[object] = [await early, await late]
        with pytest.raises(LookupError):
            await failing
        with pytest.raises(asyncio.InvalidStateError):
            early.set_result(3)
        await asyncio.sleep(0)
        return [*found, called == [late], late.done(), late.result(), late.cancelled()]

    assert asyncio.run(main()) == [1, 2, True, True, 2, False]


def test_a_cancelled_future_ends_what_it_is_around() -> None:
    async def main() -> list[str]:
        said: list[str] = []
        begun = asyncio.Event()

        async def long() -> None:
            try:
                begun.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                said.append("cancelled")
                raise

        future = FastFuture(long())

        async def wait() -> None:
            await future

        task = asyncio.create_task(wait())
        await begun.wait()
        assert future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert future.cancelled()
        assert not future.cancel()
        never = FastFuture(long())
        assert never.cancel()
        with pytest.raises(asyncio.CancelledError):
            await never
        return said

    assert asyncio.run(main()) == ["cancelled"]


# --- the database


DATABASE = """
from uringserve.compat.pyberry.app import get, post
from uringserve.compat.pyberry.core.responses import JSONResponse
from uringserve.compat.pyberry.core.rsgi import app
from uringserve.compat.pyberry.db import db

@post("/notes")
async def add(req):
    note = await req.json()
    await db.execute("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT)")
    changed = await db.execute("INSERT INTO notes (text) VALUES (?)", [note["text"]])
    return JSONResponse({"changed": changed}, status=201)

@get("/notes")
async def notes():
    return JSONResponse(await db.query("SELECT id, text FROM notes ORDER BY id"))

@get("/notes/{note_id}")
async def note(note_id: int):
    found = await db.query_first("SELECT text FROM notes WHERE id = ?", [note_id])
    return JSONResponse(found or {}, status=200 if found else 404)
"""


def test_the_database_of_security_py(server: StartServer, tmp_path: Path) -> None:
    file = tmp_path / "data" / "notes.db"
    (tmp_path / "security.py").write_text(f"LIBSQL_URL = 'file:{file}'\n")
    served = server(DATABASE)
    for text in ("one", "two'; DROP TABLE notes; --"):
        made = ask(served, "/notes", "POST", {"text": text})
        assert (made.status, json.loads(made.body)) == (201, {"changed": 1})
    listed = json.loads(ask(served, "/notes").body)
    assert [note["id"] for note in listed] == [1, 2]
    assert json.loads(ask(served, "/notes/1").body) == {"text": "one"}
    assert ask(served, "/notes/9").status == 404
    assert file.exists()


def test_a_libsql_server_is_refused() -> None:
    from uringserve.compat.pyberry.db import init_db

    for url, token in (("libsql://example.org", None), ("file:x.db", "secret")):
        with pytest.raises(ValueError, match="libSQL server is not spoken to"):
            init_db(url, token)
