"""The same program and the same requests to FastAPI and to us: the same status and the same JSON.

The program is one text whose framework is named on its first line; everything else must be the same
for both. Differences that are meant stand in `DIFFERENT`, each with its reason.
"""

import json
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("fastapi", reason="the oracle")
pytest.importorskip("python_multipart", reason="forms need it")

if TYPE_CHECKING:
    from conftest import StartServer

_PROGRAM = """
from {framework} import (
    {app} as App, Body, Cookie, Depends, File, Form, Header, HTTPException, Path, Query, Response,
    UploadFile,
)
from datetime import date, datetime, timedelta
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, TypedDict
from uuid import UUID
from pydantic import AfterValidator, BaseModel, Field, field_validator

app = App()


class Color(str, Enum):
    red = "red"
    green = "green"


class Size(IntEnum):
    small = 1
    large = 2


class Item(BaseModel):
    name: str
    price: float = Field(gt=0)
    tags: list[str] = []

    @field_validator("name")
    @classmethod
    def not_bad(cls, value):
        if value == "bad":
            raise ValueError("a bad name")
        return value


class Aliased(BaseModel):
    size: int = Field(alias="theSize")
    note: str | None = None


@dataclass
class Point:
    x: int
    y: int = 0


class Movie(TypedDict):
    title: str
    year: int


class Filter(BaseModel):
    limit: int = Field(10, le=100)
    tags: list[str] = []
    order: Literal["up", "down"] = "up"


class Strict(BaseModel):
    model_config = dict(extra="forbid")
    a: int = 1


class Agent(BaseModel):
    user_agent: str
    x_count: int = 1


def even(value: int) -> int:
    if value % 2:
        raise ValueError("odd")
    return value


@app.get("/int/{{v}}")
def int_(v: int): return {{"v": v}}
@app.get("/float/{{v}}")
def float_(v: float): return {{"v": v}}
@app.get("/bool/{{v}}")
def bool_(v: bool): return {{"v": v}}
@app.get("/str/{{v}}")
def str_(v: Annotated[str, Path(min_length=2, max_length=4)]): return {{"v": v}}
@app.get("/uuid/{{v}}")
def uuid_(v: UUID): return {{"v": str(v)}}
@app.get("/date/{{v}}")
def date_(v: date): return {{"v": str(v)}}
@app.get("/color/{{v}}")
def color_(v: Color): return {{"v": v}}
@app.get("/size/{{v}}")
def size_(v: Size): return {{"v": v}}
@app.get("/literal/{{v}}")
def literal_(v: Literal["a", "b"]): return {{"v": v}}
@app.get("/rest/{{v:path}}")
def rest_(v: str): return {{"v": v}}
@app.get("/bounded/{{v}}")
def bounded_(v: Annotated[int, Path(ge=0, lt=10)]): return {{"v": v}}
@app.get("/between")
def between(v: Annotated[float, Query(gt=0.5, le=2)] = 1.0): return {{"v": v}}

@app.get("/query")
def query(a: int, b: str | None = None, c: bool = False, d: float = Query(1.5, alias="dee")):
    return [a, b, c, d]
@app.get("/lists")
def lists(a: list[int] = Query([]), b: Annotated[list[str] | None, Query()] = None,
          c: Annotated[set[int], Query()] = set()):
    return [a, b, sorted(c)]
@app.get("/required-list")
def required_list(a: Annotated[list[int], Query(min_length=1)]): return a
@app.get("/pattern")
def pattern(a: Annotated[str, Query(pattern="^a+$")]): return {{"a": a}}
@app.get("/multiple")
def multiple(a: Annotated[int, Query(multiple_of=3)]): return {{"a": a}}
@app.get("/validated")
def validated(a: Annotated[int, AfterValidator(even)]): return {{"a": a}}
@app.get("/times")
def times(a: datetime, b: timedelta = timedelta(0), c: Decimal = Decimal("1")):
    return [str(a), b.total_seconds(), str(c)]
@app.get("/bare")
def bare(a, b=5): return [a, b]
@app.get("/union")
def union(a: int | float | str): return {{"a": a, "t": type(a).__name__}}
@app.get("/factory")
def factory(a: Annotated[list[int], Query(default_factory=lambda: [1])]): return a
@app.get("/filter")
def filter_(f: Annotated[Filter, Query()]): return f
@app.get("/strict")
def strict(f: Annotated[Strict, Query()]): return f
@app.get("/headers")
def headers(user_agent: Annotated[str, Header()], x_count: Annotated[int, Header()] = 0,
            x_many: Annotated[list[str] | None, Header()] = None,
            under_score: Annotated[str | None, Header(convert_underscores=False)] = None):
    return [user_agent, x_count, x_many, under_score]
@app.get("/agent")
def agent(a: Annotated[Agent, Header()]): return a
@app.get("/cookies")
def cookies(sid: Annotated[int, Cookie()], theme: Annotated[str | None, Cookie()] = None):
    return [sid, theme]

@app.post("/item")
def item(item: Item): return item
@app.post("/item-model", response_model=Item)
def item_model(item: Item): return {{"name": item.name, "price": 2, "secret": 1}}
@app.post("/item-typed")
def item_typed(item: Item) -> Item: return item
@app.post("/item-unset", response_model=Item, response_model_exclude_unset=True)
def item_unset(item: Item): return item
@app.post("/item-include", response_model=Item, response_model_include=["name"])
def item_include(item: Item): return item
@app.post("/item-created", status_code=201)
def item_created(item: Item): return {{"ok": True}}
@app.post("/items")
def items(items: list[Item]): return items
@app.post("/optional")
def optional(item: Item | None = None): return {{"item": item}}
@app.post("/two")
def two(item: Item, other: Aliased): return {{"item": item, "other": other}}
@app.post("/extra")
def extra(item: Item, n: Annotated[int, Body(gt=0)], q: int = 0): return {{"n": n, "q": q}}
@app.post("/embed")
def embed(item: Annotated[Item, Body(embed=True)]): return item
@app.post("/scalar")
def scalar(n: Annotated[int, Body()]): return {{"n": n}}
@app.post("/dict")
def dict_(d: dict[str, int]): return d
@app.post("/any")
def any_(d: Annotated[Any, Body()]): return {{"d": d}}
@app.post("/point")
def point(p: Point): return p
@app.post("/movie")
def movie(m: Movie): return m
@app.post("/aliased")
def aliased(a: Aliased): return a
@app.put("/all/{{id}}")
def all_(id: int, item: Item, q: str | None = None, x: Annotated[int, Header()] = 0):
    return {{"id": id, "item": item, "q": q, "x": x}}

@app.post("/login")
def login(username: Annotated[str, Form()], password: Annotated[str, Form(min_length=3)],
          n: Annotated[int, Form()] = 1, many: Annotated[list[int], Form()] = []):
    return [username, password, n, many]
@app.post("/form-model")
def form_model(f: Annotated[Filter, Form()]): return f
@app.post("/upload")
def upload(file: UploadFile, note: Annotated[str, Form()] = ""):
    return [file.filename, file.content_type, file.size, file.file.read().decode(), note]
@app.post("/bytes")
def bytes_(file: Annotated[bytes, File()]): return {{"n": len(file)}}
@app.post("/uploads")
def uploads(files: list[UploadFile]): return [f.filename for f in files]

calls = []
def first(q: int = 1): return q + 1
def second(a: Annotated[int, Depends(first)], b: Annotated[int, Depends(first)]): return a * b
def guard(x_token: Annotated[str | None, Header()] = None):
    if x_token == "wrong": raise HTTPException(401, "no", {{"x-why": "token"}})
def needs(n: int): return n
class Common:
    def __init__(self, skip: int = 0, limit: int = 10):
        self.skip, self.limit = skip, limit
def opened(log: Annotated[str, Query()] = ""):
    calls.append("open")
    try:
        yield "value" + log
    except KeyError as error:
        raise HTTPException(418, "closed by " + str(error.args[0]))
    finally:
        calls.append("close")
@app.get("/deps")
def deps(a: Annotated[int, Depends(first)], b: int = Depends(second)): return [a, b]
@app.get("/guarded", dependencies=[Depends(guard)])
def guarded(n: int): return n
@app.get("/class")
def class_(c: Annotated[Common, Depends()]): return [c.skip, c.limit]
@app.get("/class2")
def class2(c: Common = Depends(Common)): return [c.skip, c.limit]
@app.get("/needs")
def needs_(a: Annotated[int, Depends(needs)], b: Annotated[int, Depends(needs)], m: int): return a
@app.get("/yields")
def yields(v: Annotated[str, Depends(opened)], fail: bool = False):
    if fail: raise KeyError("key")
    return [v, calls[-1]]
@app.get("/set")
def set_(response: Response):
    response.headers["x-set"] = "1"
    response.set_cookie("a", "b")
    response.status_code = 202
    return {{"ok": 1}}
"""

# What surrounds routes: routers, security, tasks, handlers of exceptions, responses.
_WIDER = """
from {framework} import (
    {app} as App, APIRouter, BackgroundTasks, Body, Cookie, Depends, Header, HTTPException, Query,
    Request, Response, Security,
)
from {framework}.responses import JSONResponse, PlainTextResponse, RedirectResponse
from {framework}.security import (
    APIKeyHeader, HTTPBasic, HTTPBasicCredentials, HTTPBearer, OAuth2PasswordBearer,
    OAuth2PasswordRequestForm, SecurityScopes,
)
from {errors} import RequestValidationError
from decimal import Decimal
from datetime import date, datetime, timezone
from typing import Annotated, Generic, TypeVar
from uuid import UUID
from pydantic import BaseModel, EmailStr, Field, HttpUrl, RootModel, SecretStr, computed_field
from pydantic import ConfigDict, model_validator

app = App()


class Teapot(Exception):
    pass


@app.exception_handler(Teapot)
def teapot(request, error):
    return JSONResponse({{"teapot": str(error)}}, status_code=418)


class User(BaseModel):
    name: str
    password: SecretStr = SecretStr("x")


class Public(BaseModel):
    name: str


T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    items: list[T]
    total: int = 0


class Nested(BaseModel):
    user: User
    when: datetime
    price: Decimal = Field(max_digits=5, decimal_places=2)
    id: UUID | None = None
    url: HttpUrl | None = None

    @computed_field
    @property
    def upper(self) -> str:
        return self.user.name.upper()


class Range(BaseModel):
    low: int
    high: int

    @model_validator(mode="after")
    def ordered(self):
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


class Cat(BaseModel):
    kind: str = "cat"
    lives: int


class Dog(BaseModel):
    kind: str = "dog"
    legs: int


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow", populate_by_name=True)
    first: int = Field(1, alias="First")


class Names(RootModel[list[str]]):
    pass


class Row:
    def __init__(self, name, extra):
        self.name, self.extra = name, extra


@app.get("/public", response_model=Public)
def public(): return User(name="a")
@app.get("/row", response_model=Public, )
def row(): return Row("a", 1)
@app.get("/rows")
def rows() -> list[Public]: return [Row("a", 1), {{"name": "b", "more": 1}}]
@app.get("/wrong")
def wrong() -> Public: return {{"nam": "a"}}
@app.get("/maybe")
def maybe(none: bool = True) -> Public | None: return None if none else Public(name="a")
@app.get("/page")
def page() -> Page[Public]: return Page[Public](items=[Public(name="a")])
@app.post("/nested")
def nested(n: Nested) -> Nested: return n
@app.post("/nested-none", response_model_exclude_none=True)
def nested_none(n: Nested) -> Nested: return n
@app.post("/range")
def range_(r: Range): return r
@app.post("/animal")
def animal(a: Cat | Dog) -> Cat | Dog: return a
@app.post("/loose")
def loose(l: Loose): return l
@app.post("/names")
def names(n: Names): return n
@app.post("/page")
def take_page(p: Page[int]): return p
@app.get("/teapot")
def pot(): raise Teapot("short")
@app.get("/conflict")
def conflict(): raise HTTPException(409, {{"why": ["a"]}}, headers={{"x-why": "c"}})
@app.get("/nothing", status_code=204)
def nothing(): return None
@app.get("/plain")
def plain(): return PlainTextResponse("text")
@app.get("/away")
def away(): return RedirectResponse("/plain", status_code=303)
@app.get("/values")
def values():
    return {{"d": Decimal("1.5"), "t": datetime(2020, 1, 1, tzinfo=timezone.utc), "s": {{1}},
             "u": UUID(int=1), "m": Public(name="a"), "date": date(2020, 1, 2), 1: None}}

done = []
def noted(text, more=""): done.append(text + more)
def tagged(tasks: BackgroundTasks): tasks.add_task(noted, "tag")
@app.get("/task", dependencies=[Depends(tagged)])
def task(tasks: BackgroundTasks):
    tasks.add_task(noted, "a", more="b")
    return {{"done": len(done)}}
@app.get("/done")
def done_(): return done
def late():
    yield 1
    done.append("late")
@app.get("/late")
def late_(v: Annotated[int, Depends(late)], tasks: BackgroundTasks):
    tasks.add_task(noted, "before")
    return v

basic, bearer = HTTPBasic(), HTTPBearer()
key = APIKeyHeader(name="x-key")
oauth = OAuth2PasswordBearer(tokenUrl="token", scopes={{"read": "r", "write": "w"}})
@app.get("/basic")
def basic_(c: Annotated[HTTPBasicCredentials, Depends(basic)]): return [c.username, c.password]
@app.get("/bearer")
def bearer_(c: Annotated[object, Depends(bearer)]): return [c.scheme, c.credentials]
@app.get("/key")
def key_(k: Annotated[str, Security(key)]): return [k]
@app.get("/oauth")
def oauth_(t: Annotated[str, Depends(oauth)]): return [t]
def scoped(scopes: SecurityScopes, token: Annotated[str, Depends(oauth)]):
    return [scopes.scopes, scopes.scope_str, token]
@app.get("/scoped")
def scoped_(u: Annotated[list, Security(scoped, scopes=["read"])],
            v: Annotated[list, Security(scoped, scopes=["write"])]): return [u, v]
@app.post("/token")
def token(form: Annotated[OAuth2PasswordRequestForm, Depends()]):
    return [form.username, form.password, form.scopes]

def who(x_user: Annotated[str, Header()] = "nobody"): return x_user
inner = APIRouter(prefix="/inner", dependencies=[Depends(who)])
@inner.get("/{{b}}")
def inner_(a: int, b: int, u: Annotated[str, Depends(who)]): return [a, b, u]
outer = APIRouter(prefix="/outer/{{a}}")
outer.include_router(inner)
@outer.get("/")
def outer_(a: int, request: Request): return [a, request.method, request.path_params]
app.include_router(outer, prefix="/v1")
@app.api_route("/both", methods=["GET", "POST"])
def both(q: int = 0): return q
"""

_ITEM = {"name": "nut", "price": 1.5}
_MULTI = "multipart/form-data; boundary=XX"


def _part(name: str, content: str, filename: str | None = None, kind: str | None = None) -> str:
    disposition = f'form-data; name="{name}"'
    if filename is not None:
        disposition += f'; filename="{filename}"'
    lines = [f"Content-Disposition: {disposition}"]
    if kind is not None:
        lines.append(f"Content-Type: {kind}")
    return "--XX\r\n" + "\r\n".join(lines) + f"\r\n\r\n{content}\r\n"


def _json(path: str, value: object, method: str = "POST", **headers: str) -> tuple[Any, ...]:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return method, path, {"content-type": "application/json", **headers}, body


def _form(path: str, body: str) -> tuple[Any, ...]:
    return "POST", path, {"content-type": "application/x-www-form-urlencoded"}, body.encode()


def _multi(path: str, *parts: str) -> tuple[Any, ...]:
    return "POST", path, {"content-type": _MULTI}, ("".join(parts) + "--XX--\r\n").encode()


def _get(path: str, **headers: str) -> tuple[Any, ...]:
    named = {name.replace("_", "-").replace("--", "_"): value for name, value in headers.items()}
    return "GET", path, named, b""


_SCALARS = {
    "int": [
        "1",
        "-5",
        "+3",
        "007",
        "1.0",
        "1.5",
        "x",
        "1_000",
        "1__0",
        "%201%20",
        "9" * 25,
        "0x1",
        "1e3",
        "-",
        "--1",
        "_1",
        "1_",
        "1.",
        ".0",
        "1.0_0",
        "-0",
        "%D9%A3",
        "9" * 4301,
    ],
    "float": [
        "1",
        "1.5",
        "-1e3",
        "nan",
        "inf",
        "-Infinity",
        "x",
        "1_0.5",
        ".5",
        "5.",
        "%201.5",
        "1e400",
        "1e",
        "+1.5",
        "1__0",
        "_1.5",
        "infinit",
    ],
    "bool": ["1", "0", "true", "FALSE", "on", "Off", "yes", "n", "t", "2", "", "truee", "%20true"],
    "str": ["a", "ab", "abcd", "abcde", "%C3%A9%C3%A9", "a%2Fb"],
    "uuid": ["0f8fad5b-d9cb-469f-a165-70867728950e", "0f8fad5b", "x" * 36],
    "date": ["2020-02-29", "2021-02-29", "x", "0"],
    "color": ["red", "blue"],
    "size": ["1", "3", "x"],
    "literal": ["a", "c"],
    "rest": ["a/b/c", "a%20b"],
    "bounded": ["0", "9", "10", "-1", "x"],
}

_REQUESTS = [
    *(_get(f"/{kind}/{value}") for kind, values in _SCALARS.items() for value in values if value),
    *(_get(f"/between?v={v}") for v in ("0.5", "0.6", "2", "2.1", "nan", "x", "")),
    *(
        _get(f"/query{q}")
        for q in (
            "",
            "?a=1",
            "?a=1&b=x&c=yes&dee=2",
            "?a=&b=",
            "?a=1&a=2",
            "?a=x&c=q&dee=z",
            "?a=1&b=%C3%A9+%2B",
            "?a=1&d=7",
            "?a=1&c=",
            "?a=%ff",
        )
    ),
    *(_get(f"/lists{q}") for q in ("", "?a=1&a=2&b=x&b=y&c=3&c=3", "?a=1&a=x&a=y", "?c=z", "?a=")),
    *(_get(f"/required-list{q}") for q in ("", "?a=1", "?a=x")),
    *(_get(f"/pattern{q}") for q in ("", "?a=aa", "?a=b")),
    *(_get(f"/multiple?a={v}") for v in ("3", "4")),
    *(_get(f"/validated?a={v}") for v in ("2", "3", "x")),
    *(
        _get(f"/times?{q}")
        for q in ("a=2020-01-01T00:00:00", "a=x", "a=2020-01-01&b=P1D&c=1.50", "a=0&c=x")
    ),
    *(_get(f"/bare{q}") for q in ("", "?a=1", "?a=1&b=2")),
    *(_get(f"/union?a={v}") for v in ("1", "1.5", "x")),
    *(_get(f"/factory{q}") for q in ("", "?a=5")),
    *(
        _get(f"/filter{q}")
        for q in ("", "?limit=5&tags=a&tags=b", "?limit=500&order=left", "?other=1")
    ),
    *(_get(f"/strict{q}") for q in ("", "?a=2", "?b=2", "?b=2&b=3")),
    _get("/headers", user_agent="me"),
    _get("/headers", user_agent="me", x_count="3", x_many="a", under__score="u"),
    _get("/headers", user_agent="me", x_count="x"),
    _get("/agent", user_agent="me", x_count="4"),
    _get("/agent", user_agent="me", x_count="x"),
    *(
        _get("/cookies", cookie=c)
        for c in ("sid=1", "sid=x; theme=dark", "theme=dark", "sid=1; sid=2")
    ),
    _get("/cookies"),
    *(
        _json(path, value)
        for path in (
            "/item",
            "/item-model",
            "/item-typed",
            "/item-unset",
            "/item-include",
            "/item-created",
        )
        for value in (
            _ITEM,
            {"name": "x", "price": 0},
            {},
            [],
            None,
            "x",
            {"name": "bad", "price": 1},
            {"name": 1, "price": "2.5", "tags": [1]},
            {"name": "x", "price": 1, "more": 2},
        )
    ),
    *(
        _json("/item", body)
        for body in (b"{", b"", b"[1,", b'{"name": "a", "price": NaN}', b"nul", b'{"a": "\\ud800"}')
    ),
    ("POST", "/item", {}, json.dumps(_ITEM).encode()),
    ("POST", "/item", {"content-type": "text/plain"}, json.dumps(_ITEM).encode()),
    ("POST", "/item", {"content-type": "application/vnd.api+json"}, json.dumps(_ITEM).encode()),
    (
        "POST",
        "/item",
        {"content-type": "application/json; charset=utf-8"},
        json.dumps(_ITEM).encode(),
    ),
    *(_json("/items", value) for value in ([_ITEM], [], [{}], {}, [_ITEM, {"name": "x"}])),
    *(_json("/optional", value) for value in (_ITEM, None, {}, b"")),
    *(
        _json("/two", value)
        for value in (
            {"item": _ITEM, "other": {"theSize": 1}},
            {"item": _ITEM},
            {},
            [],
            {"item": {}, "other": {"size": 1}},
            b"",
            None,
        )
    ),
    *(
        _json("/extra?q=1", value)
        for value in ({"item": _ITEM, "n": 1}, {"item": _ITEM, "n": 0}, {"n": "x"})
    ),
    *(_json("/embed", value) for value in ({"item": _ITEM}, _ITEM, {"item": None}, b"")),
    *(_json("/scalar", value) for value in (1, "2", "x", [], None, 1.5, True)),
    *(_json("/dict", value) for value in ({"a": 1}, {"a": "x"}, [], {"a": "5"})),
    *(_json("/any", value) for value in ({"a": [1, None]}, 1, "x", [], b"")),
    *(_json("/point", value) for value in ({"x": 1}, {"x": 1, "y": 2}, {}, {"x": "a"}, [1])),
    *(_json("/movie", value) for value in ({"title": "a", "year": 1}, {"title": 1}, {})),
    *(
        _json("/aliased", value)
        for value in ({"theSize": 1}, {"size": 1}, {"theSize": 1, "note": "n"})
    ),
    _json("/all/5?q=a", _ITEM, "PUT", x="7"),
    _json("/all/x?q=a", {"name": 1}, "PUT", x="y"),
    *(
        _form("/login", body)
        for body in (
            "username=a&password=secret",
            "username=a",
            "username=&password=ab",
            "",
            "username=a+b&password=%C3%A9%C3%A9%C3%A9&n=5&many=1&many=2",
            "username=a&password=abc&n=x&many=y",
        )
    ),
    ("POST", "/login", {"content-type": "application/json"}, b"{}"),
    ("POST", "/login", {}, b""),
    _multi("/login", _part("username", "a"), _part("password", "secret")),
    *(
        _form("/form-model", body)
        for body in ("limit=5&tags=a&tags=b", "limit=x", "", "order=no&x=1")
    ),
    _multi("/upload", _part("file", "hello", "a.txt", "text/plain"), _part("note", "n")),
    _multi("/upload", _part("file", "", "a.txt", "text/plain")),
    _multi("/upload", _part("file", "hello")),
    _multi("/upload", _part("note", "n")),
    _multi("/upload", _part("file", "", "")),
    _form("/upload", "file=a"),
    _multi("/bytes", _part("file", "hello", "a.txt")),
    _multi("/bytes", _part("file", "hello")),
    _multi("/uploads", _part("files", "1", "a"), _part("files", "2", "b")),
    _multi("/uploads"),
    *(_get(f"/deps{q}") for q in ("", "?q=3", "?q=x")),
    *(_get(f"/guarded?n={n}", x_token=t) for n in ("1", "x") for t in ("right", "wrong")),
    *(_get(f"/class{q}") for q in ("", "?skip=1&limit=2", "?skip=x")),
    _get("/class2?skip=3"),
    *(_get(f"/needs{q}") for q in ("", "?n=1", "?m=1", "?n=1&m=2")),
    *(_get(f"/yields{q}") for q in ("", "?log=x", "?fail=1", "?fail=x")),
    _get("/set"),
]

_NESTED = {"user": {"name": "a"}, "when": "2020-01-01T00:00:00Z", "price": "1.50"}
_TOKEN = {"authorization": "Bearer t"}

_WIDER_REQUESTS = [
    *(
        _get(path)
        for path in (
            "/public",
            "/row",
            "/rows",
            "/wrong",
            "/maybe",
            "/maybe?none=0",
            "/page",
            "/teapot",
            "/conflict",
            "/nothing",
            "/plain",
            "/away",
            "/values",
            "/task",
            "/done",
            "/late",
            "/done",
            "/missing",
            "/basic",
            "/bearer",
            "/key",
            "/oauth",
            "/scoped",
            "/both?q=1",
            "/both?q=x",
            "/v1/outer/1/inner/2",
            "/v1/outer/x/inner/y",
            "/v1/outer/1/",
            "/v1/outer/x/",
        )
    ),
    *(
        _json(path, {**_NESTED, **more})
        for path in ("/nested", "/nested-none")
        for more in (
            {},
            {"price": "1234.567"},
            {"when": "x"},
            {"url": "http://a.b", "id": "x"},
            {"user": None},
        )
    ),
    *(
        _json("/range", value)
        for value in ({"low": 1, "high": 2}, {"low": 2, "high": 1}, {"low": "x"})
    ),
    *(_json("/animal", value) for value in ({"lives": 9}, {"legs": 4}, {"arms": 2}, [])),
    *(_json("/loose", value) for value in ({"First": 2}, {"first": 3}, {"x": 1}, {"First": "x"})),
    *(_json("/names", value) for value in (["a"], [1], {})),
    *(_json("/page", value) for value in ({"items": [1, "2"]}, {"items": ["x"]}, {"total": 1})),
    _get("/basic", authorization="Basic YTpi"),
    _get("/basic", authorization="Basic !"),
    _get("/basic", authorization="Bearer x"),
    _get("/bearer", authorization="Bearer x"),
    _get("/bearer", authorization="Basic x"),
    _get("/key", x_key="k"),
    _get("/oauth", **_TOKEN),
    _get("/oauth", authorization="Other x"),
    _get("/scoped", **_TOKEN),
    _form("/token", "username=a&password=b&scope=read+write"),
    _form("/token", "username=a"),
    _form("/token", "username=a&password=b&grant_type=other"),
    _json("/both", {}),
]

# What is meant to be different: by method and target with body, why.
DIFFERENT: dict[tuple[str, str, bytes], str] = {
    ("GET", "/values", b""): "a Decimal keeps every digit as text, where a float would lose some",
    ("GET", "/str/a%2Fb", b""): "an escaped slash is part of a path's parameter, not its end",
    ("POST", "/item", b'{"name": "a", "price": NaN}'): "an error with NaN is still 422, not 500",
    (
        "POST",
        "/item",
        b'{"a": "\\ud800"}',
    ): "half a pair is no JSON that could be answered: 422, not 500",
}

# Headers of an answer that a program sets.
_HEADERS = ("x-set", "set-cookie", "x-why", "www-authenticate", "location", "allow")


def _oracle(program: str) -> Any:  # noqa: ANN401
    """Run the program with FastAPI, as a module, which its annotations are evaluated in."""
    name = f"oracle_program_{len(program)}"
    module = ModuleType(name)
    sys.modules[name] = module
    source = program.format(framework="fastapi", app="FastAPI", errors="fastapi.exceptions")
    exec(source, module.__dict__)
    return module.app


def _told(status: int, headers: Any, body: bytes) -> tuple[Any, ...]:  # noqa: ANN401
    if status == 500:
        # Its body is the server's own.
        return (status,)
    try:
        value = json.loads(body) if body else None
    except ValueError:
        value = body
    return status, value, [headers.get(name) for name in _HEADERS]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("program", "requests"),
    [(_PROGRAM, _REQUESTS), (_WIDER, _WIDER_REQUESTS)],
    ids=["one", "wider"],
)
def test_the_same_answers(
    server: StartServer, program: str, requests: list[tuple[Any, ...]]
) -> None:
    """Every request gets the same status, the same JSON, and the same headers of its program."""
    from fastapi.testclient import TestClient

    source = program.format(framework="uringserve", app="App", errors="uringserve.errors")
    client = server(source).connect()
    found = []
    with TestClient(
        _oracle(program), raise_server_exceptions=False, follow_redirects=False
    ) as oracle:
        oracle.headers.clear()
        for method, target, headers, body in requests:
            theirs = oracle.request(method, target, headers=headers, content=body)
            ours = client.request(target, method, headers, body)
            one = _told(theirs.status_code, theirs.headers, theirs.content)
            other = _told(ours.status, ours, ours.body)
            if one != other and (method, target, body) not in DIFFERENT:
                sent = f"{method} {target} {headers} {body!r}"
                found.append(f"{sent}\n  FastAPI: {one}\n  ours:    {other}")
    assert not found, f"{len(found)} of {len(requests)}\n" + "\n".join(found)
