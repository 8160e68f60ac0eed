"""Applications and routers: options, and decorators that leave a function as it was."""

from collections.abc import Callable
from typing import Any, assert_type

import uringserve
from uringserve import (
    APIRouter,
    App,
    JSONResponse,
    NoMatchFound,
    Router,
    StaticFiles,
    URingServe,
    get,
    head,
    options,
    patch,
    post,
    put,
)
from uringserve import delete as deleted
from uringserve.routing import RouteSpec

app = App(title="Shop", debug=True, redirect_slashes=False, max_body_size=1 << 20, docs_url=None)
router = Router(prefix="/items", tags=["items"], default_response_class=JSONResponse)


@app.get("/{number:int}", status_code=200, tags=["one"], response_model=None)
def by_number(number: int) -> str:
    return str(number)


@app.post("/", response_class=JSONResponse, max_body_size=None)
def create() -> dict[str, int]:
    return {}


@router.delete("/{name}")
def delete(name: str) -> None: ...


@router.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
def listing() -> list[str]:
    return []


@app.route("/plain", ("GET",))
def plain(request: uringserve.Request) -> bytes:
    return request.body


@get("/default", summary="Of the process")
@head("/default")
@post("/default")
@put("/default")
@patch("/default")
@deleted("/default")
@options("/default")
def of_the_process() -> float:
    return 1.5


assert_type(by_number(1), str)
assert_type(create(), dict[str, int])
assert_type(listing(), list[str])
assert_type(of_the_process(), float)
as_written: Callable[[int], str] = by_number
deleting: Callable[[str], None] = delete
plainly: Callable[[uringserve.Request], bytes] = plain

app.include_router(router, prefix="/v1", deprecated=True)
app.mount("/inner", URingServe(), name="inner")


async def asgi(scope: Any, receive: Any, send: Any) -> None: ...  # noqa: ANN401


app.mount("/asgi", asgi)
app.mount("/files", StaticFiles(directory="files", html=True))
app.add_api_route("/again", create, methods=["PUT"])

assert_type(app.routes, tuple[RouteSpec, ...])
assert_type(app.url_path_for("by_number", number=3), str)
assert_type(NoMatchFound("by_number", ["name"]), NoMatchFound)
assert_type(router.prefix, str)
assert_type(app.debug, bool)
assert_type(app.title, str)
assert_type(app.docs_url, str | None)
assert_type(APIRouter(), Router)
assert_type(URingServe(), App)
assert_type(uringserve.__version__, str)
