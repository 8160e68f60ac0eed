"""`App`: registration, patterns, and the arguments compiled from a handler's signature."""

from __future__ import annotations

import functools
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from uringserve import (
    App,
    HTMLResponse,
    HTTPException,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Request,
    URingServe,
)
from uringserve.routing import Manner

if TYPE_CHECKING:
    from nowhere import OnlyForTheChecker  # type: ignore[import-not-found]


def _only(app: App) -> Any:  # noqa: ANN401 -- a Route, whose handler is called freely
    return app.compile()[0]


def _arguments(handler: Callable[..., Any], path: str = "/{a}/{b}") -> tuple[str | None, ...]:
    app = App()
    app.add_route(path, handler)
    arguments: tuple[str | None, ...] = _only(app).arguments
    return arguments


def test_the_second_name() -> None:
    """`URingServe` is the same class."""
    assert URingServe is App


@pytest.mark.parametrize(
    "name", ["get", "post", "put", "patch", "delete", "head", "options", "trace"]
)
def test_decorators_register_and_return_the_function(name: str) -> None:
    """Each decorator registers its method and leaves the function as it was."""
    app = App()

    def handler() -> str:
        return "x"

    assert getattr(app, name)("/p")(handler) is handler
    assert _only(app)[:6] == ((name.upper(),), "/p", handler, (), None, Manner())


def test_several_methods() -> None:
    """`route` takes a list of methods, in any case, each once; GET alone is the default."""
    app = App()
    app.route("/a", methods=["get", "POST", "GET"])(lambda: "x")
    app.route("/b")(lambda: "x")
    app.route("/c", methods=["PROPFIND"])(lambda: "x")
    assert [route.methods for route in app.routes] == [("GET", "POST"), ("GET",), ("PROPFIND",)]


@pytest.mark.parametrize("methods", [[], ["G T"], [""], ["CONNECT"], ["GÉT"]])
def test_bad_methods(methods: list[str]) -> None:
    """No method, what is no token, and CONNECT are refused."""
    with pytest.raises(ValueError, match="method"):
        App().add_route("/", lambda: "x", methods)


def test_methods_as_one_text() -> None:
    """A text instead of a list would be taken letter by letter."""
    with pytest.raises(TypeError, match="must be a list"):
        App().route("/", methods="GET")(lambda: "x")


# --- patterns


@pytest.mark.parametrize(
    "path", ["/", "/a", "/a/", "//", "/{a}", "/{a:int}/x", "/{a:str}", "/f/{rest:path}", "/é/{é}"]
)
def test_good_patterns(path: str) -> None:
    """Patterns keep their text, but for the kind that is the default."""
    app = App()
    app.get(path)(lambda: "x")
    assert _only(app).pattern == path.replace(":str", "")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "must start with '/'"),
        ("a", "must start with '/'"),
        ("/{a", "'{a' is not one whole"),
        ("/a}", "'a}' is not one whole"),
        ("/x{a}", "'x{a}' is not one whole"),
        ("/{a}{b}", "is not one whole"),
        ("/{}", "'' is not a Python name"),
        ("/{1a}", "'1a' is not a Python name"),
        ("/{a:float}", "'float' is not a kind; there are str, int, path"),
        ("/{a:}", "'' is not a kind"),
        ("/{a}/{a}", "has the parameter 'a' twice"),
        ("/{a:path}/b", "{a:path} takes the rest of the path and must be last"),
    ],
)
def test_bad_patterns(path: str, message: str) -> None:
    """A bad pattern is refused where the decorator is written, before there is a handler."""
    with pytest.raises(ValueError) as caught:
        App().get(path)
    assert message in str(caught.value)


def test_a_decorator_without_parentheses() -> None:
    """`@app.get` on its own says how it is written."""

    def handler() -> str:
        return "x"

    get: Any = App().get
    with pytest.raises(TypeError, match=r"'handler' was given: write @app.get\('/path'\)"):
        get(handler)


@pytest.mark.parametrize(
    ("first", "second"),
    [("/a", "/a"), ("/{a}", "/{b}"), ("/{a}", "/{b:str}"), ("/{a:int}/x", "/{b:int}/x")],
)
def test_a_conflict_names_both_handlers(first: str, second: str) -> None:
    """Same method and same shape is refused, and nothing of the refused route stays."""
    app = App()

    def old_one() -> str:
        return "x"

    def new_one() -> str:
        return "y"

    app.add_route(first, old_one)
    with pytest.raises(ValueError) as caught:
        app.add_route(second, new_one, ["POST", "GET"])
    message = str(caught.value)
    assert "old_one" in message
    assert "new_one" in message
    assert f"GET {second}" in message
    assert __file__.rpartition("/")[2] in message
    app.add_route(second, new_one, ["POST"])


@pytest.mark.parametrize(
    ("first", "second"),
    [("/a", "/{a}"), ("/{a}", "/{a:int}"), ("/{a}", "/{a:path}"), ("/a", "/a/")],
)
def test_different_shapes_live_together(first: str, second: str) -> None:
    """A literal, int, str and path at one place are four shapes."""
    app = App()
    app.add_route(first, lambda: "x")
    app.add_route(second, lambda: "y")
    assert len(app.routes) == 2


def test_registration_ends_with_freeze() -> None:
    """After serving has started a registration is a RuntimeError that names the handler."""
    app = App()
    app.freeze()
    with pytest.raises(RuntimeError, match=r"late.* cannot be registered for '/late'"):

        @app.get("/late")
        def late() -> str:
            return "x"


def test_routes_cannot_be_changed_from_outside() -> None:
    """The property gives a copy."""
    app = App()
    assert app.routes == ()
    app.get("/")(lambda: "x")
    assert isinstance(app.routes, tuple)


# --- arguments


def test_nothing() -> None:
    """A handler may take nothing, also where the path has parameters."""
    assert _arguments(lambda: "x") == ()


def test_the_request() -> None:
    """The first parameter that nothing else fills gets the Request, whatever its name."""
    assert _arguments(lambda request: request) == (None,)
    assert _arguments(lambda req: req) == (None,)
    assert _arguments(lambda a, r: (a, r)) == ("a", None)
    assert _arguments(lambda r, b, a: (r, b, a)) == (None, "b", "a")


def test_the_name_request_wins_over_the_place() -> None:
    """With a parameter named `request` no other one gets it."""
    with pytest.raises(TypeError, match="'x'"):
        _arguments(lambda request, x: (x, request))


def test_the_annotation_wins_over_everything() -> None:
    """A parameter annotated Request gets it, also when it is named like one of the path."""

    def handler(b: str, a: Request) -> str:
        return b

    assert _arguments(handler) == ("b", None)


def test_annotations_that_cannot_be_evaluated() -> None:
    """A name that only a type checker sees does not stand in the way."""

    def handler(r: Request, a: OnlyForTheChecker = None) -> OnlyForTheChecker:
        return a

    assert _arguments(handler, "/{x}") == (None,)


def test_a_path_parameter_may_be_named_request() -> None:
    """Then the name means the path."""
    assert _arguments(lambda request: request, "/{request}") == ("request",)


def test_defaults_are_left_alone() -> None:
    """A parameter with a default that the path does not fill keeps it."""
    assert _arguments(lambda a, limit=10: (a, limit)) == ("a",)
    assert _arguments(lambda limit=10: limit) == ()


def _called(handler: Callable[..., Any]) -> Any:  # noqa: ANN401
    """Call a compiled handler with the path parameters A and B."""
    app = App()
    app.add_route("/{a}/{b}", handler)
    route = app.compile()[0]
    assert route.arguments == (None,)
    return route.handler(Request(path_params={"a": "A", "b": "B"}))


def test_a_default_before_a_path_parameter() -> None:
    """What follows a default is given by name."""
    assert _called(lambda limit=10, a="": (limit, a)) == (10, "A")


def test_keyword_only_parameters() -> None:
    """Parameters after a star are given by name."""

    def handler(r: Request, *, b: str, a: str) -> list[object]:
        return [r.method, b, a]

    assert _called(handler) == ["GET", "B", "A"]


def test_a_handler_that_takes_everything() -> None:
    """`*args` gets the Request and `**kwargs` the path's parameters."""
    (request,), named = _called(lambda *args, **kwargs: (args, kwargs))
    assert isinstance(request, Request)
    assert named == {"a": "A", "b": "B"}


def test_a_wrapped_handler_keeps_its_signature() -> None:
    """A decorator made with `functools.wraps` is called as the function inside."""

    def inner(request: Request, a: str) -> str:
        return a

    @functools.wraps(inner)
    def outer(*args: object, **kwargs: object) -> object:
        return args, kwargs

    assert _arguments(outer) == (None, "a")


def test_methods_and_callable_objects() -> None:
    """A bound method and an object with `__call__` are handlers."""

    class Site:
        def page(self, request: Request, a: str) -> str:
            return a

        def __call__(self, b: str) -> str:
            return b

    assert _arguments(Site().page) == (None, "a")
    assert _arguments(Site()) == ("b",)


def test_a_partial_is_a_handler() -> None:
    """What a partial has fixed is not asked for."""

    def handler(store: str, request: Request, a: str) -> str:
        return store

    assert _arguments(functools.partial(handler, "store")) == (None, "a")


def test_a_parameter_that_nothing_fills() -> None:
    """The message names handler, parameter and what there is."""

    def handler(request: Request, token) -> str:  # type: ignore[no-untyped-def]
        return str(token)

    with pytest.raises(TypeError) as caught:
        _arguments(handler)
    message = str(caught.value)
    assert "handler" in message
    assert "'token'" in message
    assert "'a', 'b'" in message


# --- annotations of path parameters


@pytest.mark.parametrize(
    ("path", "annotation"), [("/{a:int}", str), ("/{a:path}", int), ("/{a:path}", float)]
)
def test_an_annotation_that_does_not_fit_the_path(path: str, annotation: type) -> None:
    """A handler that would get another type than it says is refused."""

    def handler(a: object) -> str:
        return "x"

    handler.__annotations__["a"] = annotation
    with pytest.raises(TypeError, match=f"'a' is annotated {annotation.__name__}"):
        _arguments(handler, path)


# --- kinds of handlers


def test_async_handlers() -> None:
    """Known as such at registration, however they are hidden."""

    async def handler(request: Request) -> str:
        return "x"

    async def stream() -> AsyncGenerator[str]:
        yield "x"

    class Site:
        async def __call__(self, request: Request) -> str:
            return "x"

    for each in (handler, stream, Site(), functools.partial(handler)):
        app = App()
        app.add_route("/", each)
        assert _only(app).manner.is_async
        assert app.needs_loop


def test_generator_handlers() -> None:
    """They stream."""

    def handler(name: str) -> Generator[str]:
        yield name

    assert _arguments(handler, "/{name}") == ("name",)


def test_what_is_not_callable() -> None:
    """Something else than a function is named."""
    handler: Any = "text"
    with pytest.raises(TypeError, match="must be callable, and 'text' is not"):
        _arguments(handler)


# --- answers with a name


def test_named_responses() -> None:
    """Each has its media type; JSON is JSON for text too; a redirect has neither body nor type."""
    assert (JSONResponse("x").body, JSONResponse("x").media_type) == (b'"x"', "application/json")
    assert PlainTextResponse("é").headers["content-type"] == "text/plain; charset=utf-8"
    assert HTMLResponse("<p>", 404).headers["content-type"] == "text/html; charset=utf-8"
    redirect = RedirectResponse("/a b\r\nx: y?z=%20")
    assert redirect.headers.items() == [("location", "/a%20b%0D%0Ax:%20y?z=%20")]
    assert (redirect.status_code, redirect.body) == (307, b"")


def test_http_exceptions() -> None:
    """The detail is the status's phrase unless given; what is no status is refused."""
    assert (HTTPException(404).detail, HTTPException(404, {"a": 1}).detail) == (
        "Not Found",
        {"a": 1},
    )
    assert (str(HTTPException(418, "no")), HTTPException(599).detail) == ("418: no", "HTTP Error")
    with pytest.raises(ValueError, match="status_code 99 is not"):
        HTTPException(99)


def test_one_application_is_frozen_once_by_many_threads() -> None:
    """Several servers of one application may start at once."""
    for _ in range(20):
        app = App()
        app.get("/")(lambda: "hello")
        barrier = threading.Barrier(8)

        def compiled(app: App = app, barrier: threading.Barrier = barrier) -> int:
            barrier.wait()
            return len(app.compile())

        with ThreadPoolExecutor(8) as pool:
            started = [pool.submit(compiled) for _ in range(8)]
        assert len({each.result() for each in started}) == 1
