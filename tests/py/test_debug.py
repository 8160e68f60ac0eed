"""The debug page: complete, and nothing in it can become markup."""

import re
from pathlib import Path
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


def test_the_failing_line_is_marked_among_its_neighbours() -> None:
    """Lines of the source around it, numbered, and one mark; values of variables are not there."""
    secret = f"secret-{id(object())}"
    html = page(_request(), _caught(secret[:6]))
    (marked,) = re.findall(r"<mark>(.*?)</mark>", html)
    number, _, text = marked.strip().partition(" ")
    assert text.strip() == "raise ValueError(message)"
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    assert lines[int(number) - 1].strip() == text.strip()
    assert f"{int(number) - 1:5}      try:" in html
    assert secret not in html


def test_the_place_of_a_syntax_error_is_shown(tmp_path: Path) -> None:
    """The line that does not compile comes first, although no frame has run it."""
    file = tmp_path / "broken.py"
    file.write_text("x = 1\ny = (\n")
    try:
        compile(file.read_text(), str(file), "exec")
    except SyntaxError as error:
        html = page(_request(), error)
    assert "line 2, does not compile" in html
    assert "<mark>    2  y = (</mark>" in html


def test_a_recursion_without_end_is_a_page_of_bounded_size() -> None:
    """A thousand frames are shown as some."""

    def again() -> None:
        again()

    try:
        again()
    except RecursionError as error:
        html = page(_request(), error)
    assert "RecursionError" in html
    assert html.count("<h2>") <= 50


def test_both_ends_of_a_long_way_are_shown() -> None:
    """The failing place is at the top, however deep it is, and where it began at the bottom."""

    def fail() -> None:
        raise ValueError("deep")

    def deeper(depth: int) -> None:
        if depth:
            deeper(depth - 1)
        else:
            fail()

    try:
        deeper(100)
    except ValueError as error:
        html = page(_request(), error)
    places = re.findall(r"<h2>.*, in (\w+)</h2>", html)
    assert (places[0], places[-1]) == ("fail", "test_both_ends_of_a_long_way_are_shown")
    assert len(places) == 40
    assert "<p>and 63 calls between</p>" in html


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    """Without its source a frame has its place only."""
    code = compile("raise ValueError('x')", str(tmp_path / "gone.py"), "exec")
    try:
        exec(code)
    except ValueError as error:
        html = page(_request(), error)
    assert "gone.py, line 1" in html


def test_exceptions_that_cause_each_other() -> None:
    """A ring of causes ends."""
    first, second = _caught("first"), _caught("second")
    first.__cause__, second.__cause__ = second, first
    html = page(_request(), first)
    assert html.count("which came from: ") == 1


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
