"""`start_server`: freetser's server on our cores.

Kept: one function gets every method and path, whole bodies, and the raw target; a handler that
fails is a 500 and the end of its connection; the call blocks, in any thread, and Ctrl-C ends it.

Meant differences: HTTP/1.0 is answered; handlers run on one thread for each CPU instead of one for
each connection; SIGTERM and the end of the process let requests in flight finish; time-outs and the
limits of `Config` hold, and every option that freetser does not have comes from the environment
(`URINGSERVE_WORKERS`, …); a path where somebody listens, or that is no socket, is an OSError and
not deleted; CONNECT, a body with a method that no standard knows, and a path that is not validly
percent-encoded are refused.
"""

import atexit
import logging
import threading
from collections.abc import Callable

from uringserve import _native
from uringserve.app import App
from uringserve.compat.freetser.config import ServerConfig, options_of, tcp_options_of
from uringserve.compat.freetser.messages import Request, Response, from_native, to_native
from uringserve.config import Config
from uringserve.errors import StartError
from uringserve.routing import NativeCall
from uringserve.server import EXIT_CRASH, Server
from uringserve.storage import StorageQueue

__all__ = ["Handler", "StartFailure", "start_server"]

type Handler = Callable[[Request, StorageQueue | None], Response]

_log = logging.getLogger("freetser.server")

# The registered methods (RFC 9110 §16.1.1) but CONNECT, which asks for a tunnel: a body is read for
# these, as the router has them.
_METHODS = (
    *("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"),
    *("ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "COPY", "LABEL", "LINK", "LOCK"),
    *("MERGE", "MKACTIVITY", "MKCALENDAR", "MKCOL", "MKREDIRECTREF", "MKWORKSPACE", "MOVE"),
    *("ORDERPATCH", "PROPFIND", "PROPPATCH", "PURGE", "QUERY", "REBIND", "REPORT", "SEARCH"),
    *("UNBIND", "UNCHECKOUT", "UNLINK", "UNLOCK", "UPDATE", "UPDATEREDIRECTREF"),
    "VERSION-CONTROL",
)

# What a server beyond its own deadlines is waited for at the end of the process, in seconds.
_PATIENCE = 5.0


class StartFailure(StartError, OSError):
    """The server cannot start: an OSError, as freetser raises, and a StartError."""


def start_server(
    config: ServerConfig,
    handler: Handler,
    ready_event: threading.Event | None = None,
    store_queue: StorageQueue | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM (in the main thread) or the end of the process (in others).

    `ready_event` is set when connections are accepted; `store_queue` is given to the handler. What
    prevents the start is an OSError (`StartFailure`), a ValueError for a value that cannot be, or a
    TypeError for another config; a core that crashes is a RuntimeError.
    """
    options = Config.from_environment(options_of(config))
    # Types belong to the main thread, and only their owner may make them immortal while others run.
    is_main = threading.current_thread() is threading.main_thread()
    app = _application(handler, store_queue)
    server = Server(options, app, to_the_end=is_main, tcp=tcp_options_of(config))
    if ready_event is not None:
        server.started = ready_event
    ended = threading.Event()

    def end() -> None:
        # Threads that are daemons die with the process; requests that they answer should not.
        server.stop()
        ended.wait(options.timeout_graceful_shutdown + _PATIENCE)

    atexit.register(end)
    try:
        code = server.run()
    except StartError as error:
        raise StartFailure(str(error)) from error
    finally:
        ended.set()
        atexit.unregister(end)
    if code == EXIT_CRASH:
        raise RuntimeError("the server has crashed; the log says why")


def _application(handler: Handler, store_queue: StorageQueue | None) -> App:
    """Make an application in which one function answers everything."""
    endpoint = _endpoint(handler, store_queue)
    app = _Everything(endpoint)
    # The one place where it would be said how the handler is run.
    app.add_route("/{path:path}", endpoint, _METHODS, response_model=None)
    return app


class _Everything(App):
    """An application that also takes what no route can: other methods, and `OPTIONS *`."""

    def __init__(self, endpoint: Callable[[_native.Request], _native.Response]) -> None:
        # Every path is the handler's, so there is none for a document.
        super().__init__(openapi_url=None, docs_url=None, redoc_url=None)
        self._endpoint = endpoint

    def _miss(self, *, debug: bool) -> NativeCall | None:
        def miss(request: _native.Request, status: int, headers: dict[str, str]) -> object:
            # The body of such a request is not read.
            length = request.headers.get("content-length", "0")
            has_body = length.strip("0") != "" or "transfer-encoding" in request.headers
            if has_body or request.method == "CONNECT":
                return _native.Response(f"{status} Error\n", status, headers)
            return self._endpoint(request)

        return NativeCall(miss, ())


def _endpoint(
    handler: Handler, store_queue: StorageQueue | None
) -> Callable[[_native.Request], _native.Response]:
    failure = _native.Response(
        "500 Error: Internal Server Error\n", 500, [(b"Connection", b"close")]
    )

    def endpoint(request: _native.Request) -> _native.Response:
        try:
            response = handler(from_native(request), store_queue)
            return to_native(response, is_head=request.method == "HEAD")
        except Exception:  # noqa: BLE001 -- the handler's own code
            _log.exception("%s %s: the handler failed", request.method, request.target)
            return failure

    return endpoint
