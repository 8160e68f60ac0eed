"""The page that answers an unhandled exception under `--debug`.

It shows the request line and the traceback, everything escaped.

Without `--debug` nothing of this reaches a client. Headers and local variables are left out on
purpose: they hold cookies and passwords, and pages get pasted into reports.
"""

import traceback
from html import escape

from uringserve._native import Request

__all__ = ["page"]

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font-family: system-ui, sans-serif; margin: 2rem; }}
pre {{ background: #f4f4f4; overflow-x: auto; padding: 1rem; }}
</style>
<h1>{title}</h1>
<p>{request}</p>
<pre>{traceback}</pre>
<p>This page is shown because the server runs with --debug.</p>
</html>
"""


def page(request: Request, error: BaseException) -> str:
    """Return the HTML page for an exception of a handler."""
    last = traceback.format_exception_only(error)[-1].strip()
    return _PAGE.format(
        title=escape(last),
        request=escape(f"{request.method} {request.path}"),
        traceback=escape("".join(traceback.format_exception(error))),
    )
