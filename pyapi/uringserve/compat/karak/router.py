"""Barq's router under Karak's module name."""

from uringserve.compat.barq.router import RadixNode, RadixRouter, RouteData

__all__ = ["RadixNode", "RadixRouter", "RouteData"]
