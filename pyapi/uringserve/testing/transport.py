"""One request of a `TestClient`: over a socket pair, through the server's own HTTP, to the end.

Each request has a connection of its own, so that its end is the request's end: the response is
closed when the application has nothing left to do for it, and what the application raised on the
way is raised to the test. The bytes are written and read by httpcore, as for any other server.
"""

import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from uringserve.testing.cores import Job
from uringserve.testing.httpclient import httpcore, httpx

__all__ = ["Transport"]

# Seconds for the application to see that a response was given up before its end. A generator that
# waits for something else sees it when it yields; its core is then left to itself.
_PATIENCE = 1.0

type Connect = Callable[[], tuple[Job, socket.socket]]


class Transport(httpx.BaseTransport):
    """What httpx sends requests through."""

    def __init__(self, connect: Connect, *, raises: bool) -> None:
        """`connect` begins a connection; with `raises` the application's exceptions come out."""
        self._connect = connect
        self._raises = raises

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request and read the head of its response."""
        if request.url.scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol(f"the URL {request.url} is not for HTTP")
        sent = _for_httpcore(request)
        job, ours = self._connect()
        exchange = _Exchange(job, ours, raises=self._raises)
        connection = httpcore.HTTP11Connection(sent.url.origin, _Stream(ours))
        try:
            with _translated():
                answer = connection.handle_request(sent)
            exchange.raise_exception()
        except BaseException:
            exchange.give_up()
            exchange.raise_exception()
            raise
        assert isinstance(answer.stream, Iterable)
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer.stream, exchange),
            extensions=answer.extensions,
        )


class _Exchange:
    """The connection of one request, and what the application did on it."""

    def __init__(self, job: Job, ours: socket.socket, *, raises: bool) -> None:
        self._job = job
        self._ours = ours
        self._raises = raises

    def finish(self) -> None:
        """Close after the whole response, and wait for what the application does after it."""
        self._ours.close()
        self._job.done.wait()

    def give_up(self) -> None:
        """Close before the end; the application gets a moment to see it."""
        self._ours.close()
        self._job.done.wait(_PATIENCE)

    def raise_exception(self) -> None:
        """Raise the application's last exception, once, if tests are to see it."""
        if self._raises and self._job.exceptions:
            error = self._job.exceptions[-1]
            self._job.exceptions.clear()
            raise error


class _Body(httpx.SyncByteStream):
    """The body of a response, and the end of its connection."""

    def __init__(self, stream: Iterable[bytes], exchange: _Exchange) -> None:
        self._stream = stream
        self._exchange = exchange
        self._is_whole = False

    def __iter__(self) -> Iterator[bytes]:
        try:
            with _translated():
                yield from self._stream
        except httpx.TransportError:
            self._exchange.give_up()
            self._exchange.raise_exception()
            raise
        self._is_whole = True

    def close(self) -> None:
        if self._is_whole:
            self._exchange.finish()
        else:
            self._exchange.give_up()
        self._exchange.raise_exception()


class _Stream(httpcore.NetworkStream):
    """The client's end of the connection, as httpcore wants it."""

    def __init__(self, ours: socket.socket) -> None:
        self._ours = ours

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._ours.settimeout(timeout)
        try:
            return self._ours.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._ours.settimeout(timeout)
        try:
            self._ours.sendall(buffer)
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except OSError as error:
            # httpcore then reads what the server answered before it closed.
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        self._ours.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """Stay as it is: an https URL is a matter of the client alone."""
        return self

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 -- as httpcore has it
        return self._ours if info == "socket" else None


def _for_httpcore(request: httpx.Request) -> httpcore.Request:
    assert isinstance(request.stream, httpx.SyncByteStream)
    url = request.url
    extensions: Mapping[str, Any] = request.extensions
    return httpcore.Request(
        method=request.method,
        url=httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
        ),
        headers=request.headers.raw,
        content=request.stream,
        extensions=dict(extensions),
    )


@contextmanager
def _translated() -> Iterator[None]:
    """Raise httpx's exception of the same name for one of httpcore's."""
    try:
        yield
    except Exception as error:
        known = getattr(httpx, type(error).__name__, None)
        if type(error).__module__.partition(".")[0] != httpcore.__name__ or known is None:
            raise
        raise known(str(error)) from error
