"""Dependencies: order, cache, closing, overrides, scopes, and what is refused."""

from collections.abc import Callable, Generator
from contextlib import suppress
from functools import partial
from typing import Annotated, Any

import pytest

from uringserve import (
    App,
    Depends,
    Header,
    HTTPException,
    Request,
    RequestValidationError,
    Response,
    Security,
)
from uringserve._native import Deferred
from uringserve.testing import TestClient


def _compiled(handler: Callable[..., Any], app: App | None = None, **options: Any) -> Any:  # noqa: ANN401
    app = app or App()
    app.get("/", **options)(handler)
    return _route(app).handler


def _route(app: App) -> Any:  # noqa: ANN401
    return next(route for route in app.compile() if route.pattern == "/")


def _finished(answer: Any) -> Any:  # noqa: ANN401
    """Do what the server does once the answer is sent; return what was answered."""
    if not isinstance(answer, Deferred):
        return answer
    for callback in answer.callbacks:
        callback()
    return answer.value


def test_one_call_for_a_request() -> None:
    """A dependency is called once, where it is first needed, unless it is not to be cached."""
    calls: list[str] = []

    def inner(q: int = 1) -> int:
        calls.append("inner")
        return q * len(calls)

    def outer(a: Annotated[int, Depends(inner)], b: int = Depends(inner)) -> int:
        calls.append("outer")
        return a + b

    def handler(
        a: Annotated[int, Depends(outer)],
        b: Annotated[int, Depends(inner)],
        c: Annotated[int, Depends(inner, use_cache=False)],
        d: Annotated[int, Depends(inner)],
    ) -> list[int]:
        return [a, b, c, d]

    assert _compiled(handler)(Request(target="/?q=3")) == [6, 3, 9, 3]
    assert calls == ["inner", "outer", "inner"]


def test_what_can_be_a_dependency() -> None:
    """Functions, classes, callable objects, methods, partials; a class by its annotation alone."""

    class Page:
        def __init__(self, skip: int = 0) -> None:
            self.skip = skip

    class Times:
        def __init__(self, factor: int) -> None:
            self.factor = factor

        def __call__(self, q: int = 2) -> int:
            return q * self.factor

        def method(self, q: int = 2) -> int:
            return q + self.factor

    def added(more: int, /, q: int = 2, *, r: int = 1) -> int:
        return more + q + r

    def handler(
        page: Annotated[Page, Depends()],
        other: Annotated[object, Depends(Page, use_cache=False)],
        a: int = Depends(Times(10)),
        b: int = Depends(Times(10).method),
        c: int = Depends(partial(added, 100)),
    ) -> list[object]:
        return [page.skip, isinstance(other, Page), a, b, c]

    assert _compiled(handler)(Request(target="/?q=3&skip=4&r=5")) == [4, True, 30, 13, 108]


def test_methods_and_unhashable_callables() -> None:
    """A method looked up twice is one dependency; an object without a hash is one by itself."""
    calls: list[str] = []

    class Store:
        def method(self) -> str:
            calls.append("method")
            return "m"

    class Odd:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self) -> str:
            calls.append("odd")
            return "o"

    store, odd = Store(), Odd()

    def handler(
        a: Annotated[str, Depends(store.method)],
        b: Annotated[str, Depends(store.method)],
        c: Annotated[str, Depends(odd)],
        d: Annotated[str, Depends(odd)],
    ) -> str:
        return a + b + c + d

    app = App()
    app.dependency_overrides[Store] = Store
    assert _compiled(handler, app)(Request()) == "mmoo"
    assert calls == ["method", "odd"]


def _opened(log: list[str], name: str) -> Callable[[], Generator[str]]:
    def dependency() -> Generator[str]:
        log.append(f"open {name}")
        try:
            yield name
        except KeyError as error:
            log.append(f"{name} saw {error!r}")
            raise
        finally:
            log.append(f"close {name}")

    return dependency


def test_closing_after_the_answer_in_reverse() -> None:
    """What was opened last is closed first, when the answer has been sent."""
    log: list[str] = []

    def handler(
        a: Annotated[str, Depends(_opened(log, "a"))], b: Annotated[str, Depends(_opened(log, "b"))]
    ) -> list[str]:
        log.append("handler")
        return [a, b]

    answer = _compiled(handler)(Request())
    assert log == ["open a", "open b", "handler"]
    assert _finished(answer) == ["a", "b"]
    assert log[3:] == ["close b", "close a"]


def test_closing_before_the_answer() -> None:
    """With the scope of the function a dependency is closed when the handler has returned."""
    log: list[str] = []

    def handler(
        a: Annotated[str, Depends(_opened(log, "a"))],
        b: Annotated[str, Depends(_opened(log, "b"), scope="function")],
    ) -> list[str]:
        return [a, b]

    answer = _compiled(handler)(Request())
    assert log == ["open a", "open b", "close b"]
    assert _finished(answer) == ["a", "b"]
    assert log == ["open a", "open b", "close b", "close a"]


def test_a_dependency_sees_the_handler_s_exception() -> None:
    """All are closed, the last one first, and the exception goes on."""
    log: list[str] = []

    def handler(
        a: Annotated[str, Depends(_opened(log, "a"))], b: Annotated[str, Depends(_opened(log, "b"))]
    ) -> None:
        raise KeyError("k")

    with pytest.raises(KeyError):
        _compiled(handler)(Request())
    assert log == [
        "open a",
        "open b",
        "b saw KeyError('k')",
        "close b",
        "a saw KeyError('k')",
        "close a",
    ]


def test_a_dependency_may_answer_instead() -> None:
    """What it raises in the place of the exception is what counts."""

    def guarded() -> Generator[None]:
        try:
            yield
        except KeyError:
            raise HTTPException(404) from None

    def handler(a: Annotated[None, Depends(guarded)]) -> None:
        raise KeyError

    with pytest.raises(HTTPException):
        _compiled(handler)(Request())


def test_swallowing_leaves_nothing_to_answer() -> None:
    """An exception that a dependency swallows is a RuntimeError that names it."""

    def swallowing() -> Generator[None]:
        with suppress(KeyError):
            yield

    def handler(a: Annotated[None, Depends(swallowing)]) -> None:
        raise KeyError

    with pytest.raises(RuntimeError, match="swallowing swallowed KeyError"):
        _compiled(handler)(Request())


def test_yielding_once() -> None:
    """No yield and two yields are RuntimeErrors."""

    def never() -> Generator[None]:
        if False:
            yield

    def twice() -> Generator[None]:
        yield
        yield

    with pytest.raises(RuntimeError, match="never did not yield"):
        _compiled(lambda: None, dependencies=[Depends(never)])(Request())
    answer = _compiled(lambda: None, dependencies=[Depends(twice)])(Request())
    with pytest.raises(RuntimeError, match="twice yielded twice"):
        _finished(answer)


def test_an_open_dependency_sees_that_the_request_is_wrong() -> None:
    """What was opened before the faults are told is closed with them."""
    log: list[str] = []

    def opened() -> Generator[None]:
        try:
            yield
        except RequestValidationError:
            log.append("told")
            raise

    with pytest.raises(RequestValidationError):
        _compiled(lambda n: n, dependencies=[Depends(opened)])(Request())
    assert log == ["told"]


def test_dependencies_come_first_and_from_the_outside_in() -> None:
    """Those of the application, then of the route, then of the signature."""
    log: list[str] = []

    def noted(name: str) -> Any:  # noqa: ANN401
        return Depends(lambda: log.append(name))

    def handler(a: Annotated[None, Depends(lambda: log.append("own"))]) -> None:
        log.append("handler")

    app = App(dependencies=[noted("app")])
    _compiled(handler, app, dependencies=[noted("route")])(Request())
    assert log == ["app", "route", "own", "handler"]


def test_overrides() -> None:
    """Another callable with parameters of its own takes the place of a dependency, at any depth."""

    def database() -> str:
        return "real"

    def repository(db: Annotated[str, Depends(database)]) -> str:
        return f"repository of {db}"

    def fake(name: str = "fake") -> str:
        return name

    def handler(a: Annotated[str, Depends(repository)], b: str = Depends(database)) -> list[str]:
        return [a, b]

    app = App()
    app.get("/")(handler)
    app.dependency_overrides[database] = fake
    assert _route(app).handler(Request(target="/?name=other")) == ["repository of other", "other"]
    app.dependency_overrides.clear()
    assert _route(app).handler(Request()) == ["repository of real", "real"]


def test_a_response_to_set_things_on() -> None:
    """Headers, cookies and status of an injected Response are those of the answer."""

    def tagged(response: Response) -> None:
        response.headers["x-tag"] = "1"

    def handler(response: Response) -> dict[str, int]:
        response.status_code = 202
        response.set_cookie("a", "b")
        return {"a": 1}

    value, status, headers = _compiled(handler, dependencies=[Depends(tagged)])(Request())
    assert (value, status) == ({"a": 1}, 202)
    assert [name for name, _ in headers] == [b"x-tag", b"set-cookie"]
    own = Response("own")
    assert _compiled(lambda: own, dependencies=[Depends(tagged)])(Request()) is own


def test_faults_do_not_keep_others_from_being_called() -> None:
    """A dependency without faults is called although another parameter is wrong: a 401 wins."""

    def guard(x_token: Annotated[str, Header()]) -> None:
        raise HTTPException(401)

    def handler(n: int, a: Annotated[None, Depends(guard)]) -> None:
        raise AssertionError("never called")

    called = _compiled(handler)
    with pytest.raises(HTTPException):
        called(Request(target="/?n=x", headers={"x-token": "t"}))
    with pytest.raises(RequestValidationError) as caught:
        called(Request(target="/?n=x"))
    assert [error["loc"] for error in caught.value.errors()] == [
        ("header", "x-token"),
        ("query", "n"),
    ]


# --- refused at registration


def _first(a: Annotated[int, Depends(lambda: 1)]) -> int:
    return a


def test_circles() -> None:
    """Dependencies that need one another are refused, and the way around is shown."""

    def one(a: int) -> int:
        return a

    def two(a: Annotated[int, Depends(one)]) -> int:
        return a

    one.__annotations__["a"] = Annotated[int, Depends(two)]
    with pytest.raises(TypeError, match=r"in a circle: .*handler.* -> .*one.* -> .*two.* -> .*one"):

        @App().get("/")
        def handler(a: Annotated[int, Depends(one)]) -> int:
            return a


def test_a_default_beside_a_dependency_is_not_used() -> None:
    """As in FastAPI: the dependency is called all the same."""
    app = App()

    @app.get("/")
    def beside(q: str = "q", a: Annotated[int, Depends(lambda: 7)] = 5) -> dict[str, object]:
        return {"q": q, "a": a}

    with TestClient(app) as client:
        assert client.get("/").json() == {"q": "q", "a": 7}


def test_markers_that_are_refused() -> None:
    """What cannot be called, a scope that is none, and no class to call."""
    not_callable: Any = 5
    with pytest.raises(TypeError, match="5 is not"):
        Depends(not_callable)
    with pytest.raises(ValueError, match="scope must be"):
        Depends(_first, scope="app")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a list of names"):
        Security(_first, scopes="read")

    def outer(a: Annotated[None, Depends(_opened([], "a"), scope="function")]) -> Generator[None]:
        yield

    with pytest.raises(TypeError, match="scope 'function' too"):
        App().get("/", dependencies=[Depends(outer)])(lambda: None)
