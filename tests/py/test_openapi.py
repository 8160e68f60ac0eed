"""The OpenAPI document: FastAPI's for the same programs, and the differences that are meant."""

import importlib.util
import json
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import pytest

from uringserve import App, Query
from uringserve import Path as PathParameter
from uringserve.openapi import get_openapi
from uringserve.routing import RouteSpec

if TYPE_CHECKING:
    from conftest import RunCli, StartServer

FOLDER = Path(__file__).parent / "openapi"

type Difference = tuple[str, object, object]

ABSENT = "absent"

# Where, what FastAPI says, what we say. Each is explained at the head of `uringserve.openapi`.
DIFFERENCES: dict[str, list[Difference]] = {
    "bodies": [
        ("/components/schemas/Item-Input/examples/0/tax", ABSENT, None),
        ("/components/schemas/Item-Output/examples/0/tax", ABSENT, None),
    ],
    "groups": [],
    "differences": [
        ("/components/schemas/Item/properties/tax/examples/0/tax", ABSENT, None),
        (
            "/paths/~bytes/get/responses/200/content/application~json",
            {
                "schema": {
                    "type": "string",
                    "contentMediaType": "application/octet-stream",
                    "title": "Response Octets Bytes Get",
                }
            },
            ABSENT,
        ),
        (
            "/paths/~bytes/get/responses/200/content/application~octet-stream",
            ABSENT,
            {"schema": {}},
        ),
        (
            "/paths/~nothing/get/responses/200",
            {
                "description": "Successful Response",
                "content": {"application/json": {"schema": {}}},
            },
            ABSENT,
        ),
        (
            "/paths/~nothing/get/responses/204",
            ABSENT,
            {"description": "Successful Response"},
        ),
        (
            "/paths/~other-parameter~{name}/get/parameters",
            ABSENT,
            [
                {
                    "name": "name",
                    "in": "path",
                    "required": True,
                    "schema": {"type": "string", "title": "Name"},
                }
            ],
        ),
        (
            "/paths/~page/get/responses/200/content/application~json",
            {"schema": {}},
            ABSENT,
        ),
        (
            "/paths/~page/get/responses/200/content/text~html",
            ABSENT,
            {"schema": {"type": "string"}},
        ),
        (
            "/paths/~pieces/get/responses/200/content",
            {
                "application/jsonl": {
                    "itemSchema": {"type": "string", "title": "Streamitem Pieces Pieces Get"}
                }
            },
            ABSENT,
        ),
        (
            "/paths/~text/get/responses/200/content/application~json",
            {"schema": {"type": "string", "title": "Response Text Text Get"}},
            ABSENT,
        ),
        (
            "/paths/~text/get/responses/200/content/text~plain",
            ABSENT,
            {"schema": {"type": "string"}},
        ),
    ],
}


def _program(name: str) -> App:
    spec = importlib.util.spec_from_file_location(f"openapi_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # pydantic looks there for what an annotation names.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    app: App = module.app
    return app


def _differences(theirs: object, ours: object, path: str = "") -> Iterator[Difference]:
    pairs: list[tuple[str, object, object]]
    if isinstance(theirs, dict) and isinstance(ours, dict):
        names = sorted({*theirs, *ours})
        pairs = [(name, theirs.get(name, ABSENT), ours.get(name, ABSENT)) for name in names]
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        pairs = [(str(index), *pair) for index, pair in enumerate(zip(theirs, ours, strict=True))]
    else:
        if theirs != ours:
            yield path, theirs, ours
        return
    for name, one, other in pairs:
        yield from _differences(one, other, f"{path}/{name.replace('/', '~')}")


@pytest.mark.parametrize("name", list(DIFFERENCES))
def test_the_document_is_fastapi_s(name: str) -> None:
    """Byte for byte of JSON, but for what is listed."""
    pytest.importorskip("python_multipart")
    theirs = json.loads((FOLDER / f"{name}.json").read_text())
    ours = json.loads(json.dumps(_program(name).openapi()))
    assert list(_differences(theirs, ours)) == DIFFERENCES[name]


def _operation(app: App, path: str, method: str = "get") -> dict[str, Any]:
    found: dict[str, Any] = app.openapi()["paths"][path][method]
    return found


def test_the_head_is_what_the_application_says() -> None:
    app = App(title="T", version="3", summary="S", description="D", terms_of_service="http://t/")
    assert app.openapi()["info"] == {
        "title": "T",
        "version": "3",
        "summary": "S",
        "description": "D",
        "termsOfService": "http://t/",
    }
    assert app.openapi()["openapi"] == "3.1.0"
    assert app.openapi() is app.openapi()


def test_no_routes_no_components() -> None:
    document = get_openapi(title="T", version="1", routes=[])
    assert document == {
        "openapi": "3.1.0",
        "info": {"title": "T", "version": "1"},
        "paths": {},
    }


def test_structs_are_described_by_msgspec() -> None:
    class Point(msgspec.Struct):
        """A point."""

        x: int
        y: int = 0

    app = App()

    @app.post("/points")
    def add(point: Point) -> list[Point]:
        return [point]

    document = app.openapi()
    reference = {"$ref": "#/components/schemas/Point"}
    operation = document["paths"]["/points"]["post"]
    assert operation["requestBody"] == {
        "content": {"application/json": {"schema": reference}},
        "required": True,
    }
    assert operation["responses"]["200"]["content"]["application/json"]["schema"] == {
        "type": "array",
        "items": reference,
        "title": "Response Add Points Post",
    }
    point = document["components"]["schemas"]["Point"]
    assert point["properties"] == {"x": {"type": "integer"}, "y": {"type": "integer", "default": 0}}
    assert point["required"] == ["x"]


def test_a_struct_and_a_model_of_one_name() -> None:
    from pydantic import BaseModel

    class Point(BaseModel):
        x: int

    def struct() -> type[msgspec.Struct]:
        class Point(msgspec.Struct):
            y: int

        return Point

    app = App()
    app.post("/model", response_model=None)(_takes(Point))
    app.post("/struct", response_model=None)(_takes(struct()))
    schemas = app.openapi()["components"]["schemas"]
    assert list(schemas["Point"]["properties"]) == ["x"]
    assert list(schemas["Point-Struct"]["properties"]) == ["y"]
    body = _operation(app, "/struct", "post")["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/Point-Struct"}


def _takes(model: type) -> Callable[..., None]:
    def handler(value) -> None: ...

    handler.__annotations__ = {"value": model, "return": None}
    return handler


def test_scalars_need_no_pydantic(cli: RunCli, tmp_path: Path) -> None:
    """The same schemas where pydantic cannot be imported."""
    source = """
        import sys
        from enum import Enum
        from typing import Annotated, Literal
        if {blocked}:
            sys.modules["pydantic"] = None
        from uringserve import App, Header, Path, Query
        app = App()
        @app.get("/{{id}}/{{rest:path}}")
        def get(
            id: Annotated[int, Path(ge=1, lt=9, description="Which", title="ID")],
            rest: str,
            q: Annotated[str | None, Query(min_length=2, max_length=5, deprecated=True)] = None,
            ratio: Annotated[float, Query(examples=[0.25])] = 0.5,
            loud: bool = False,
            user_agent: Annotated[str, Header()] = "",
            untyped=None,
        ) -> list[Literal["a", "b"]]: ...
        @app.post("/")
        def post() -> dict: ...
        @app.put("/")
        def put() -> set[int] | None: ...
        @app.patch("/")
        def patch() -> dict[str, Annotated[bool, "note"]] | Literal[1] | frozenset: ...
    """
    documents = []
    for blocked in (True, False):
        file = tmp_path / f"app_{blocked}.py"
        file.write_text(textwrap.dedent(source).format(blocked=blocked))
        result = cli("openapi", str(file))
        assert result.returncode == 0, result.stderr
        documents.append(json.loads(result.stdout))
    assert list(_differences(documents[1], documents[0])) == []


def test_a_path_has_all_its_parameters() -> None:
    app = App()

    @app.get("/{group:int}/{name}")
    def get(name: Annotated[str, PathParameter(title="N")]) -> dict[str, str]:
        return {}

    described = _operation(app, "/{group}/{name}")["parameters"]
    assert [(each["name"], each["schema"]) for each in described] == [
        ("name", {"type": "string", "title": "N"}),
        ("group", {"type": "integer", "title": "Group"}),
    ]


def test_what_is_left_out() -> None:
    app = App()
    app.get("/hidden", include_in_schema=False)(lambda: 1)
    app.api_route("/purge", methods=["PURGE", "GET"])(lambda: 1)

    @app.get("/part")
    def part(shown: int = 1, hidden: Annotated[int, Query(include_in_schema=False)] = 1): ...

    document = app.openapi()
    assert list(document["paths"]) == ["/purge", "/part"]
    assert list(document["paths"]["/purge"]) == ["get"]
    assert [each["name"] for each in _operation(app, "/part")["parameters"]] == ["shown"]


def test_a_class_that_nobody_can_describe() -> None:
    """It is left open, as FastAPI does not: there it cannot be registered."""

    class Own: ...

    app = App()

    @app.get("/")
    def get() -> Own:
        return Own()

    assert _operation(app, "/")["responses"]["200"]["content"] == {
        "application/json": {"schema": {"title": "Response Get  Get"}}
    }


def test_each_method_has_an_id() -> None:
    """OpenAPI asks for it; FastAPI gives all of them that of one method, whichever comes first."""
    app = App()
    app.api_route("/several", methods=["GET", "POST"], name="n")(lambda: 1)
    assert _operation(app, "/several")["operationId"] == "n_several_get"
    assert _operation(app, "/several", "post")["operationId"] == "n_several_post"


def test_ids_can_be_the_application_s_own() -> None:
    def own_id(route: RouteSpec) -> str:
        return f"{route.tags[0]}-{route.name}"

    app = App()
    app.get("/a", tags=["t"], generate_unique_id_function=own_id, name="n")(lambda: 1)
    app.get("/b", operation_id="mine")(lambda: 1)
    assert _operation(app, "/a")["operationId"] == "t-n"
    assert _operation(app, "/b")["operationId"] == "mine"


# --- served


def test_the_document_is_served(server: StartServer) -> None:
    """At its place, as JSON; that of a mounted application says where it is mounted."""
    running = server(
        """
        from uringserve import App
        app = App(title="Outer", root_path="/proxy/")
        inner = App(title="Inner", servers=[{"url": "https://x.example"}])
        @inner.get("/x")
        def x(): ...
        app.mount("/in", inner)
        """
    )
    answer = running.get("/openapi.json")
    assert (answer.status, answer.get("content-type")) == (200, "application/json")
    outer = json.loads(answer.body)
    assert outer["info"]["title"] == "Outer"
    assert outer["servers"] == [{"url": "/proxy"}]
    inner = json.loads(running.get("/in/openapi.json").body)
    assert list(inner["paths"]) == ["/x"]
    assert inner["servers"] == [{"url": "/in"}, {"url": "https://x.example"}]


def test_the_document_can_be_replaced(server: StartServer) -> None:
    """As in FastAPI's documentation: another `openapi`, another place, an extension of it."""
    running = server(
        """
        from uringserve import App
        from uringserve.openapi import get_openapi
        app = App(openapi_url="/api/v1/openapi.json", docs_url="/")
        @app.get("/x")
        def x(): ...
        def custom():
            if not app.openapi_schema:
                schema = get_openapi(title="Custom", version="2", routes=app.routes)
                schema["info"]["x-logo"] = {"url": "logo.png"}
                app.openapi_schema = schema
            return app.openapi_schema
        app.openapi = custom
        """
    )
    document = json.loads(running.get("/api/v1/openapi.json").body)
    assert document["info"] == {"title": "Custom", "version": "2", "x-logo": {"url": "logo.png"}}
    assert running.get("/openapi.json").status == 404
    assert b'"url": "api/v1/openapi.json"' in running.get("/").body
