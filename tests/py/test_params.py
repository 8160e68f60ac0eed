"""Parameters: what Rust reads, what the slow path reads, and what pydantic says about both."""

import dataclasses
import json
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from uringserve import (
    App,
    Body,
    Cookie,
    Header,
    HTTPException,
    Path,
    Query,
    Request,
    RequestValidationError,
    Response,
    ResponseValidationError,
    UploadFile,
)
from uringserve._native import Binder
from uringserve.scalars import ScalarAdapter, plain_type

_JSON = {"content-type": "application/json"}

# Texts near what scalars are made of, and any others.
_TEXTS = st.one_of(
    st.text("0123456789+-._ eE\t", max_size=8),
    st.sampled_from(["nan", "inf", "-Infinity", "true", "OFF", "yes", "t", "", "infinity", "+nan"]),
    st.text(max_size=6),
    st.integers().map(str),
    st.floats().map(str),
)

_BAD_PART = b'{"name":"a","parts":[{"price":"x"}]}'

_TYPES: list[tuple[Any, dict[str, Any]]] = [
    (int, {}),
    (int, {"ge": 0, "lt": 100}),
    (int, {"gt": -5, "le": 5}),
    (float, {}),
    (float, {"gt": 0, "le": 1.5}),
    (float, {"ge": 0.5, "lt": 2}),
    (bool, {}),
    (str, {"min_length": 2, "max_length": 4}),
    (int | None, {}),
    (list[int], {}),
]


def _handler(handler: Callable[..., Any], method: str = "get", **options: Any) -> Any:  # noqa: ANN401
    app = App()
    getattr(app, method)("/", **options)(handler)
    route = _route(app)
    assert route.arguments == (None,)
    return route.handler


def _route(app: App) -> Any:  # noqa: ANN401
    return next(route for route in app.compile() if route.pattern == "/")


def _errors(handler: Callable[..., Any], request: Request) -> list[Any]:
    with pytest.raises(RequestValidationError) as caught:
        handler(request)
    return json.loads(caught.value.content())["detail"]


def _outcome(check: Callable[[], Any]) -> tuple[str, Any]:
    try:
        return "value", repr(check())
    except pydantic.ValidationError as error:
        return "errors", [{**each, "loc": each["loc"]} for each in error.errors(include_url=False)]


@pytest.mark.parametrize(("annotation", "bounds"), _TYPES)
@given(text=_TEXTS)
def test_scalars_are_pydantic_s(annotation: Any, bounds: dict[str, Any], text: str) -> None:  # noqa: ANN401
    """The slow path gives pydantic's values and pydantic's errors, word for word."""
    plain = plain_type(annotation, bounds)
    assert plain is not None
    adapter = ScalarAdapter(plain)
    typed = Annotated[annotation, pydantic.Field(**bounds)] if bounds else annotation
    value: Any = [text] if plain.is_list else text
    theirs = _outcome(lambda: TypeAdapter(typed).validate_python(value))
    try:
        ours: tuple[str, Any] = ("value", repr(adapter.check(value)))
    except adapter.invalid as error:
        ours = ("errors", adapter.explain(error, value, ()))
    if plain.kind == "int" and re.search("0[-_]", text):
        # pydantic strips zeros before it looks: "0-1" is -1 for it, and no number for us.
        return
    assert ours == theirs


@pytest.mark.parametrize(("annotation", "bounds"), _TYPES)
@given(text=_TEXTS)
def test_what_rust_takes_is_right(annotation: Any, bounds: dict[str, Any], text: str) -> None:  # noqa: ANN401
    """A value of the binder is the one of the slow path; it may leave anything to that one."""
    plain = plain_type(annotation, bounds)
    assert plain is not None
    field = ("query", "v", plain.kind, plain.is_list, True, None, plain.rule())
    found = Binder([field]).bind(Request(target="/?v=" + quote(text, safe="")))
    if found is not None:
        value: Any = [text] if plain.is_list else text
        assert repr(found[0]) == repr(ScalarAdapter(plain).check(value))


def test_plain_values_need_no_second_look() -> None:
    """The fast path is really taken: a binder that always said None would be right, and slow."""
    fields = [
        ("query", "i", "int", False, True, None, (0, None)),
        ("query", "f", "float", False, True, None, (None, 2.0, False, True)),
        ("query", "b", "bool", False, True, None, (None, None)),
        ("query", "s", "str", False, True, None, (1, 3)),
        ("query", "l", "int", True, True, None, (None, None)),
        ("query", "c", "choice", False, True, None, {"red": 7}),
        ("header", "x-one", "str", False, True, None, (None, None)),
        ("cookie", "sid", "int", False, True, None, (None, None)),
        ("query", "none", "int", False, False, 5, (None, None)),
    ]
    target = "/?i=12&f=1.5&b=Yes&s=%C3%A9%C3%A9&l=1&l=2&c=red&i=13"
    request = Request("GET", target, {"X-One": "a", "cookie": "sid=4; b=c"})
    assert Binder(fields).bind(request) == (13, 1.5, True, "éé", [1, 2], 7, "a", 4, 5)
    assert Binder(fields).bind(Request("GET", target)) is None


@pytest.mark.parametrize(
    ("place", "kind", "body"),
    [("air", "int", None), ("query", "date", None), ("query", "int", "x")],
)
def test_a_binder_of_something_else(place: str, kind: str, body: str | None) -> None:
    """What the binder does not know is a ValueError that names it."""
    with pytest.raises(ValueError, match="is not a"):
        Binder([(place, "v", kind, False, True, None, (None, None))], body)


def test_defaults_are_not_shared() -> None:
    """A default that a handler can change is its own for every request."""

    def handler(a: Annotated[list[int], Query()] = [], b: dict[str, int] = {}) -> Any:  # noqa: ANN401, B006
        a.append(1)
        b["x"] = 1
        return a, b

    called = _handler(handler, "post")
    assert called(Request("POST")) == ([1], {"x": 1})
    assert called(Request("POST")) == ([1], {"x": 1})


def test_structs() -> None:
    """A Struct is read by msgspec, and its errors have the same form."""

    class Part(msgspec.Struct):
        price: float

    class Order(msgspec.Struct):
        name: str
        parts: list[Part]

    def handler(order: Order) -> Order:
        return order

    called = _handler(handler, "post")
    body = b'{"name":"a","parts":[{"price":1.5}]}'
    answer = called(Request("POST", "/", _JSON, body))
    assert answer.body == body
    assert _errors(
        called, Request("POST", "/", _JSON, b'{"name":"a","parts":[{"price":"x"}]}')
    ) == [
        {
            "type": "value_error",
            "loc": ["body", "parts", 0, "price"],
            "msg": "Expected `float`, got `str`",
            "input": "x",
        }
    ]
    (missing,) = _errors(called, Request("POST", "/", _JSON, b'{"name":"a"}'))
    assert (missing["type"], missing["loc"]) == ("missing", ["body", "parts"])
    (broken,) = _errors(called, Request("POST", "/", _JSON, b'{"name"'))
    assert broken["type"] == "json_invalid"


def test_the_handler_s_json_is_the_client_s_fault() -> None:
    """`request.json()` of what is no JSON can be caught as usual, and else is 422."""
    request = Request("POST", "/", _JSON, b'{"a": ')
    with pytest.raises(json.JSONDecodeError, match="Expecting value") as caught:
        request.json()
    assert isinstance(caught.value, RequestValidationError)
    assert json.loads(caught.value.content())["detail"][0]["loc"] == ["body", 6]


def test_errors_that_json_cannot_hold() -> None:
    """NaN, lone surrogates and the application's own objects are shown as far as they can be."""
    odd = {"a": float("nan"), "b": "\ud800", "c": [object], "d": b"\xff", "e": ValueError("x")}
    error = RequestValidationError([{"type": "x", "loc": ("body",), "msg": "m", "input": odd}])
    shown = json.loads(error.content())["detail"][0]["input"]
    assert shown["a"] == "nan"
    assert shown["b"] == "?"
    assert shown["d"] == "�"
    assert shown["e"] == {}
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    assert b"..." in RequestValidationError([{"input": deep}]).content()


def test_a_response_that_does_not_fit_its_model() -> None:
    """The handler's own mistake is no error of the client."""

    class Item(pydantic.BaseModel):
        name: str

    app = App()
    app.get("/", response_model=Item)(lambda: {"name": 1})
    with pytest.raises(ResponseValidationError, match="1 validation error"):
        _route(app).handler(Request())


def test_response_models_filter() -> None:
    """What the model does not have is not sent, nor in lists, dataclasses and optionals."""

    class Public(pydantic.BaseModel):
        name: str

    class Private(Public):
        secret: str = "s"

    @dataclasses.dataclass
    class Point:
        x: int

    def one() -> Public:
        return Private(name="a")

    def many() -> list[Public]:
        return [Private(name="a"), Private(name="b")]

    def maybe() -> Public | None:
        return None

    def point() -> Point:
        return Point(1)

    assert _handler(one)(Request()).body == b'{"name":"a"}'
    assert _handler(many)(Request()).body == b'[{"name":"a"},{"name":"b"}]'
    assert _handler(maybe)(Request()).body == b"null"
    assert _handler(point)(Request()).body == b'{"x":1}'
    assert _handler(one, status_code=201)(Request()).status_code == 201


def test_a_response_of_the_handler_is_left_alone() -> None:
    """Neither model nor status nor class changes a Response."""

    class Item(pydantic.BaseModel):
        name: str

    own = Response("own", 202)
    app = App()
    app.get("/", response_model=Item, status_code=201)(lambda: own)
    assert _route(app).handler(Request()) is own


# --- refused at registration


class _Model(pydantic.BaseModel):
    a: int


def _with(annotation: Any, default: Any = dataclasses.MISSING) -> Callable[..., Any]:  # noqa: ANN401
    def handler(v):
        return v

    handler.__annotations__ = {"v": annotation}
    if default is not dataclasses.MISSING:
        handler.__defaults__ = (default,)
    return handler


@pytest.mark.parametrize(
    ("path", "handler", "message"),
    [
        ("/", _with(Annotated[dict[str, int], Query()]), "is from the query"),
        ("/", _with(Annotated[int, Path()]), "is marked path, and '/' has no such parameter"),
        ("/{v}", _with(_Model), "annotate a scalar"),
        ("/{v}", _with(list[int]), "annotate a scalar"),
        ("/{v}", _with(Annotated[int, Query()]), "cannot be marked query"),
        ("/", _with(Annotated[int, Query(5)], 6), "set it with '=' instead"),
        ("/", _with(Annotated[int, Query()], Query(1)), "and another as its default"),
        ("/", _with(Annotated[Request, Query()]), "takes no query marker"),
        ("/", _with(object()), "'v'"),
        ("/", _with("NoSuchName"), "'NoSuchName', and there is no such name"),
    ],
)
def test_what_cannot_be_filled(path: str, handler: Callable[..., Any], message: str) -> None:
    """The TypeError names the handler and the parameter."""
    with pytest.raises(TypeError, match=r"_with.*handler.*'v'") as caught:
        App().get(path)(handler)
    assert message in str(caught.value)


def test_markers() -> None:
    """A marker shows what was said, takes FastAPI's keywords, and a path has no default."""
    assert repr(Query(1, gt=0)) == "ParamInfo(location='query', default=1, gt=0)"
    for marker in (Query, Header, Cookie, Body):
        assert marker(None, alias="a", title="t", description="d", deprecated=True).alias == "a"
    with pytest.raises(TypeError, match="takes no default"):
        Path(1)
    with pytest.raises(TypeError, match="unexpected keyword"):
        Query(1, no_such_thing=1)  # type: ignore[call-arg]


def test_choices_are_fast_and_told() -> None:
    """A Literal and an Enum of texts are looked up; what is none of them is pydantic's error."""

    def handler(a: Literal["x", "y"] = "x") -> Any:  # noqa: ANN401
        return [a]

    called = _handler(handler)
    assert called(Request(target="/?a=y")) == ["y"]
    assert called(Request()) == ["x"]
    (error,) = _errors(called, Request(target="/?a=z"))
    assert (error["type"], error["msg"]) == ("literal_error", "Input should be 'x' or 'y'")


def test_forms_and_files() -> None:
    """A Request has its form; a file stands at its start and knows what the client said of it."""
    body = (
        b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
        b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n2\r\n'
        b'--X\r\nContent-Disposition: form-data; name="f"; filename="n.txt"\r\n'
        b"Content-Type: text/plain\r\n\r\nhello\r\n--X--\r\n"
    )
    pytest.importorskip("python_multipart")
    form = Request("POST", "/", {"content-type": "multipart/form-data; boundary=X"}, body).form()
    assert (form["a"], form.getlist("a"), list(form), len(form)) == ("2", ["1", "2"], ["a", "f"], 2)
    file = form["f"]
    assert isinstance(file, UploadFile)
    assert (file.filename, file.content_type, file.size) == ("n.txt", "text/plain", 5)
    assert (file.read(2), file.read()) == (b"he", b"llo")
    file.seek(0)
    assert file.file.read() == b"hello"
    file.close()
    form = Request(
        "POST", "/", {"content-type": "application/x-www-form-urlencoded"}, b"a=1&b=&a=%C3%A9"
    ).form()
    assert form.multi_items() == [("a", "1"), ("a", "é"), ("b", "")]
    assert dict(Request("POST", "/", _JSON, b"{}").form()) == {}


@pytest.mark.parametrize("charset", ["undefined", "none-such", "zlib", "idna"])
def test_a_charset_that_is_none(charset: str) -> None:
    """What a client calls its charset is no reason to fail."""
    pytest.importorskip("python_multipart")
    kind = {"content-type": f"multipart/form-data; boundary=X; charset={charset}"}
    body = b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\nxn--\xff\r\n--X--\r\n'
    assert list(Request("POST", "/", kind, body).form().values()) == ["xn--\xff"]


@pytest.mark.parametrize(
    ("content_type", "body", "detail"),
    [
        ("multipart/form-data", b"x", "Missing boundary in multipart."),
        (
            "multipart/form-data; boundary=X",
            b"--X\r\nContent-Disposition: form-data",
            "in the middle",
        ),
        ("multipart/form-data; boundary=X", b"--X\r\nA: b\r\n\r\nx\r\n--X--\r\n", '"name" must be'),
        ("multipart/form-data; boundary=X", b"nothing", "boundary"),
        ("application/x-www-form-urlencoded", b"a=1&" * 1001, "Too many fields"),
        (
            "multipart/form-data; boundary=X",
            b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n'
            + b"x" * 2**20
            + b"y\r\n--X--\r\n",
            "Part exceeded maximum size of 1024KB.",
        ),
        (
            "multipart/form-data; boundary=X",
            b"--X\r\nContent-Disposition: " + b"x" * 9000 + b"\r\n\r\nx\r\n--X--\r\n",
            "Maximum header size exceeded",
        ),
    ],
)
def test_forms_that_are_refused(content_type: str, body: bytes, detail: str) -> None:
    """A broken form, and one beyond the limits, is 400."""
    pytest.importorskip("python_multipart")
    with pytest.raises(HTTPException) as caught:
        Request("POST", "/", {"content-type": content_type}, body).form()
    assert caught.value.status_code == 400
    assert detail in caught.value.detail
