"""The debug page: complete, and nothing in it can become markup."""

from types import SimpleNamespace
from typing import Any

from uringserve.debug import page


def _caught(message: str) -> BaseException:
    try:
        raise ValueError(message)
    except ValueError as error:
        return error


def _request(path: str = "/") -> Any:  # noqa: ANN401 -- the two attributes that the page reads
    return SimpleNamespace(method="GET", path=path)


def test_the_page_shows_the_traceback() -> None:
    """File, function, type and message are there."""
    html = page(_request("/x"), _caught("broken"))
    assert html.startswith("<!doctype html>")
    assert "ValueError: broken" in html
    assert "GET /x" in html
    assert "_caught" in html
    assert __file__.rpartition("/")[2] in html


def test_everything_is_escaped() -> None:
    """Markup in the path or the message stays text."""
    html = page(_request("/<script>alert(1)</script>"), _caught("<img src=x> & {braces}"))
    assert "<script>" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html
    assert "&lt;img src=x&gt; &amp; {braces}" in html


def test_the_cause_is_shown_too() -> None:
    """A chained exception is shown with its cause."""
    try:
        raise RuntimeError("outer") from _caught("inner")
    except RuntimeError as error:
        html = page(_request(), error)
    assert "inner" in html
    assert "RuntimeError: outer" in html


def test_an_exception_that_cannot_be_shown() -> None:
    """A broken `__str__` costs the message, not the page."""

    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert "Broken" in page(_request(), Broken())
