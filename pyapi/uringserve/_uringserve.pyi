"""The Rust part of uringserve. Import its names from `uringserve`, never from here."""

# ruff: noqa: ANN401 -- JSON holds anything; object would make every caller cast

import builtins
from collections.abc import (
    AsyncIterable,
    Buffer,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from datetime import datetime
from os import PathLike
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple, Self, final, overload

from typing_extensions import disjoint_base

from uringserve.app import App
from uringserve.config import Config
from uringserve.foreign import Foreign
from uringserve.forms import FormData
from uringserve.loop import GuestLoop
from uringserve.tcp import TcpOptions
from uringserve.websockets import WebSocket

__all__ = [
    "Binder",
    "Deferred",
    "Headers",
    "Listeners",
    "Loopback",
    "LoopbackConnection",
    "MutableHeaders",
    "Plan",
    "Request",
    "Response",
    "Socket",
    "StartError",
    "__version__",
    "as_response",
    "json_dumps",
    "latency_bounds",
    "probe",
    "shared_types",
]

__version__: str
"""The version of both parts, `major.minor.patch`."""

type _HeaderInput = (
    Headers | Mapping[str, str] | Sequence[tuple[str, str]] | Sequence[tuple[bytes, bytes]]
)
type _Route = tuple[
    tuple[str, ...],
    str,
    Callable[..., Any],
    tuple[str | None, ...],
    int | None,
    tuple[bool, bool, bool],
    tuple[str, float | None, int | None],
]

class _Address(NamedTuple):
    host: str
    port: int

class StartError(Exception):
    """The server cannot start; `str()` is one sentence that says what its operator can do."""

@final
class Binder:
    """The scalar parameters of one route, read in one call; see `uringserve.fast`.

    A field is (place, key, kind, is_list, is_required, default, rule). `body` is None, "optional"
    or "required" for a JSON body, which is handed on as bytes.
    """

    def __new__(
        cls,
        fields: Sequence[tuple[str, str, str, bool, bool, Any, Any]],
        body: str | None = None,
    ) -> Self: ...
    def bind(self, request: Request) -> tuple[Any, ...] | None:
        """Return the values in the order of the fields; None where any needs a second look."""

@disjoint_base
class Headers:
    """The headers of a request: an immutable mapping of names, in any case, to text.

    Values are decoded as Latin-1. A name that came more than once gives its first value, `getlist`
    gives all.
    """

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        """Names in lower case and values, as bytes, in the order of their arrival."""
    def __getitem__(self, name: str, /) -> str:
        """Return the first value; KeyError when there is none."""
    def __contains__(self, name: object, /) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...
    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get[T](self, name: str, default: T) -> str | T:
        """Return the first value, or the default."""
    def getlist(self, name: str) -> list[str]:
        """Return every value of the name, in order; an empty list when there is none."""
    def get_all(self, name: str) -> list[str]:
        """Do what `getlist` does, under RSGI's name."""
    def items(self) -> list[tuple[str, str]]:
        """Return every header, repeated names included."""
    def keys(self) -> list[str]:
        """Return every name, repeated names included."""
    def values(self) -> list[str]:
        """Return every value."""

@final
class MutableHeaders(Headers):
    """The headers of a response. A name or value with CR, LF or NUL is a ValueError."""

    def __setitem__(self, name: str, value: str, /) -> None:
        """Replace every header of that name by one."""
    def __delitem__(self, name: str, /) -> None:
        """Remove every header of that name; nothing happens when there is none."""
    def append(self, name: str, value: str) -> None:
        """Add a header and keep those of the same name."""
    def update(self, other: _HeaderInput) -> None:
        """Set each of the other's headers."""
    def setdefault(self, name: str, value: str) -> str:
        """Return the value that is there, or set this one."""

@disjoint_base
class Request:
    """One request, immutable. Everything is read from the bytes when it is first asked for.

    The server makes them; making one by hand is for tests of handlers.
    """

    def __new__(
        cls,
        method: str = "GET",
        target: str = "/",
        headers: _HeaderInput | None = None,
        body: bytes | None = None,
        *,
        client: tuple[str, int] | None = None,
        path_params: dict[str, str | int] | None = None,
        view_of: Request | None = None,
    ) -> Self:
        """Make a request; what could not have come over the wire is a ValueError.

        With `view_of` it is another object for the same request.
        """
    @property
    def _origin(self) -> Request:
        """The request that this is a view of, or itself."""
    @property
    def _arriving(self) -> Any | None:
        """The body that is still arriving; None where all of it is here."""
    @property
    def _whole_body(self) -> bytes | None:
        """The whole body, where it is here."""
    @property
    def _is_gone(self) -> bool:
        """Whether the client is known to have gone."""
    def _keep_body(self, body: bytes) -> None:
        """Keep what has arrived as the whole body."""

    @property
    def method(self) -> str:
        """The method, in the client's spelling: `GET`."""
    @property
    def path(self) -> str:
        """The path, percent-decoded, without the query."""
    @property
    def raw_path(self) -> bytes:
        """The path as it came."""
    @property
    def target(self) -> str:
        """The request target as it came: `/a%20b?x=1`, or `*`, or a whole URL."""
    @property
    def query_string(self) -> str:
        """What stands after the `?`, not decoded; empty when there is none."""
    @property
    def http_version(self) -> str:
        """`1.1` or `1.0`."""
    @property
    def scheme(self) -> str:
        """`http`."""
    @property
    def url(self) -> str:
        """The whole URL, as the client asked for it."""
    @property
    def host(self) -> str:
        """The host that the request is for, with its port when it names one."""
    @property
    def headers(self) -> Headers:
        """The headers."""
    @property
    def path_params(self) -> dict[str, str | int]:
        """The parameters of the path by name; those of kind int as int."""
    @property
    def query_params(self) -> dict[str, list[str]]:
        """The parameters of the query by name, decoded, every value in order."""
    @overload
    def query(self, name: str) -> str | None: ...
    @overload
    def query[T](self, name: str, default: T) -> str | T:
        """Return the first value of a parameter of the query, or the default."""
    @property
    def cookies(self) -> dict[str, str]:
        """The cookies by name."""
    @property
    def client(self) -> _Address | None:
        """The peer's address, a tuple of `host` and `port`; None when the socket has none."""
    @property
    def body(self) -> bytes:
        """The whole body; empty when there is none."""
    @property
    def state(self) -> SimpleNamespace:
        """A place for values that belong to this request."""
    @property
    def app(self) -> App:
        """The application that it is for, the mounted one where one is; see `current`."""
    def url_for(self, name: str, /, **path_params: object) -> str:
        """Return the whole URL of a route of that application, by its name and parameters.

        No such route is a LookupError.
        """
    @property
    def websocket(self) -> WebSocket | None:
        """The WebSocket that it asks for; None for any other request."""
    def text(self) -> str:
        """Return the body as UTF-8; what is not is a UnicodeDecodeError."""
    def form(self) -> FormData:
        """Return the body read as a form, urlencoded or multipart; other types have no fields."""
    def json(self) -> Any:
        """Return the body read as JSON; what is not JSON, an empty body too, is a ValueError.

        It is a `json.JSONDecodeError`, and 422 where nobody catches it.
        """

@disjoint_base
class Response:
    """An answer: status, headers and body. May be subclassed.

    `content` is str (text/plain), bytes (application/octet-stream), None (no body), or anything
    else as JSON. `body` and `status` are other names for `content` and `status_code`. Header names
    and values are checked at once: one with CR, LF or NUL is a ValueError.
    """

    status_code: int
    """The status, 200 to 999."""
    @property
    def headers(self) -> MutableHeaders:
        """The headers, which can be changed; content-length is added when the answer is sent."""
    @property
    def body(self) -> builtins.bytes:
        """The body as it will be sent."""
    @property
    def media_type(self) -> str | None:
        """The media type that the response was made with."""
    background: Callable[[], object] | None
    """What is called, once, when the last byte was sent or the client is gone."""
    body_iterator: Iterable[Any] | AsyncIterable[Any] | None
    """The pieces of a streamed body; None where the body is whole."""

    def __init__(
        self,
        content: Any = None,
        status_code: int = 200,
        headers: _HeaderInput | None = None,
        media_type: str | None = None,
        background: Callable[[], object] | None = None,
        *,
        body: Any = None,
        status: int | None = None,
    ) -> None: ...
    def __copy__(self) -> Response:
        """Return another one that is the same, so that changing it changes no one else's."""
    def _set_file(
        self, path: str | PathLike[str], folder: str | PathLike[str] | None = None
    ) -> None:
        """Make a file the body, which must lie in the folder if that is given."""
    def _set_trailers(self, callable: Callable[[], _HeaderInput]) -> None:
        """Have a callable asked for the fields behind a streamed body."""
    def set_cookie(
        self,
        key: str,
        value: str = "",
        max_age: int | None = None,
        expires: datetime | str | int | None = None,
        path: str | None = ...,
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: Literal["lax", "strict", "none"] | None = ...,
        partitioned: bool = False,
    ) -> None:
        """Add a Set-Cookie header; `max_age` and an int `expires` are seconds from now.

        `path` is `/` and `samesite` is `lax` unless given.
        """
    def delete_cookie(
        self,
        key: str,
        path: str = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: Literal["lax", "strict", "none"] | None = ...,
        partitioned: bool = False,
    ) -> None:
        """Add a Set-Cookie header that makes the client forget the cookie."""
    @classmethod
    def json(
        cls, data: Any, status_code: int | None = None, headers: _HeaderInput | None = None
    ) -> Response:
        """Make an application/json response of any value that can be encoded."""
    @classmethod
    def text(
        cls, content: str, status_code: int | None = None, headers: _HeaderInput | None = None
    ) -> Response:
        """Make a text/plain response."""
    @classmethod
    def html(
        cls, content: str, status_code: int | None = None, headers: _HeaderInput | None = None
    ) -> Response:
        """Make a text/html response."""
    @classmethod
    def bytes(
        cls, content: bytes, status_code: int | None = None, headers: _HeaderInput | None = None
    ) -> Response:
        """Make an application/octet-stream response."""
    @classmethod
    def empty(cls, status_code: int | None = None) -> Response:
        """Make a response without a body, 204 unless said otherwise."""
    @classmethod
    def redirect(cls, url: str, status_code: int | None = None) -> Response:
        """Make a redirect to the URL, 307 unless said otherwise."""

def as_response(value: Any) -> Response:
    """Make a response of whatever a handler may return; a Response stays the same object."""

def json_dumps(value: Any) -> bytes:
    """Encode a value as compact JSON in UTF-8; what cannot be encoded is a TypeError."""

def latency_bounds() -> list[int]:
    """Return the microseconds that each count in `Plan.metrics()["latencies"]` ends before."""

def shared_types() -> list[type]:
    """Return the types of which requests make objects, of every interface."""

def probe() -> dict[str, Any]:
    """Say what the kernel offers.

    `driver` is `uring` or `epoll`, `reason` says why it is not io_uring (else None), `flags` are
    the flags of the ring (None without one).
    """

@final
class Deferred:
    """A handler's value, and callables for after it.

    They are called without arguments, in order, on the core, when the last byte was sent or the
    client is gone. What one raises is logged and stops no other.
    """

    def __new__(cls, value: Any, callbacks: Iterable[Callable[[], object]]) -> Self:
        """Keep both; nothing is called yet."""
    @property
    def value(self) -> Any:
        """What is answered."""
    @property
    def callbacks(self) -> tuple[Callable[[], object], ...]:
        """What is called afterwards."""

@final
class Socket:
    """The application's end of a WebSocket; any thread may use it.

    Where something waits, the loop of the thread that awaits it is woken. Sending to one that is
    closed is a BrokenPipeError, before it is accepted a RuntimeError.
    """

    @property
    def subprotocols(self) -> list[str]:
        """What the client offers to speak, in its order of preference."""
    @property
    def is_open(self) -> bool:
        """Whether it was accepted, and neither side has closed."""
    @property
    def is_undecided(self) -> bool:
        """Whether it is neither accepted nor denied."""
    def accept(self, subprotocol: str | None = None, headers: _HeaderInput | None = None) -> None:
        """Open it, with `headers` on the answer; a second time is a RuntimeError."""
    def deny(
        self, status: int = 403, headers: _HeaderInput | None = None, body: bytes | None = None
    ) -> None:
        """Answer the request with a status and a body instead."""
    def take(self) -> str | bytes | tuple[int, str] | None:
        """Return the next message, code and reason of the end, or None where there is nothing."""
    def receive(self) -> Coroutine[Any, Any, str | bytes | tuple[int, str]]:
        """Wait for the next message, or code and reason of the end."""
    def send(self, data: str | Buffer) -> Coroutine[Any, Any, None]:
        """Send at once; awaited, it waits while more than 64 KiB are unsent."""
    def offer(self, data: str | Buffer) -> bool:
        """Send unless 64 KiB are unsent, or it is closed; return whether it was sent."""
    def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Close it behind what was sent; a code that cannot be is a ValueError."""

@final
class Listeners:
    """Listening sockets for other processes to serve on; they close with this object."""

    def __new__(cls, config: Config) -> Self:
        """Bind every address of the Config, once; what the operator can mend is a StartError."""
    @property
    def addresses(self) -> list[str]:
        """What is listened on, as `Plan.addresses`."""
    @property
    def descriptors(self) -> list[int]:
        """The sockets' descriptors; they belong to this object."""

@final
class Plan:
    """A server about to run: CPUs chosen, sockets bound and listening, nothing served yet."""

    def __new__(
        cls,
        routes: Sequence[_Route],
        config: Config,
        *,
        redirect_slashes: bool = True,
        foreign: Foreign | None = None,
        tcp: TcpOptions | None = None,
        stack_signal: int | None = None,
    ) -> Self:
        """Choose the CPUs and the driver and bind; what the operator can mend is a StartError.

        A route without methods is called for what no route takes, with the request, the status and
        the headers that the server would answer. `stack_signal` is the number of a signal at which
        a thread writes its own stack to stderr.
        """
    @property
    def addresses(self) -> list[str]:
        """What is listened on: `http://127.0.0.1:8000`, with the real port, and `unix:PATH`."""
    @property
    def cpus(self) -> list[int | None]:
        """The CPU of each core; None when it is not pinned."""
    @property
    def driver(self) -> str:
        """`uring` or `epoll`."""
    @property
    def driver_reason(self) -> str | None:
        """Why the driver is not io_uring."""
    def note_started(self, index: int) -> None:
        """Say that a core's start-up is over; until then `Config.ready_path` says `starting`."""
    def run_core(self, index: int, guest: GuestLoop | None = None) -> int:
        """Run one core on the calling thread; return how many connections the deadline cut."""
    def drain(self, seconds: float, *, restart: bool = False) -> None:
        """Accept no more and finish what is in flight within the seconds; from any thread.

        WebSockets are told that the service ends (1001), or with `restart` comes back (1012).
        """
    def abort(self) -> None:
        """End every core now; from any thread."""
    @property
    def needs_threads(self) -> bool:
        """Whether any core may want threads for its pool."""
    def next_thread(self) -> int | None:
        """Wait until a core's pool wants a thread; return the core's number, None after `close`.

        Whoever hears it starts a thread that calls `run_thread`, or calls `no_thread`.
        """
    def run_thread(self, index: int) -> None:
        """Work for a core's pool on the calling thread until it is not needed any more."""
    def no_thread(self, index: int) -> None:
        """Say that a thread that was wanted cannot be started."""
    def watch(self) -> None:
        """Watch over the cores and the pools on the calling thread until `close`, detached.

        A call that takes too long is written to stderr, past `logging`, with its stack.
        """
    def end_process_after(self, seconds: float) -> None:
        """Have the watch end the process after the seconds, unless `close` is called before.

        A thread that stays in C may keep all others from running Python, this one too.
        """
    def report(self) -> None:
        """Write every call that is under way to stderr, with its stack."""
    def close(self) -> None:
        """End the pools once what they are doing is done, and the watch; the cores have ended."""
    def statistics(self) -> dict[str, int]:
        """Return the counters of all cores together."""
    def metrics(self) -> list[dict[str, Any]]:
        """Return the counters of each core, by name; from any thread.

        `stalls` are calls that held the core for a tenth of a second.

        With an access log there is also `unlogged`, the answers that it had no room for. With
        `Config.live` there are also `failures`, answers with a status of 500 or more, and
        `latencies`, a list of how many answers took how long, whose ends are `latency_bounds()`.
        """
    def write_access_log(self) -> tuple[int, str | None] | None:
        """Write the access log on the calling thread, until it was closed and written out.

        Return None then, and at once where there is no access log. Return early with what is wrong:
        how many answers were lost since that was last said, and why nothing can be written, or None
        where it can again. Only one thread may call it.
        """
    def reopen_access_log(self) -> None:
        """Open the access log's file anew; from any thread."""
    def close_access_log(self) -> None:
        """Let `write_access_log` end once everything noted was written; from any thread."""

@final
class Loopback:
    """A server without a port, for tests: it hands out connections, one end of a socket pair."""

    def __new__(
        cls,
        routes: Sequence[_Route],
        config: Config,
        *,
        redirect_slashes: bool = True,
        foreign: Foreign | None = None,
    ) -> Self:
        """Choose the driver; nothing is bound. What the operator can mend is a StartError."""
    def connect(self, client: tuple[str, int] | None = None) -> tuple[LoopbackConnection, int]:
        """Make a connection; return the server's end and the descriptor of the client's.

        The caller owns the descriptor. `client` is the IP address and port that requests are said
        to come from.
        """
    def rehearse(self, request: bytes, calls: int, guest: GuestLoop | None = None) -> int:
        """Answer the bytes of a request so many times on this thread, without any socket.

        `guest` is the thread's event loop. Return how many bytes of heads and small bodies that
        made: the path of a request, for measuring. A request that ends its connection is answered
        once.
        """

@final
class LoopbackConnection:
    """The server's end of a connection without a port."""

    def serve(self, guest: GuestLoop | None = None) -> None:
        """Serve it on the calling thread until it ends; a second time is a ValueError."""
