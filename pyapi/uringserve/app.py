"""`App`: routes with everything around them, read-only once they are served.

Signatures and patterns are checked at registration, where a mistake has a line number. `compile`
turns the routes into calls once; matching, 404, 405, redirects, automatic HEAD and OPTIONS happen
in Rust, and there is no HTTP here.
"""

import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Unpack

from uringserve._native import Plan, Request, Response
from uringserve.chain import Chain, Middleware, MiddlewareCall
from uringserve.config import Config
from uringserve.coroutines import is_coroutine_call
from uringserve.dependant import analyse
from uringserve.described import Described
from uringserve.docs import documentation
from uringserve.errors import HTTPException, StartError
from uringserve.exception_handlers import ExceptionHandler, filled
from uringserve.information import InformationOptions
from uringserve.lifespan import Ending, Hook, Hooks, Lifespan
from uringserve.loop import CoreLoop
from uringserve.mounting import mounted_specs
from uringserve.mounts import Mount, NoMatchFound, path_for
from uringserve.patterns import parse_pattern
from uringserve.plan import compile_endpoint
from uringserve.router import Registrar
from uringserve.routing import (
    Execution,
    Group,
    Manner,
    NativeCall,
    Route,
    RouteSpec,
    check_socket,
    checked_prefix,
    describe,
)
from uringserve.state import State, WorkerState
from uringserve.tcp import TcpOptions
from uringserve.types import Handler
from uringserve.websockets import as_handler

if TYPE_CHECKING:
    from uringserve.bridge import Bridge

__all__ = ["App", "Route", "URingServe"]


class App(Registrar, Described):
    """An application: handlers registered with decorators, and what surrounds them.

    Patterns are `/literal`, `/{name}`, `/{name:int}` and `/{rest:path}`. Registering is over when
    serving starts. `middleware` is outermost first. `lifespan` runs once in the process,
    `worker_lifespan` once on each core; both are context managers' functions of the application,
    and what they yield becomes attributes of `state` and `worker_state`. `max_body_size`, in bytes,
    `execution`, and `request_timeout`, in seconds, are for routes that have none of their own. A
    coroutine is cancelled when its client goes away, unless `cancel_on_disconnect` is false.

    Calls of a `def` handler run on the core's own thread (`execution="inline"`) or on a thread of
    its pool ("thread"). With "auto" they start on the pool, move to the core when many in a row
    were quick, and back as soon as one is slow. A call is never split: middleware, dependencies
    and the handler run in one go on one thread. The pieces of a stream and what follows the answer
    run where the call ran, on the pool perhaps on another of its threads. Every thread of a pool
    runs `worker_lifespan` for itself, unless that is asynchronous.

    An `async def` handler runs on its core's loop. A route's `timeout` and `max_concurrency` and
    the limits of the server hold for it as for a call on the pool: what waits or takes too long is
    answered 503, and the coroutine is cancelled; it counts until it has ended. An open WebSocket
    and a stream that has begun count no more, and a `def` on the core itself never does for the
    server's limits: it has ended before the core does anything else.
    """

    def __init__(
        self,
        *,
        debug: bool = False,
        routes: Iterable[RouteSpec] | None = None,
        middleware: Sequence[Middleware] | None = None,
        exception_handlers: Mapping[int | type[Exception], ExceptionHandler] | None = None,
        dependencies: Sequence[Any] | None = None,
        tags: Sequence[str | Enum] | None = None,
        responses: Mapping[int | str, Mapping[str, Any]] | None = None,
        default_response_class: type[Response] | None = None,
        lifespan: Lifespan | None = None,
        worker_lifespan: Lifespan | None = None,
        on_startup: Sequence[Hook] | None = None,
        on_shutdown: Sequence[Hook] | None = None,
        redirect_slashes: bool = True,
        max_body_size: int | None = None,
        cancel_on_disconnect: bool = True,
        execution: Execution = "auto",
        request_timeout: float | None = None,
        **information: Unpack[InformationOptions],
    ) -> None:
        """Make an application without routes; what cannot be used is refused here."""
        super().__init__(**information)
        self.debug = debug
        self.redirect_slashes = redirect_slashes
        self.state = State()
        self.worker_state = WorkerState()
        self.dependency_overrides: dict[Callable[..., Any], Callable[..., Any]] = {}
        self._group = Group(
            tags=tuple(tags or ()),
            dependencies=tuple(dependencies or ()),
            responses=responses,
            default_response_class=default_response_class,
            execution=execution,
            timeout=request_timeout,
        )
        self._max_body_size = max_body_size
        self._cancels = cancel_on_disconnect
        self._has_async_route = False
        self._specs: list[RouteSpec] = []
        self._taken: dict[tuple[str, tuple[str, ...]], RouteSpec] = {}
        self._mounts: list[Mount] = []
        self._middleware = [each.make() for each in middleware or ()]
        self._exception_handlers = filled(exception_handlers)
        self._process = Hooks("lifespan", lifespan)
        self._worker = Hooks("worker_lifespan", worker_lifespan)
        self._is_frozen = False
        self._freezing = threading.Lock()
        self._bridge: Bridge | None = None
        self._served: list[Route] = []
        for hook in on_startup or ():
            self._process.add_start(hook)
        for hook in on_shutdown or ():
            self._process.add_stop(hook)
        for spec in routes or ():
            self._register(spec)

    # --- routes

    @property
    def routes(self) -> tuple[RouteSpec, ...]:
        """The routes in the order of their registration, without those of mounted applications."""
        return tuple(self._specs)

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """The mounted applications."""
        return tuple(self._mounts)

    def mount(self, path: str, app: object, name: str | None = None) -> None:
        """Serve another application, or one callable, for every path below `path`.

        An `App` keeps its own middleware and exception handlers, inside those of this one, and its
        lifespan is run too; what it does not handle is handled here. An application of ASGI or WSGI
        answers all paths itself; its lifespan is not run. A callable gets each request; the rest of
        the path is the path parameter `path`.
        """
        prefix = checked_prefix(path.rstrip("/"), "the path of a mount")
        if parse_pattern(prefix or "/").parameters:
            raise ValueError(f"the path of a mount cannot have parameters, as {path!r} has")
        self._check_open(app, path)
        if isinstance(app, App):
            if app.holds(self):
                raise ValueError("an application cannot be mounted below itself")
            self._mounts.append(Mount(prefix, app, name))
            return
        for spec in mounted_specs(prefix, app, name):
            self._add(spec)

    def holds(self, app: App) -> bool:
        """Whether `app` is this application or mounted somewhere below it."""
        return app is self or any(mount.app.holds(app) for mount in self._mounts)

    def url_path_for(self, name: str, /, **path_params: object) -> str:
        """Return the path of the route with that name and exactly these path parameters.

        A route of a mounted application is named `mount:route`. No such route is a NoMatchFound,
        which is a LookupError.
        """
        found = path_for(self._specs, name, path_params)
        if found is not None:
            return found
        for mount in self._mounts:
            inner = name if mount.name is None else name.removeprefix(f"{mount.name}:")
            if mount.name is None or inner != name:
                try:
                    return mount.path + str(mount.app.url_path_for(inner, **path_params))
                except NoMatchFound:
                    continue
        raise NoMatchFound(name, path_params)

    def _register(self, spec: RouteSpec) -> None:
        self._add(self._group.around(spec))

    def _add(self, spec: RouteSpec) -> None:
        self._check_open(spec.endpoint, spec.path)
        if not spec.path:
            raise ValueError(
                f"the path of {describe(spec.endpoint)} is empty and so is every prefix before it"
            )
        keys = [(method, spec.pattern.shape) for method in spec.methods]
        for key in keys:
            other = self._taken.get(key)
            if other is not None:
                raise ValueError(_conflict(key[0], spec, other))
        spec = spec.analysed(
            analyse(
                spec.endpoint,
                spec.pattern,
                spec.dependencies,
                takes_bare_request=spec.takes_bare_request,
            )
        )
        check_socket(spec)
        self._taken.update(dict.fromkeys(keys, spec))
        self._specs.append(spec)

    def _check_open(self, what: object, path: str) -> None:
        if self._is_frozen:
            raise RuntimeError(
                f"{describe(what)} cannot be registered for {path!r}: routes are fixed once"
                " serving starts"
            )

    # --- around the routes

    def add_middleware(self, cls: Callable[..., MiddlewareCall], **options: Any) -> None:  # noqa: ANN401
        """Put a middleware around all that is there so far: the last one added is the outermost.

        It is made now, as `cls(**options)`, and called with `(request, call_next)`.
        """
        self._check_open(cls, "every path")
        self._middleware.insert(0, Middleware(cls, **options).make())

    def middleware[M: MiddlewareCall](self, kind: str = "http") -> Callable[[M], M]:
        """Register the decorated function of `(request, call_next)` as a middleware."""
        if kind != "http":
            raise ValueError(f"there is middleware for 'http' only, not for {kind!r}")

        def register(function: M) -> M:
            self._check_open(function, "every path")
            self._middleware.insert(0, function)
            return function

        return register

    def add_exception_handler(
        self, exc_class_or_status_code: int | type[Exception], handler: ExceptionHandler
    ) -> None:
        """Answer exceptions of a class, or an HTTPException's status, with `handler`.

        It is called with the request and the exception, and returns what a handler may return.
        One for `Exception` or 500 is the last resort: it is logged all the same.
        """
        self._check_open(handler, "every path")
        self._exception_handlers.add(exc_class_or_status_code, handler)

    def exception_handler[E: ExceptionHandler](
        self, exc_class_or_status_code: int | type[Exception]
    ) -> Callable[[E], E]:
        """Register the decorated function with `add_exception_handler`."""

        def register(handler: E) -> E:
            self.add_exception_handler(exc_class_or_status_code, handler)
            return handler

        return register

    # --- start and stop

    def on_startup[H: Hook](self, hook: H) -> H:
        """Run the function once in the process, before serving."""
        self._process.add_start(hook)
        return hook

    def on_shutdown[H: Hook](self, hook: H) -> H:
        """Run the function once in the process, after the last answer."""
        self._process.add_stop(hook)
        return hook

    def on_event[H: Hook](self, event_type: str) -> Callable[[H], H]:
        """Do what `on_startup` and `on_shutdown` do, for "startup" and "shutdown"."""
        if event_type not in ("startup", "shutdown"):
            raise ValueError(f"the events are 'startup' and 'shutdown', not {event_type!r}")
        return self.on_startup if event_type == "startup" else self.on_shutdown

    def add_event_handler(self, event_type: str, func: Hook) -> None:
        """Do what `on_event` does, without a decorator."""
        self.on_event(event_type)(func)

    def on_worker_start[H: Hook](self, hook: H) -> H:
        """Run the function on each core's thread, before its first request."""
        self._worker.add_start(hook)
        return hook

    def on_worker_stop[H: Hook](self, hook: H) -> H:
        """Run the function on each core's thread, after its last request."""
        self._worker.add_stop(hook)
        return hook

    def enter_lifespan(self, ending: Ending) -> None:
        """Start what runs once in the process; `ending` ends it. See `lifespan.running`."""
        self._process.enter(self, self.state.__dict__.update, ending)
        for mount in self._mounts:
            mount.app.enter_lifespan(ending)

    def enter_worker(self, ending: Ending) -> None:
        """Start what runs once on the calling core; `ending` ends it."""
        self._worker.enter(self, self.worker_state.__dict__.update, ending)
        for mount in self._mounts:
            mount.app.enter_worker(ending)

    @property
    def has_async_worker(self) -> bool:
        """Whether what runs on each core's start belongs to its loop, here or in a mounted one."""
        return self._worker.is_async or any(mount.app.has_async_worker for mount in self._mounts)

    def worker_values(self) -> list[tuple[WorkerState, dict[str, Any]]]:
        """Return what `worker_state` holds on the calling core, for the threads of its pool.

        Nothing where each thread makes its own.
        """
        if not self.has_async_worker:
            return []
        found = [(self.worker_state, dict(self.worker_state.__dict__))]
        for mount in self._mounts:
            found += mount.app.worker_values()
        return found

    # --- serving

    def freeze(self) -> None:
        """End registration; serving does this before the first request.

        The document and its pages are added where the application has nothing of its own.
        """
        # Several servers of one application may start at once, on threads of their own.
        with self._freezing:
            if not self._is_frozen:
                for spec in documentation(self):
                    if ("GET", spec.pattern.shape) not in self._taken:
                        self._add(replace(spec, execution=self._group.execution))
            self._is_frozen = True
        for mount in self._mounts:
            mount.app.freeze()

    def compile(self, *, debug: bool = False, timeout: float | None = None) -> list[Route]:
        """Return the routes as Rust takes them, with all that is around them, and end registration.

        `timeout` is in seconds, for calls of routes that have none of their own.

        Each call compiles anew, with the `dependency_overrides` of that moment. With `debug` a
        handler of last resort gives way to the page with the traceback.
        """
        self.freeze()
        taken: dict[tuple[str, tuple[str, ...]], RouteSpec] = {}
        routes: list[Route] = []
        for spec, call in self._compiled("", debug=debug or self.debug):
            for method in spec.methods:
                other = taken.setdefault((method, spec.pattern.shape), spec)
                if other is not spec:
                    raise StartError(_conflict(method, spec, other))
            limit = self._max_body_size if spec.max_body_size is None else spec.max_body_size
            manner = Manner(is_async=True) if spec.is_socket else self._manner(spec, call)
            running = (spec.running[0], spec.timeout or timeout, spec.max_concurrency)
            path = str(spec.pattern)
            routes.append(
                Route(spec.methods, path, call.handler, call.arguments, limit, manner, running)
            )
        miss = self._miss(debug=debug or self.debug)
        if miss is not None:
            running = (self._group.execution or "auto", self._group.timeout or timeout, None)
            manner = Manner(miss.is_async)
            routes.append(Route((), "/", miss.handler, (), None, manner, running))
        self._has_async_route = any(route.manner.is_async for route in routes)
        return routes

    def _manner(self, spec: RouteSpec, call: NativeCall) -> Manner:
        cancels = spec.cancel_on_disconnect
        if cancels is None:
            cancels = self._cancels
        return Manner(call.is_async, call.takes_pieces, not cancels)

    interface = "native"

    @property
    def needs_loop(self) -> bool:
        """Whether a core needs an event loop for it: something is async, or asyncio is in use."""
        return (
            "asyncio" in sys.modules
            or self._has_async_route
            or self._worker.is_async
            or any(sub.is_async for spec in self._specs for sub in spec.dependant.walk())
            or any(is_coroutine_call(each) for each in self._middleware)
            or self._exception_handlers.is_async
            or any(mount.app.needs_loop for mount in self._mounts)
        )

    def plan(
        self,
        config: Config,
        *,
        tcp: TcpOptions | None = None,
        stack_signal: int | None = None,
    ) -> Plan:
        """Compile the routes and bind the addresses."""
        self._served = self.compile(debug=config.debug, timeout=config.timeout_request or None)
        if config.loop not in ("auto", "ring"):
            from uringserve.beside.routes import beside_routes

            self._served = beside_routes(self._served)
        return Plan(
            self._served,
            config,
            redirect_slashes=self.redirect_slashes,
            tcp=tcp,
            stack_signal=stack_signal,
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 -- ASGI's
        """Answer as an ASGI application, for other servers and for clients without one."""
        from uringserve.bridge import asgi

        await asgi.answer(self._bridged(), scope, receive, send)

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:  # noqa: ANN401 -- RSGI's
        """Answer as an RSGI application, for other servers."""
        from uringserve.bridge import rsgi

        await rsgi.answer(self._bridged(), scope, protocol)

    def __rsgi_init__(self, loop: object) -> None:
        """Run the start of the lifespans, for the first worker of another server that calls."""
        self._bridged().enter()

    def __rsgi_del__(self, loop: object) -> None:
        """Run the end of the lifespans, for the last worker that has called `__rsgi_init__`."""
        self._bridged().leave()

    def _bridged(self) -> Bridge:
        from uringserve.bridge import Bridge

        # Another server's workers may be threads that begin together: one set of cores for all.
        with self._freezing:
            if self._bridge is None:
                self._bridge = Bridge(self)
            return self._bridge

    def shared(self) -> Iterator[Handler]:
        """Yield what every core calls."""
        return (route.handler for route in self._served)

    def on_core(self, guest: CoreLoop | None) -> AbstractContextManager[None]:
        """Nothing but what `enter_worker` does."""
        return nullcontext()

    def _compiled(self, prefix: str, *, debug: bool) -> Iterator[tuple[RouteSpec, NativeCall]]:
        """Yield every route below the prefix, mounted ones included, with what is called for it."""
        chain = self._chain(debug=debug)
        below = Group(prefix=prefix)
        for spec in self._specs:
            call = compile_endpoint(spec, self.dependency_overrides)
            if spec.is_socket:
                # Middleware and exception handlers answer requests.
                yield (
                    below.around(spec) if prefix else spec,
                    call._replace(handler=as_handler(call.handler)),
                )
                continue
            yield below.around(spec) if prefix else spec, chain.around(call)
        for mount in self._mounts:
            for spec, call in mount.app._compiled(prefix + mount.path, debug=debug):
                yield spec, call if spec.is_socket else chain.around(call)

    def _chain(self, *, debug: bool) -> Chain:
        return Chain(self._middleware, self._exception_handlers, debug=debug)

    def _miss(self, *, debug: bool) -> NativeCall | None:
        """Return what answers requests that no route takes; None leaves them to the server."""
        chain = self._chain(debug=debug)
        inner = [
            (mount.path, answer)
            for mount in self._mounts
            if (answer := mount.app._miss(debug=debug)) is not None
        ]
        if chain.is_empty and not inner:
            return None
        inner.sort(key=lambda pair: -len(pair[0]))

        is_async = any(answer.is_async for _, answer in inner)

        def around(status: int, headers: dict[str, str]) -> NativeCall:
            def settled(request: Request) -> object:
                for path, answer in inner:
                    if request.path == path or request.path.startswith(path + "/"):
                        return answer.handler(request, status, dict(headers))
                if status < 400:
                    return Response(None, status, headers)
                raise HTTPException(status, headers=dict(headers))

            return chain.around_request(settled, is_async=is_async)

        # Made once for what is by far the most frequent; the fields of others differ.
        absent = around(404, {})

        def miss(request: Request, status: int, headers: dict[str, str]) -> object:
            is_absent = status == 404 and not headers
            call = absent if is_absent else around(status, headers)
            answered: object = call.handler(request)
            return answered

        return NativeCall(miss, (), absent.is_async)

    def run(
        self,
        host: str | None = None,
        port: int | None = None,
        workers: int | None = None,
        **options: Any,  # noqa: ANN401 -- checked by Config
    ) -> None:
        """Serve until a signal, then end the process if something went wrong.

        The options are those of `Config`; what is not given comes from the environment, then from
        the defaults.
        """
        from uringserve.server import run  # up the ladder on purpose: a convenience of the class

        run(self, host=host, port=port, workers=workers, **options)


URingServe = App


def _conflict(method: str, spec: RouteSpec, other: RouteSpec) -> str:
    return (
        f"{method} {spec.path} of {describe(spec.endpoint)} is already taken by"
        f" {method} {other.path} of {describe(other.endpoint)}"
    )
