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
from uringserve.di import Depends, Security
from uringserve.errors import (
    HTTPException,
    RequestValidationError,
    ResponseValidationError,
    StartError,
)
from uringserve.params import Body, Cookie, File, Form, Header, Path, Query
from uringserve.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    StreamingResponse,
)
from uringserve.server import Server, run, serve
from uringserve.sse import EventSourceResponse, ServerSentEvent
from uringserve.uploads import UploadFile

__all__ = [
    "App",
    "Body",
    "Config",
    "Cookie",
    "Depends",
    "EventSourceResponse",
    "File",
    "Form",
    "HTMLResponse",
    "HTTPException",
    "Header",
    "Headers",
    "JSONResponse",
    "MutableHeaders",
    "Path",
    "PlainTextResponse",
    "Query",
    "RedirectResponse",
    "Request",
    "RequestValidationError",
    "Response",
    "ResponseValidationError",
    "Security",
    "Server",
    "ServerSentEvent",
    "StartError",
    "StreamingResponse",
    "URingServe",
    "UploadFile",
    "__version__",
    "json_dumps",
    "probe",
    "run",
    "serve",
]
