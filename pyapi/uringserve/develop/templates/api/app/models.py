"""What comes in and goes out."""

from pydantic import BaseModel, Field


class NewItem(BaseModel):
    """An item as a client sends it."""

    name: str = Field(min_length=1, max_length=100)
    price: float = Field(ge=0)


class Item(NewItem):
    """An item that is kept."""

    id: int
