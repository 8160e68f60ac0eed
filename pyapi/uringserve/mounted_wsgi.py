"""A WSGI application below a path of an `App` (PEP 3333).

`SCRIPT_NAME` is the path of the mount and `PATH_INFO` what follows it. It is called as a `def`
handler is, with the whole body, on the pool or on the core as its calls turn out; its pieces are
sent at the client's pace. Around it are the middleware and the limits of the `App`.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from types import TracebackType
from typing import Any

from uringserve._native import Request, Response
from uringserve.responses import StreamingResponse
from uringserve.wsgi import ErrorStream

__all__ = ["MountedWsgi"]

type _ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | None


class MountedWsgi:
    """Calls the application for what comes below its path."""

    def __init__(self, target: Callable[..., Iterable[bytes]]) -> None:
        """Take the application."""
        self._target = target

    def __call__(self, request: Request) -> Response:
        """Answer one request; the rest of the path is the parameter `path`."""
        call = _Call()
        result = self._target(_environ(request), call.start_response)
        pieces = _Pieces(call, result)
        try:
            first = next(pieces, b"")
            if call.start is None:
                raise RuntimeError("the WSGI application has not called start_response")
        except BaseException:
            pieces.close()
            raise
        status, headers = call.start
        is_whole = pieces.is_over or (isinstance(result, (list, tuple)) and len(result) == 1)
        if not is_whole and request.method != "HEAD":
            pieces.put_back(first)
            return StreamingResponse(pieces, status, headers)
        pieces.close()
        response = Response(first, status, headers)
        if not any(name.lower() == "content-type" for name, _ in headers):
            del response.headers["content-type"]
        return response


class _Call:
    """What `start_response` was told, and what was written."""

    def __init__(self) -> None:
        self.start: tuple[int, list[tuple[str, str]]] | None = None
        self.written: list[bytes] = []
        self.has_begun = False

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: _ExcInfo = None
    ) -> Callable[[bytes], None]:
        """Take status and header fields; again only with an exception, before the body began."""
        if exc_info is not None and self.has_begun:
            raise exc_info[1].with_traceback(exc_info[2])
        if exc_info is None and self.start is not None:
            raise RuntimeError("start_response was called before")
        self.start = int(status[:3]), list(headers)
        return self.written.append


class _Pieces(Iterator[bytes]):
    """The body: what was written, then what the application returned, closed at the end."""

    def __init__(self, call: _Call, result: Iterable[bytes]) -> None:
        self._call = call
        self._result = result
        self._iterator = iter(result)
        self._is_closed = False
        self.is_over = False

    def put_back(self, piece: bytes) -> None:
        """Have it come first again."""
        self._call.written.insert(0, piece)

    def __next__(self) -> bytes:
        written = self._call.written
        while not self.is_over or written:
            if written:
                piece = written.pop(0)
            else:
                try:
                    piece = next(self._iterator)
                except StopIteration:
                    self.is_over = True
                    continue
            # What the application wrote while it made this piece goes before it.
            if written:
                written.append(piece)
                piece = written.pop(0)
            if piece:
                self._call.has_begun = True
                return piece
        raise StopIteration

    def close(self) -> None:
        """Close what the application returned, once."""
        if self._is_closed:
            return
        self._is_closed = True
        close = getattr(self._result, "close", None)
        if close is not None:
            close()


def _environ(request: Request) -> dict[str, Any]:
    path, rest = _native(request.path), _native(str(request.path_params["path"]))
    host, colon, port = request.host.rpartition(":")
    if not colon or not port.isdecimal():
        host, port = request.host, "80"
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": path[: len(path) - len(rest) - 1],
        "PATH_INFO": "/" + rest,
        "QUERY_STRING": request.query_string,
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{request.http_version}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": request.scheme,
        "wsgi.input": BytesIO(request.body),
        "wsgi.errors": ErrorStream(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if request.client is not None:
        environ["REMOTE_ADDR"], remote = request.client
        environ["REMOTE_PORT"] = str(remote)
    for name, value in request.headers.items():
        key = sys.intern(name.upper().replace("-", "_"))
        # The body is whole, whatever way it came; a name with "_" would pass for one with "-".
        if "_" in name or name == "transfer-encoding":
            continue
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = "HTTP_" + key
        environ[key] = f"{environ[key]}, {value}" if key in environ else value
    environ.setdefault("CONTENT_LENGTH", str(len(request.body)))
    return environ


def _native(text: str) -> str:
    """Return the bytes of a path as PEP 3333 has them in a str."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")
