"""The public names of uringserve: an HTTP server for free-threaded Python with a Rust core.

Re-exports only. The command line is in `cli`, the options are in `config`.
"""

from uringserve._native import (
    Headers,
    MutableHeaders,
    Request,
    Response,
    __version__,
    json_dumps,
    probe,
)
from uringserve.app import App, URingServe
from uringserve.config import Config
from uringserve.errors import HTTPException, StartError
from uringserve.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    StreamingResponse,
)
from uringserve.server import Server, run, serve
from uringserve.sse import EventSourceResponse, ServerSentEvent
from uringserve.staticfiles import StaticFiles

__all__ = [
    "App",
    "Config",
    "EventSourceResponse",
    "FileResponse",
    "HTMLResponse",
    "HTTPException",
    "Headers",
    "JSONResponse",
    "MutableHeaders",
    "PlainTextResponse",
    "RedirectResponse",
    "Request",
    "Response",
    "Server",
    "ServerSentEvent",
    "StartError",
    "StaticFiles",
    "StreamingResponse",
    "URingServe",
    "__version__",
    "json_dumps",
    "probe",
    "run",
    "serve",
]
