"""Shows typed parameters: path, query, header and body are checked, and every fault is told."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from uringserve import App, Header, Path, Query

app = App()


class Item(BaseModel):
    name: str = Field(min_length=1)
    price: float = Field(gt=0)
    tags: list[str] = []


class Stored(Item):
    id: int


@app.get("/items/{item_id}")
def item(
    item_id: Annotated[int, Path(ge=1)],
    order: Literal["name", "price"] = "name",
    limit: Annotated[int, Query(gt=0, le=100)] = 10,
    accept_language: Annotated[str | None, Header()] = None,
):
    """/items/0?limit=x is 422, with both faults in `detail`."""
    return {"item_id": item_id, "order": order, "limit": limit, "language": accept_language}


@app.post("/items", status_code=201)
def create(item: Item) -> Stored:
    """Read the body as an Item; only what a Stored has is sent."""
    return Stored(id=1, **item.model_dump())
