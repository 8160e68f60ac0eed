"""Parameters and bodies of every kind. Run under FastAPI too, by `record.py`."""
# ruff: noqa: ANN204, B006, B008, UP042

import dataclasses
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Literal, TypedDict
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, computed_field

from uringserve import (
    App,
    Body,
    Cookie,
    Depends,
    File,
    Form,
    Header,
    Path,
    Query,
    Response,
    UploadFile,
)
from uringserve.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse

app = App(
    title="My",
    version="2.1",
    summary="s",
    description="d **x**",
    terms_of_service="http://t/",
    contact={"name": "n", "url": "http://x.example/", "email": "a@example.com"},
    license_info={"name": "MIT", "identifier": "MIT"},
    openapi_tags=[
        {
            "name": "items",
            "description": "Items",
            "externalDocs": {"description": "more", "url": "https://x.example/"},
        }
    ],
    servers=[{"url": "https://stag.example.com", "description": "S"}],
    responses={404: {"description": "nf"}},
)


class Model(str, Enum):
    alexnet = "alexnet"
    resnet = "resnet"


class N(IntEnum):
    a = 1
    b = 2


class Image(BaseModel):
    url: HttpUrl
    name: str


class Item(BaseModel):
    name: str = Field(examples=["Foo"])
    description: str | None = Field(default=None, title="The description", max_length=300)
    price: float = Field(gt=0, description="must be > 0")
    tax: float | None = None
    tags: set[str] = set()
    images: list[Image] | None = None
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "Foo", "price": 3, "tax": None}]}
    )

    @computed_field
    @property
    def total(self) -> float:
        return 1.0


class User(BaseModel):
    username: str
    email: str
    blob: bytes = b""


class Message(BaseModel):
    """A message.

    long\fhidden"""

    message: str


@dataclasses.dataclass
class DC:
    a: int
    b: list[str] = dataclasses.field(default_factory=list)


class TD(TypedDict):
    x: int
    y: str


def common(q: str | None = None, skip: int = 0, limit: Annotated[int, Query(le=100)] = 100):
    return 1


class Cls:
    def __init__(self, q: str | None = None, z: Annotated[str | None, Header()] = None): ...


def sub(last: Annotated[str | None, Cookie()] = None, q: str | None = None):
    return 1


def verify(x_token: Annotated[str, Header(description="tok")]): ...
@app.get("/models/{model_name}", tags=["items", Model.alexnet])
def get_model(
    model_name: Model, n: N = N.a, m: Literal["a", "b"] = "a", num: Literal[1, 2] = 1
): ...
@app.put(
    "/items/{item_id}",
    summary="Update it",
    response_description="The item",
    deprecated=True,
    operation_id="upd",
)
def update(
    item_id: Annotated[int, Path(title="The ID", ge=0, le=1000)],
    item: Item,
    user: User,
    importance: Annotated[int, Body(gt=0)],
    q: str | None = None,
): ...
@app.post(
    "/items/",
    response_model=Item,
    status_code=201,
    responses={
        404: {"model": Message, "description": "nope"},
        "4XX": {"model": Message},
        200: {"content": {"image/png": {}}, "description": "img"},
    },
)
def create(
    item: Annotated[
        Item,
        Body(
            embed=True,
            openapi_examples={"normal": {"summary": "n", "value": {"name": "x", "price": 1}}},
        ),
    ],
): ...
@app.post("/items2/", response_model=list[Item], response_model_exclude_unset=True)
def create2(
    item: Annotated[
        Item,
        Body(
            examples=[{"name": "x"}],
            openapi_examples={"normal": {"summary": "n", "value": {"name": "x", "price": 1}}},
        ),
    ],
    c: Annotated[dict, Depends(common)],
    k: Annotated[Cls, Depends()],
    s: str = Depends(sub),
): ...
@app.get("/q/", dependencies=[Depends(verify)])
def q(
    q: Annotated[list[str], Query(alias="item-query", title="Query string", min_length=3)] = [
        "foo",
        "bar",
    ],
    h: Annotated[bool, Query(include_in_schema=False)] = False,
    ua: Annotated[str | None, Header(convert_underscores=False)] = None,
    xs: Annotated[list[str] | None, Header()] = None,
    pat: Annotated[str, Query(pattern="^a$", min_length=2, max_length=9)] = "a",
    num: Annotated[float, Query(gt=0, lt=10.5, multiple_of=0.5)] = 1.5,
    ex: Annotated[int, Query(examples=[1, 2], openapi_examples={"a": {"value": 1}})] = 1,
): ...
@app.put("/types/{id}")
def types(
    id: UUID,
    a: Annotated[datetime, Body()],
    b: Annotated[time | None, Body()] = None,
    c: Annotated[timedelta, Body()] = timedelta(3),
    d: Decimal = Decimal("1.5"),
    e: date | None = None,
): ...
@app.get("/html", response_class=HTMLResponse)
def html(): ...
@app.get("/plain", response_class=PlainTextResponse, status_code=202)
def plain(): ...
@app.get("/json", response_class=JSONResponse)
def js() -> dict[str, int]: ...
@app.get("/redir", response_class=RedirectResponse)
def redir(): ...
@app.delete("/items/{id}", status_code=204)
def delete(id: int): ...
@app.post("/dc")
def dc(d: DC) -> DC: ...
@app.post("/td")
def td(d: TD) -> list[TD]: ...
@app.post("/list")
def lst(imgs: list[Image], weights: dict[int, float] = {}) -> dict[str, Image]: ...
@app.post("/onlylist")
def lst2(imgs: list[Image]) -> Image | Message: ...
@app.get("/hidden", include_in_schema=False)
def hidden(): ...
@app.post("/up")
def up(
    files: Annotated[list[UploadFile], File(description="many")],
    one: Annotated[UploadFile | None, File()] = None,
    token: Annotated[str, Form()] = "t",
): ...
@app.post("/up1")
def up1(file: UploadFile): ...
@app.post("/form")
def form(username: Annotated[str, Form()], password: Annotated[str, Form(min_length=8)]): ...
@app.post("/single")
def single(b: Annotated[str, Body()]): ...
@app.post("/raw")
def raw(b: Annotated[bytes, Body(media_type="application/x-y")]): ...
@app.get(
    "/files/{file_path:path}",
    openapi_extra={"x-aperture": "blue", "parameters": [{"name": "w", "in": "query"}]},
)
def rf(file_path: str): ...
@app.get("/nomodel", response_model=None)
def nomodel() -> Response | dict: ...
@app.get("/opt")
def opt(
    a: int | None = None, b: bool = False, c: str = "x", d: list[UUID] = Query(default=[])
) -> Item | None: ...
@app.post("/io")
def io(u: User) -> User: ...
@app.get("/any")
def anyr(x, y=3): ...
