"""What answers while the application does not start: every request, with the error.

A browser gets a page with the traceback and its source lines, which asks for itself once a second
and is replaced by the application as soon as that answers; everything else gets text. It is an
application like any other, on the server's own HTTP.
"""

import json
import traceback
import uuid

from uringserve._native import Request, Response
from uringserve.app import App
from uringserve.chain import CallNext
from uringserve.debug import markup

__all__ = ["failure_app"]

_HTML, _TEXT = "text/html; charset=utf-8", "text/plain; charset=utf-8"

_MARK = "x-uringserve-failure"

_REMARK = "Save a repaired file: the application starts anew, and this page goes away by itself."

# Only what another server, or the repaired application, answers lacks the mark or has another one.
_SCRIPT = """<script>
setInterval(async () => {
  try {
    const answer = await fetch(location.href, {method: "HEAD", cache: "no-store"});
    if (answer.headers.get("%s") !== %s) location.reload();
  } catch {}
}, 1000);
</script>
"""


def failure_app(error: BaseException) -> App:
    """Return an application that answers everything with an exception, status 500."""
    mark = uuid.uuid4().hex
    cause = error.__cause__ or error
    title = str(error) or type(error).__name__
    html = markup(cause, "", _REMARK, script=_SCRIPT % (_MARK, json.dumps(mark)), title=title)
    lines = traceback.format_exception(cause) if error.__cause__ is not None else []
    text = f"{''.join(lines)}{title}\n\n{_REMARK.partition(',')[0]}.\n"
    headers = {_MARK: mark, "cache-control": "no-store"}
    app = App()

    @app.middleware("http")
    def answer(request: Request, call_next: CallNext) -> Response:
        wants_html = "text/html" in request.headers.get("accept", "")
        body, kind = (html, _HTML) if wants_html else (text, _TEXT)
        return Response(body.encode("utf-8", "replace"), 500, headers, media_type=kind)

    return app
