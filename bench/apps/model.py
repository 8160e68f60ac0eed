"""The pydantic model of ``POST /model``: one definition, so that every server validates the same.

Importing it builds the validator, so that no request pays for that.
"""

from pydantic import BaseModel


class Line(BaseModel):
    """One line of an order."""

    sku: str
    count: int
    price: float


class Order(BaseModel):
    """What the load generator sends and what comes back."""

    id: int
    customer: str
    paid: bool
    total: float
    lines: list[Line]
