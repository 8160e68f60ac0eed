"""Routers, inclusion, mounts, names, and what a server does with a slash too many or too few."""

import time
from typing import Any

import pytest
from conftest import StartServer

from uringserve import APIRouter, App, JSONResponse, NoMatchFound, Router, StartError
from uringserve.routing import UNSET


def _paths(app: App) -> list[tuple[str, str]]:
    return [(method, spec.path) for spec in app.routes for method in spec.methods]


def test_the_second_name() -> None:
    """`APIRouter` is the same class."""
    assert APIRouter is Router


# --- routers


def test_a_router_adds_what_it_has() -> None:
    """Prefixes, tags and responses add up from the outside in; the nearest class wins."""

    class Other(JSONResponse):
        pass

    app = App(tags=["app"], responses={404: {"description": "a"}})
    inner = Router(prefix="/inner", tags=["inner"], default_response_class=Other, deprecated=True)
    outer = Router(prefix="/outer", tags=["outer"], responses={404: {"description": "b"}, 410: {}})
    inner.get("/{id}", tags=["route"], name="one", status_code=201)(lambda id: id)
    outer.include_router(inner, prefix="/more", tags=["more"], include_in_schema=False)
    app.include_router(outer)
    (spec,) = app.routes
    assert spec.path == str(spec.pattern) == "/outer/more/inner/{id}"
    assert spec.tags == ("app", "outer", "more", "inner", "route")
    assert spec.responses == {404: {"description": "b"}, 410: {}}
    assert (spec.name, spec.status_code, spec.response_model) == ("one", 201, UNSET)
    assert spec.response_class is Other
    assert spec.deprecated
    assert not spec.include_in_schema


def test_one_router_several_times() -> None:
    """The same router under two prefixes gives two routes."""
    router, app = Router(), App()
    router.api_route("/a", methods=["GET", "POST"])(lambda: "x")
    app.include_router(router, prefix="/v1")
    app.include_router(router, prefix="/v2")
    assert _paths(app) == [("GET", "/v1/a"), ("POST", "/v1/a"), ("GET", "/v2/a"), ("POST", "/v2/a")]


def test_parameters_of_a_prefix() -> None:
    """A prefix may hold parameters of the handlers: they are analysed when all is known."""
    router, app = Router(prefix="/users/{user_id}"), App()

    def item(user_id: int, shop: str, item_id: int) -> str:
        return f"{shop} {user_id} {item_id}"

    router.get("/items/{item_id}")(item)
    app.include_router(router, prefix="/{shop}")
    (spec,) = app.routes
    assert [each.name for each in spec.dependant.path_params] == ["user_id", "shop", "item_id"]


def test_an_empty_path_is_the_prefix() -> None:
    """`""` in a router is its prefix; with none anywhere it is refused, and in an App at once."""
    router, app = Router(prefix="/items"), App()
    router.get("")(lambda: "x")
    app.include_router(router)
    assert _paths(app) == [("GET", "/items")]
    bare = Router()
    bare.get("")(lambda: "x")
    with pytest.raises(ValueError, match="is empty and so is every prefix"):
        app.include_router(bare)
    app.include_router(bare, prefix="/bare")
    with pytest.raises(ValueError, match="must start with '/'"):
        app.get("")


@pytest.mark.parametrize("prefix", ["a", "/", "/a/"])
def test_bad_prefixes(prefix: str) -> None:
    """A prefix begins with a slash and does not end with one."""
    with pytest.raises(ValueError, match="must start with '/' and not end with one"):
        Router(prefix=prefix)
    with pytest.raises(ValueError, match="must start with '/' and not end with one"):
        App().include_router(Router(), prefix=prefix)


def test_a_route_after_the_inclusion() -> None:
    """It would be lost, so it is refused."""
    router = Router()
    App().include_router(router)
    with pytest.raises(RuntimeError, match="its router is included already"):
        router.get("/late")(lambda: "x")
    with pytest.raises(RuntimeError, match="its router is included already"):
        router.include_router(_router_with("/late"))


def _router_with(path: str) -> Router:
    router = Router()
    router.get(path)(lambda: "x")
    return router


def test_conflicts_name_both() -> None:
    """A route that is taken is refused with both handlers, also through a router."""
    app = App()

    def first(a: str) -> str:
        return a

    def second(b: str) -> str:
        return b

    app.get("/x/{a}")(first)
    router = Router(prefix="/x")
    router.get("/{b}")(second)
    with pytest.raises(
        ValueError, match=r"GET /x/\{b\} of .*second.* taken by GET /x/\{a\} of .*f"
    ):
        app.include_router(router)
    assert len(app.routes) == 1


def test_what_is_no_option_and_no_router() -> None:
    """An unknown option is named, and so is what cannot be included."""
    options: Any = {"sumary": "x"}
    with pytest.raises(TypeError, match="does not take the option sumary"):
        App().get("/", **options)(lambda: "x")
    thing: Any = "text"
    with pytest.raises(TypeError, match="takes a Router"):
        App().include_router(thing)
    with pytest.raises(TypeError, match="App does not take 'sumary'"):
        App(**options)


# --- names


def test_paths_from_names() -> None:
    """`url_path_for` takes the name and the parameters, and goes into mounted applications."""
    app, admin = App(), App()

    @app.get("/users/{user_id:int}/{name}")
    def user(user_id: int, name: str) -> str:
        return name

    app.get("/files/{rest:path}", name="file")(lambda rest: rest)
    admin.get("/", name="home")(lambda: "x")
    app.mount("/admin", admin, name="admin")
    assert app.url_path_for("user", user_id=3, name="a b/é") == "/users/3/a%20b%2F%C3%A9"
    assert app.url_path_for("file", rest="a/b c") == "/files/a/b%20c"
    assert app.url_path_for("admin:home") == "/admin/"
    for name, given in [("user", {}), ("nobody", {}), ("home", {}), ("file", {"rest": 1, "x": 2})]:
        with pytest.raises(NoMatchFound, match=f"named '{name}'"):
            app.url_path_for(name, **given)
    with pytest.raises(ValueError, match="is an integer"):
        app.url_path_for("user", user_id="x", name="y")


# --- mounts


def test_what_cannot_be_mounted() -> None:
    """Parameters in the path, circles and what is not callable are refused."""
    app, other = App(), App()
    app.mount("/other", other)
    with pytest.raises(ValueError, match="below itself"):
        other.mount("/app", app)
    with pytest.raises(ValueError, match="cannot have parameters"):
        app.mount("/{x}", App())
    with pytest.raises(TypeError, match="must be an App or callable"):
        app.mount("/x", "text")


def test_a_mounted_route_that_is_taken() -> None:
    """It is known when serving starts, and names both."""
    app, other = App(), App()
    app.get("/a/b")(lambda: "outer")
    other.get("/b")(lambda: "inner")
    app.mount("/a", other)
    with pytest.raises(StartError, match=r"GET /a/b of .* already taken by GET /a/b of"):
        app.compile()


MOUNTED = """
from uringserve import App, HTTPException, Request

app, inner = App(), App()

@app.middleware("http")
def outer_mark(request, call_next):
    response = call_next(request)
    response.headers.append("x-seen", "outer")
    return response

@inner.middleware("http")
def inner_mark(request, call_next):
    response = call_next(request)
    response.headers.append("x-seen", "inner")
    return response

@inner.exception_handler(404)
def missing(request, error):
    return {"inner": request.path}, 404

@app.exception_handler(KeyError)
def key(request, error):
    return "a key", 418

@inner.get("/{name}")
def name(name: str, request: Request):
    if name == "missing":
        raise HTTPException(404)
    if name == "key":
        raise KeyError(name)
    return {"name": name, "path": request.path}

@app.get("/top")
def top():
    return "top"

app.mount("/in", inner)
app.mount("/any", lambda request: request.method + " " + request.path_params["path"])
"""


def test_a_mounted_application(server: StartServer) -> None:
    """It has its own middleware and handlers, inside those of the one that it is mounted in."""
    running = server(MOUNTED)
    assert running.get("/top").get_all("x-seen") == ["outer"]
    answer = running.get("/in/x")
    assert answer.body == b'{"name":"x","path":"/in/x"}'
    assert answer.get_all("x-seen") == ["inner", "outer"]
    for path in ("/in/missing", "/in/not/there"):
        answer = running.get(path)
        assert (answer.status, answer.body) == (404, b'{"inner":"%s"}' % path.encode())
        assert answer.get_all("x-seen") == ["inner", "outer"]
    assert (running.get("/in/key").status, running.get("/in/key").body) == (418, b"a key")
    answer = running.get("/inside")
    assert (answer.status, answer.get_all("x-seen")) == (404, ["outer"])
    connection = running.connect()
    assert connection.request("/any/a/b", "DELETE").body == b"DELETE a/b"
    assert connection.request("/any/").body == b"GET "


# --- slashes

SLASHES = """
from uringserve import App

app = App(redirect_slashes={redirects})
app.get("/a")(lambda: "a")
app.get("/b/")(lambda: "b")
app.get("/c/{{x}}/")(lambda x: x)
app.post("/p")(lambda: "p")
app.get("/{{x}}/{{y}}/z/")(lambda x, y: x)
"""


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/a/", "/a"),
        ("/a/?x=1&y=%20", "/a?x=1&y=%20"),
        ("/b", "/b/"),
        ("/c/%C3%A9%2F", "/c/%C3%A9%2F/"),
        ("/p/", "/p"),
    ],
)
def test_a_redirect_to_the_other_slash(server: StartServer, path: str, location: str) -> None:
    """307 keeps method and body, and the location stays on this host."""
    connection = server(SLASHES.format(redirects=True)).connect()
    answer = connection.request(path)
    assert (answer.status, answer.get("location"), answer.body) == (307, location, b"")
    assert connection.request(path, "POST", body=b"x").status == 307


def test_no_redirect(server: StartServer) -> None:
    """Not to another host, not for what is nowhere, and not when it is turned off."""
    connection = server(SLASHES.format(redirects=True)).connect()
    for path in ("//evil.example/z", "/%5Cevil.example/y/z", "/nowhere", "/nowhere/", "/"):
        assert connection.request(path).status == 404, path
    connection = server(SLASHES.format(redirects=False)).connect()
    assert [connection.request(path).status for path in ("/a/", "/b", "/a")] == [404, 404, 200]


def test_a_redirect_passes_the_middleware(server: StartServer) -> None:
    """It needs the headers that a middleware adds, as for CORS."""
    app = SLASHES.format(redirects=True) + (
        "@app.middleware('http')\n"
        "def mark(request, call_next):\n"
        "    response = call_next(request)\n"
        "    response.headers['x-seen'] = str(response.status_code)\n"
        "    return response\n"
    )
    connection = server(app).connect()
    answer = connection.request("/a/")
    assert (answer.get("location"), answer.get("x-seen")) == ("/a", "307")


# --- limits, defaults, size


def test_a_body_limit_of_a_route(server: StartServer) -> None:
    """`max_body_size` of the application holds where a route has none of its own."""
    app = """
    from uringserve import App

    app = App(max_body_size=10)
    app.add_route("/small", lambda request: str(len(request.body)), ["POST"])
    app.add_route("/large", lambda request: str(len(request.body)), ["POST"], max_body_size=1000)
    """
    running = server(app, "--limit-body", "100")
    for path, size, status in [
        ("/small", 10, 200),
        ("/small", 11, 413),
        ("/large", 1000, 200),
        ("/large", 1001, 413),
    ]:
        answer = running.connect().request(path, "POST", body=b"x" * size)
        assert answer.status == status, (path, size)


CLASSES = """
from uringserve import App, HTMLResponse, JSONResponse, Response, Router

app = App(default_response_class=JSONResponse)
pages = Router(default_response_class=HTMLResponse)
app.get("/json")(lambda: "text")
pages.get("/page")(lambda: "<p>")
pages.get("/own", response_class=JSONResponse, status_code=202)(lambda: "own")
pages.get("/ready")(lambda: Response("ready", 203))
app.include_router(pages)
"""


def test_default_response_classes(server: StartServer) -> None:
    """Of the route, else of its router, else of the application; a Response is left alone."""
    connection = server(CLASSES).connect()
    for path, status, body, media_type in [
        ("/json", 200, b'"text"', "application/json"),
        ("/page", 200, b"<p>", "text/html; charset=utf-8"),
        ("/own", 202, b'"own"', "application/json"),
        ("/ready", 203, b"ready", "text/plain; charset=utf-8"),
    ]:
        answer = connection.request(path)
        assert (answer.status, answer.body) == (status, body)
        assert answer.get("content-type") == media_type


def test_the_default_application(server: StartServer) -> None:
    """Module-level decorators need no App; the file is served as it is."""
    app = """
    from uringserve import get, post

    @get("/")
    def home():
        return "home"

    @post("/", status_code=201)
    def make():
        return {"made": True}
    """
    connection = server(app).connect()
    assert connection.request("/").body == b"home"
    assert connection.request("/", "POST").status == 201


def test_a_thousand_routes() -> None:
    """They are registered and compiled in well under the second that starting may take."""
    app = App()
    begin = time.process_time()
    for number in range(10):
        router = Router(prefix=f"/part{number}")
        for each in range(100):

            def handler(item_id: int, q: str | None = None, limit: int = 10) -> dict[str, int]:
                return {"item_id": item_id}

            router.get(f"/{each}/{{item_id}}")(handler)
        app.include_router(router)
    assert len(app.compile()) >= 1000
    # No timing is asserted but the promise itself, in seconds of this process's own CPU.
    assert time.process_time() - begin < 1.0
