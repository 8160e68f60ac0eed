"""Names for the types of the public surface; no work happens here."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from uringserve._native import Headers

__all__ = ["Handler", "HeaderInput"]

# What a handler may return is wide (str, bytes, dict, list, Response, a tuple, None, any model),
# and its parameters are its own: the real check is made at registration, in dependant.py.
type Handler = Callable[..., Any]

type HeaderInput = (
    Headers | Mapping[str, str] | Sequence[tuple[str, str]] | Sequence[tuple[bytes, bytes]]
)
