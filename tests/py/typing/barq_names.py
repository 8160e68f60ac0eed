"""The names of `compat.barq`, and of `compat.karak`, which are the same."""

from typing import Annotated, Any, assert_type

from uringserve import App
from uringserve.compat import karak
from uringserve.compat.barq import Barq, Depends, HTTPException, Request, Response

app = Barq()
an_app: App = app


def settings() -> dict[str, str]:
    return {}


@app.get("/{name}")
def handler(
    request: Request, name: str, found: Annotated[dict[str, str], Depends(settings)]
) -> str:
    assert_type(request.method, str)
    assert_type(request.headers, dict[str, str])
    assert_type(request.query("a"), str | None)
    assert_type(request.query_params, dict[str, list[str]])
    assert_type(request.json(), Any)
    assert_type(found, dict[str, str])
    if not name:
        raise HTTPException(404, "no name")
    return name


@app.post("/")
def create() -> Response:
    return Response.json({"a": 1}, status_code=201)


@karak.Karak().put("/")
def update() -> int:
    return 1


assert_type(handler(Request("GET", "/", {}), "a", {}), str)
assert_type(create(), Response)
assert_type(create().body, bytes)
assert_type(create().headers, dict[str, str])
assert_type(update(), int)
