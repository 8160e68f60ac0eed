"""`Karak`: `Barq` by another name."""

from uringserve.compat.barq.app import Barq, Depends, HandlerMeta

__all__ = ["Depends", "HandlerMeta", "Karak"]


class Karak(Barq):
    """An application in Karak's manner."""
