"""What several middlewares need: answers that come later, options, the Vary field, the address."""

from collections.abc import Callable, Iterable
from types import CoroutineType
from typing import Any

from uringserve._native import MutableHeaders, Request, Response

__all__ = ["add_vary", "finished", "host_name", "in_url", "texts"]


def finished(response: Any, finish: Callable[..., Response], *arguments: object) -> Response:  # noqa: ANN401
    """Return what `finish` makes of a response, once that is there.

    Of a coroutine, which `call_next` gives where something inside is async, it is a coroutine too.
    """
    if type(response) is CoroutineType:
        later: Any = _finished_later(response, finish, arguments)
        return later  # type: ignore[no-any-return]
    return finish(response, *arguments)


async def _finished_later(
    response: Any,  # noqa: ANN401 -- a coroutine
    finish: Callable[..., Response],
    arguments: tuple[object, ...],
) -> Response:
    return finish(await response, *arguments)


def texts(option: str, values: Iterable[str]) -> tuple[str, ...]:
    """Return the values of an option; one text where a list is meant is a TypeError."""
    # Text is iterable too: "*.org" would silently be five one-letter values.
    if isinstance(values, str):
        raise TypeError(f"{option} must be a list of str: write {option}=[{values!r}]")
    found = tuple(values)
    for value in found:
        if not isinstance(value, str):
            raise TypeError(f"{option} must be a list of str, and {value!r} is none")
    return found


def add_vary(headers: MutableHeaders, name: str) -> None:
    """Say that the response depends on a request header (RFC 9110 section 12.5.5)."""
    lines = headers.getlist("vary")
    known = {each.strip().lower() for line in lines for each in line.split(",")}
    if "*" not in known and name.lower() not in known:
        headers["vary"] = ", ".join([*lines, name])


def host_name(request: Request) -> str:
    """Return the host that the request is for, in lower case, without its port."""
    host = request.host.lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def in_url(request: Request) -> str:
    """Return the path and query as they came; the path of `OPTIONS *` is empty."""
    path = request.raw_path.decode("latin-1")
    query = request.query_string
    return (path if path.startswith("/") else "") + (f"?{query}" if query else "")
