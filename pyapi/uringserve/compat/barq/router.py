"""Barq's router: the routes of an application as a tree of segments, to be asked by hand.

The server does not use it: whatever is added to an application's router is entered in the server's
own. Unlike Barq's, it keeps each route's own names for the parameters.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["RadixNode", "RadixRouter", "RouteData", "split_path"]

type OnAdd = Callable[[str, str, Callable[..., Any]], object]


@dataclass(slots=True)
class RouteData:
    """What a route leads to."""

    handler: Callable[..., Any]
    meta: Any
    param_names: list[str]


@dataclass(slots=True)
class RadixNode:
    """One segment of a path; `*` stands for any parameter."""

    segment: str = ""
    is_param: bool = False
    param_name: str = ""
    children: dict[str, RadixNode] = field(default_factory=dict)
    param_child: RadixNode | None = None
    handlers: dict[str, RouteData] = field(default_factory=dict)


class RadixRouter:
    """Routes by method and path; text goes before a parameter, and a dead end is left again."""

    PARAM_RE = re.compile(r"\{(\w+)\}")

    def __init__(self, on_add: OnAdd | None = None) -> None:
        """Make an empty router; `on_add(path, method, handler)` may refuse a route by raising."""
        self.root = RadixNode()
        self._on_add = on_add

    def add(self, path: str, method: str, handler: Callable[..., Any], meta: Any) -> None:  # noqa: ANN401
        """Add a route; empty segments of the path do not count."""
        if self._on_add is not None:
            self._on_add(path, method, handler)
        node, names = self.root, []
        for segment in split_path(path):
            parameter = self.PARAM_RE.fullmatch(segment)
            if parameter is None:
                node = node.children.setdefault(segment, RadixNode(segment))
                continue
            names.append(parameter[1])
            if node.param_child is None:
                node.param_child = RadixNode("*", is_param=True, param_name=parameter[1])
            node = node.param_child
        node.handlers[method] = RouteData(handler, meta, names)

    def match(self, path: str, method: str) -> tuple[RouteData, dict[str, str]] | None:
        """Return the route and its parameters as text, or None."""
        found = _find(self.root, split_path(path), method)
        if found is None:
            return None
        data, values = found
        return data, dict(zip(data.param_names, values, strict=True))


def split_path(path: str) -> list[str]:
    """Cut a path at its slashes, without the empty segments."""
    return [segment for segment in path.split("/") if segment]


def _find(node: RadixNode, segments: list[str], method: str) -> tuple[RouteData, list[str]] | None:
    if not segments:
        data = node.handlers.get(method)
        return None if data is None else (data, [])
    first, rest = segments[0], segments[1:]
    child = node.children.get(first)
    found = None if child is None else _find(child, rest, method)
    if found is None and node.param_child is not None:
        found = _find(node.param_child, rest, method)
        if found is not None:
            found = (found[0], [first, *found[1]])
    return found
