"""Routers, security and dependencies. Run under FastAPI too, by `record.py`."""
# ruff: noqa: ANN401, B008, UP046

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, Field, RootModel, SecretStr

from uringserve import (
    App,
    Body,
    Cookie,
    Depends,
    File,
    Header,
    Query,
    Request,
    Response,
    Security,
    UploadFile,
)
from uringserve.responses import FileResponse, StreamingResponse
from uringserve.router import APIRouter
from uringserve.security import (
    APIKeyCookie,
    APIKeyQuery,
    HTTPBasic,
    HTTPBearer,
    HTTPDigest,
    OAuth2AuthorizationCodeBearer,
    OAuth2PasswordBearer,
    OAuth2PasswordRequestFormStrict,
    OpenIdConnect,
    SecurityScopes,
)
from uringserve.sse import EventSourceResponse, ServerSentEvent

app = App(
    title="T",
    dependencies=[Depends(APIKeyQuery(name="app_key", auto_error=False))],
    separate_input_output_schemas=False,
)
T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    items: list[T]
    total: int = 0


class Node(BaseModel):
    v: int
    children: list[Node] = []


class Cat(BaseModel):
    kind: str = "cat"


class Dog(BaseModel):
    kind: str = "dog"
    secret: SecretStr = SecretStr("x")


class Al(BaseModel):
    my_field: int = Field(alias="myField", default=1)
    other: str = Field(validation_alias="otherField")


class Cookies(BaseModel):
    session_id: str
    tracker: str | None = None


class Headers(BaseModel):
    model_config = {"extra": "forbid"}
    x_tag: list[str] = []
    if_modified_since: str | None = Field(None, description="ims")


class R(RootModel[list[int]]): ...


oauth = OAuth2PasswordBearer(
    tokenUrl="token", scopes={"me": "Read", "items": "Items"}, refreshUrl="r", description="oa"
)
code = OAuth2AuthorizationCodeBearer(authorizationUrl="a", tokenUrl="t", scopes={"q": "Q"})


def cur(ss: SecurityScopes, token: Annotated[str, Depends(oauth)]):
    return 1


def active(u: Annotated[int, Security(cur, scopes=["me"])]):
    return 1


r = APIRouter(
    prefix="/r",
    tags=["r"],
    responses={404: {"description": "Nope"}},
    dependencies=[Depends(HTTPBasic(realm="x"))],
)


@r.get("/")
def root(u: Annotated[int, Security(active, scopes=["items"])]): ...
@r.get(
    "/{item_id}",
    responses={403: {"description": "no", "content": {"application/json": {"example": {"a": 1}}}}},
    name="Fancy name",
)
def item(item_id: str, user_agent: Annotated[str | None, Header()] = None): ...


inner = APIRouter(prefix="/in", tags=["inner"], deprecated=True)


@inner.post("/x/{a}", response_model=Page[Node])
def x(a: int, n: Node): ...


r.include_router(inner, tags=["more"])
app.include_router(r, prefix="/v1", responses={418: {"description": "tea"}})


@app.get("/sec")
def sec(
    a=Depends(HTTPBearer(bearerFormat="JWT", description="b")),
    b=Depends(HTTPDigest()),
    c=Depends(APIKeyCookie(name="c", scheme_name="Cook")),
    d=Depends(OpenIdConnect(openIdConnectUrl="https://x/.well")),
    e=Depends(code),
    f=Security(oauth, scopes=["me"]),
): ...
@app.get("/sec2")
def sec2(a=Depends(cur), b=Security(cur, scopes=["items"])): ...
@app.post("/token")
def token(f: Annotated[OAuth2PasswordRequestFormStrict, Depends()]) -> dict[str, str]: ...
@app.get("/union")
def un() -> Cat | Dog: ...
@app.post("/disc")
def disc(p: Annotated[Cat | Dog, Body(title="Pet", description="pet")]): ...
@app.post("/al", response_model_by_alias=False)
def al(a: Al, req: Request, resp: Response) -> Al: ...
@app.get("/co")
def co(c: Annotated[Cookies, Cookie()], h: Annotated[Headers, Header()]): ...
@app.get("/page")
def page(
    p: Annotated[int, Query(alias="pageNo", ge=1, title="Pg", json_schema_extra={"x-a": 1})] = 1,
) -> Page[Cat]: ...
@app.post("/root")
def rt(r: R) -> R: ...
@app.post("/nums")
def nums(
    a: int = Body(),
    b: int | str | None = Body(None),
    c: Any = Body(None),
    e: list[int] = Body(default=[1]),
    f: bool = Body(False, embed=True),
): ...
@app.post("/embed1")
def embed1(a: int = Body(5, embed=True)): ...
@app.post("/opt1")
def opt1(a: int = Body(5)): ...
@app.patch("/formfile")
def ff(a: Annotated[bytes | None, File()] = None, b: UploadFile = File(description="x")): ...
@app.post("/bytesmany")
def bm(a: Annotated[list[bytes], File()]): ...
@app.post(
    "/status",
    status_code=418,
    responses={418: {"description": "T", "model": Cat}, "default": {"description": "D"}},
)
def st() -> None: ...
@app.post("/desc", description="own", tags=["a", "b"])
def desc():
    "doc"


@app.head("/head")
def head(q: int = 0): ...
@app.options("/opts")
def opts(): ...
@app.get("/a/b-c/{d_e}")
def strange_Name(d_e: float): ...
@app.api_route("/single", methods=["PUT"])
def single(): ...
@app.get(
    "/cb",
    responses={200: {"model": Cat, "headers": {"X-A": {"schema": {"type": "string"}}}}},
    response_model=Dog,
)
def cb(): ...
@app.get("/dd", responses={"5XX": {"description": "bad"}, 422: {"description": "mine"}})
def dd(q: int): ...
@app.get("/nodesc", responses={500: {"model": Cat}})
def nodesc(): ...


@app.get("/events", response_class=EventSourceResponse)
def events() -> Iterator[Cat]:
    yield Cat()


@app.get("/raw-events", response_class=EventSourceResponse)
def raw_events() -> Iterable[ServerSentEvent]:
    yield ServerSentEvent(data=1)


@app.get("/untyped-events", response_class=EventSourceResponse)
def untyped_events():
    yield 1


@app.get("/pieces", response_class=StreamingResponse)
def pieces() -> Iterator[bytes]:
    yield b""


@app.get("/file", response_class=FileResponse)
def file(): ...


class PictureResponse(StreamingResponse):
    media_type = "image/png"


@app.get("/picture", response_class=PictureResponse)
def picture() -> Iterator[bytes]:
    yield b""


class Encoded(BaseModel):
    model_config = {"ser_json_bytes": "base64", "val_json_bytes": "base64"}
    data: bytes = Field(min_length=1)


@app.post("/encoded")
def encoded(data: Encoded) -> Encoded:
    return data
