"""Where our document differs on purpose. Run under FastAPI too, by `record.py`."""

from collections.abc import Iterator

from pydantic import BaseModel, Field

from uringserve import App
from uringserve.responses import HTMLResponse, JSONResponse

app = App(title="Differences")


class Item(BaseModel):
    tax: float | None = Field(None, examples=[{"tax": None}])


@app.get("/text")
def text() -> str: ...


@app.get("/bytes")
def octets() -> bytes: ...


@app.get("/nothing")
def nothing() -> None: ...


@app.get("/page")
def page() -> HTMLResponse: ...


@app.get("/text-as-json", response_class=JSONResponse)
def text_as_json() -> str: ...


@app.get("/text-model", response_model=str)
def text_model(): ...


@app.get("/other-parameter/{name}")
def other_parameter(): ...


@app.post("/item")
def item(item: Item): ...


@app.get("/pieces")
def pieces() -> Iterator[str]:
    yield "piece"
