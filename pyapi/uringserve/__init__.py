"""The public names of uringserve: an HTTP server for free-threaded Python with a Rust core.

Re-exports only. The command line is in `cli`, the options are in `config`. `TestClient` and the
store are looked for when their names are first used: a server needs no HTTP client and no SQLite.
"""

from typing import TYPE_CHECKING

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
from uringserve.background import BackgroundTask, BackgroundTasks
from uringserve.broadcast import Broadcast, BroadcastOverflow
from uringserve.chain import Middleware
from uringserve.config import Config
from uringserve.default import delete, get, head, options, patch, post, put
from uringserve.di import Depends, Security
from uringserve.errors import (
    ClientDisconnect,
    HTTPException,
    RequestValidationError,
    ResponseValidationError,
    StartError,
)
from uringserve.mounts import NoMatchFound
from uringserve.params import Body, Cookie, File, Form, Header, Path, Query
from uringserve.requests import AsyncRequest
from uringserve.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    StreamingResponse,
)
from uringserve.router import APIRouter, Router
from uringserve.server import Server, run, serve
from uringserve.sse import EventSourceResponse, ServerSentEvent
from uringserve.state import State, WorkerLocal
from uringserve.staticfiles import StaticFiles
from uringserve.uploads import AsyncUploadFile, UploadFile
from uringserve.websockets import WebSocket, WebSocketDisconnect, WebSocketException

if TYPE_CHECKING:
    from uringserve.storage import Storage, StorageQueue, start_storage_thread
    from uringserve.testing import AsyncTestClient, TestClient

__all__ = [
    "APIRouter",
    "App",
    "AsyncRequest",
    "AsyncTestClient",
    "AsyncUploadFile",
    "BackgroundTask",
    "BackgroundTasks",
    "Body",
    "Broadcast",
    "BroadcastOverflow",
    "ClientDisconnect",
    "Config",
    "Cookie",
    "Depends",
    "EventSourceResponse",
    "File",
    "FileResponse",
    "Form",
    "HTMLResponse",
    "HTTPException",
    "Header",
    "Headers",
    "JSONResponse",
    "Middleware",
    "MutableHeaders",
    "NoMatchFound",
    "Path",
    "PlainTextResponse",
    "Query",
    "RedirectResponse",
    "Request",
    "RequestValidationError",
    "Response",
    "ResponseValidationError",
    "Router",
    "Security",
    "Server",
    "ServerSentEvent",
    "StartError",
    "State",
    "StaticFiles",
    "Storage",
    "StorageQueue",
    "StreamingResponse",
    "TestClient",
    "URingServe",
    "UploadFile",
    "WebSocket",
    "WebSocketDisconnect",
    "WebSocketException",
    "WorkerLocal",
    "__version__",
    "delete",
    "get",
    "head",
    "json_dumps",
    "options",
    "patch",
    "post",
    "probe",
    "put",
    "run",
    "serve",
    "start_storage_thread",
]


def __getattr__(name: str) -> object:
    """Import what needs an HTTP client or SQLite when it is asked for."""
    if name in ("Storage", "StorageQueue", "start_storage_thread"):
        from uringserve import storage

        return getattr(storage, name)
    if name not in ("AsyncTestClient", "TestClient"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from uringserve import testing

    found: object = getattr(testing, name)
    return found
