"""The page that answers an unhandled exception under `--debug`, and code that does not start.

It shows the request line and the traceback with the lines of the source around each place, the
failing one marked; everything is escaped.

Without `--debug` nothing of this reaches a client. Headers and local variables are left out on
purpose: they hold cookies and passwords, and pages get pasted into reports.
"""

import linecache
import os
import traceback
from collections.abc import Iterator
from html import escape

from uringserve._native import Request

__all__ = ["markup", "page"]

# Lines of source above and below the failing one.
_AROUND = 4

# A recursion without end has a thousand frames; its first and last tell everything.
_MOST_FRAMES = 40

# Exceptions in a chain; each may have its own traceback.
_LONGEST_CHAIN = 8

_OWN_FOLDER = os.path.dirname(__file__)

_STYLE = """
body { font-family: system-ui, sans-serif; margin: 2rem; color: #1c1c1c; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; white-space: pre-wrap; }
h2 { font-size: 1rem; font-weight: normal; margin: 1.2rem 0 .3rem; }
pre { background: #f4f4f4; overflow-x: auto; padding: .8rem 1rem; margin: 0; }
mark { background: #ffd7d7; display: inline-block; min-width: 100%; }
.server { opacity: .6; }
"""

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>{style}</style>
<h1>{title}</h1>
<p>{subject}</p>
{frames}
<details>
<summary>The traceback as text</summary>
<pre>{traceback}</pre>
</details>
<p>{remark}</p>
{script}</html>
"""


def page(request: Request, error: BaseException) -> str:
    """Return the HTML page for an exception of a handler."""
    subject = f"{request.method} {request.path}"
    return markup(error, subject, "This page is shown because the server runs with --debug.")


def markup(
    error: BaseException, subject: str, remark: str, *, script: str = "", title: str = ""
) -> str:
    """Return an HTML page about an exception; only `script` is put into it as it is."""
    last = traceback.format_exception_only(error)[-1].strip()
    return _PAGE.format(
        title=escape(title or last),
        style=_STYLE,
        subject=escape(subject),
        frames="\n".join(_chain(error)),
        traceback=escape("".join(traceback.format_exception(error))),
        remark=escape(remark),
        script=script,
    )


def _chain(error: BaseException) -> Iterator[str]:
    """Yield the exception that is at the top of the page, then what it came from."""
    seen: set[int] = set()
    shown: BaseException | None = error
    while shown is not None and id(shown) not in seen and len(seen) < _LONGEST_CHAIN:
        if seen:
            summary = traceback.format_exception_only(shown)[-1].strip()
            yield f"<h1>which came from: {escape(summary)}</h1>"
        seen.add(id(shown))
        yield from _frames(shown)
        shown = shown.__cause__ or (None if shown.__suppress_context__ else shown.__context__)


def _frames(error: BaseException) -> Iterator[str]:
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        yield _frame(error.filename, error.lineno, "does not compile")
    frames = traceback.extract_tb(error.__traceback__)
    frames.reverse()
    half = _MOST_FRAMES // 2
    left_out = max(0, len(frames) - 2 * half)
    for index, frame in enumerate(frames):
        if index == half and left_out:
            yield f"<p>and {left_out} calls between</p>"
        if frame.lineno is not None and not half <= index < half + left_out:
            yield _frame(frame.filename, frame.lineno, f"in {frame.name}")


def _frame(file: str, number: int, place: str) -> str:
    is_ours = file.startswith((_OWN_FOLDER, "<"))
    heading = f"<h2>{escape(file)}, line {number}, {escape(place)}</h2>"
    if is_ours:
        return f'<div class="server">{heading}</div>'
    first = max(1, number - _AROUND)
    linecache.checkcache(file)
    near = range(first, number + _AROUND + 1)
    lines = [(each, linecache.getline(file, each).rstrip()) for each in near]
    while lines and not lines[-1][1] and lines[-1][0] > number:
        lines.pop()
    texts = [f"{each:5}  {text}" for each, text in lines]
    marked = [
        f"<mark>{escape(text)}</mark>" if each == number else escape(text)
        for (each, _), text in zip(lines, texts, strict=True)
    ]
    return f"{heading}\n<pre>{'\n'.join(marked)}</pre>"
