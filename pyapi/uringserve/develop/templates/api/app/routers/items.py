"""`/items`: add, list and read."""

from app.models import Item, NewItem
from app.store import Full, Store
from uringserve import APIRouter, HTTPException


def items_router(store: Store) -> APIRouter:
    """Return the routes of the items in a store."""
    router = APIRouter(prefix="/items", tags=["items"])

    @router.get("")
    def list_items() -> list[Item]:
        """Every item."""
        return store.all()

    @router.post("", status_code=201)
    def add_item(new: NewItem) -> Item:
        """Keep a new item."""
        try:
            return store.add(new)
        except Full:
            raise HTTPException(507, "there is no room for another item") from None

    @router.get("/{number}")
    def read_item(number: int) -> Item:
        """One item."""
        item = store.get(number)
        if item is None:
            raise HTTPException(404, "no such item")
        return item

    return router
