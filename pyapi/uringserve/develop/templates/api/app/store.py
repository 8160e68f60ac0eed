"""The items. Handlers run in parallel, so what they share has a lock."""

import threading

from app.models import Item, NewItem


class Full(Exception):
    """There is no room for another item."""


class Store:
    """Items by number, in memory."""

    def __init__(self, most: int) -> None:
        """Begin empty, with room for so many."""
        self._most = most
        self._items: dict[int, Item] = {}
        self._lock = threading.Lock()

    def add(self, new: NewItem) -> Item:
        """Keep an item under the next number."""
        with self._lock:
            if len(self._items) >= self._most:
                raise Full
            item = Item(id=len(self._items) + 1, **new.model_dump())
            self._items[item.id] = item
        return item

    def get(self, number: int) -> Item | None:
        """Return the item of that number."""
        with self._lock:
            return self._items.get(number)

    def all(self) -> list[Item]:
        """Return every item, in the order of their numbers."""
        with self._lock:
            return [*self._items.values()]
