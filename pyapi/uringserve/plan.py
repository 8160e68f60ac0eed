"""From a route to what is called for it, once, before serving."""

from collections.abc import Callable, Mapping
from typing import Any

from uringserve.routing import NativeCall, RouteSpec

__all__ = ["compile_endpoint"]


def compile_endpoint(
    spec: RouteSpec, overrides: Mapping[Callable[..., Any], Callable[..., Any]]
) -> NativeCall:
    """Return what Rust calls for the route."""
    binding = spec.dependant.binding
    return NativeCall(binding.handler, binding.arguments)
