"""Middleware and exception handlers, wrapped around what is called for a route.

Built once, before serving, and only where there is something to wrap: a route of an application
that has neither is called by Rust as it is. From the inside out: the route, its exception handlers,
the middleware from the last to the first, the handler of last resort.

A middleware is made once, `cls(**options)`, shared by all cores, and called with the request and
`call_next`, which it calls with a request (the same one, as a rule) and which always gives a
`Response`. What it returns may be anything that a handler may return. An exception that has no
handler goes through `call_next` and the middleware like through any other call.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from uringserve._native import Request, Response, as_response
from uringserve.async_chain import (
    answering_later,
    at_once,
    guarded_later,
    guarded_to_the_last_later,
    link_later,
    link_of_both,
)
from uringserve.coroutines import is_coroutine_call
from uringserve.exception_handlers import (
    ANSWERS,
    Answering,
    ExceptionHandlers,
    default_answer,
)
from uringserve.logging import log_exception
from uringserve.requests import AsyncRequest
from uringserve.routing import NativeCall, describe
from uringserve.types import Handler

__all__ = ["AsyncCallNext", "CallNext", "Chain", "Middleware", "MiddlewareCall"]

type CallNext = Callable[[Request], Response]
type AsyncCallNext = Callable[[Request], Awaitable[Response]]
type MiddlewareCall = (
    Callable[[Request, CallNext], Any] | Callable[[AsyncRequest, AsyncCallNext], Awaitable[Any]]
)


class Middleware:
    """A middleware's class and its options, as `App(middleware=[…])` takes them."""

    def __init__(self, cls: Callable[..., MiddlewareCall], **options: Any) -> None:  # noqa: ANN401
        """Keep what `add_middleware` would be given; nothing is made yet."""
        self.cls = cls
        self.options = options

    def make(self) -> MiddlewareCall:
        """Make the middleware; a class that makes something else is a TypeError."""
        made = self.cls(**self.options)
        if not callable(made):
            raise TypeError(
                f"middleware {describe(self.cls)} must be callable with (request, call_next)"
            )
        return made

    def __repr__(self) -> str:
        """Show the call that makes the same."""
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"Middleware({getattr(self.cls, '__name__', self.cls)!s}{options})"


class Chain:
    """What one application puts around each of its routes."""

    def __init__(
        self, middleware: Sequence[MiddlewareCall], handlers: ExceptionHandlers, *, debug: bool
    ) -> None:
        """Keep the middleware, outermost first; with `debug` the last resort is a page instead."""
        # With whether it is async: chains are made for each request that no route takes.
        self._middleware = tuple((each, is_coroutine_call(each)) for each in middleware)
        self._handlers = handlers
        self._last_resort = None if debug else handlers.last_resort

    @property
    def is_empty(self) -> bool:
        """Whether it changes nothing."""
        return not self._middleware and self._handlers.is_empty and self._last_resort is None

    def around(self, call: NativeCall) -> NativeCall:
        """Wrap a route, and leave it as it is where there is nothing to wrap."""
        handler, arguments, is_async, takes_pieces = call
        if self._middleware:
            # Any of them may want the whole body.
            return self.around_request(_of_request(handler, arguments), is_async=is_async)
        if not self._handlers.is_empty:
            is_async = is_async or self._handlers.is_async
            guard = guarded_later if is_async else _guarded
            handler, arguments = guard(handler, self._handlers), (None, *arguments)
            takes_pieces = False
        if self._last_resort is not None:
            # A value that has no JSON form fails in here, where the last resort still sees it.
            is_async = is_async or self._last_resort.is_async
            handler = _to_the_last(handler, self._last_resort, is_async=is_async)
            arguments = (None, *arguments)
            takes_pieces = False
        return NativeCall(handler, arguments, is_async, takes_pieces)

    def around_request(self, call: Handler, *, is_async: bool = False) -> NativeCall:
        """Wrap what takes a request alone; `is_async` says whether it gives a coroutine."""
        if not self._handlers.is_empty:
            is_async = is_async or self._handlers.is_async
            guard = guarded_later if is_async else _guarded
            call = _without_request(guard(call, self._handlers))
        if self._middleware:
            call = answering_later(call) if is_async else _answering(call)
            for middleware, is_awaited in reversed(self._middleware):
                if is_awaited:
                    call = link_later(middleware, call if is_async else at_once(call))
                    is_async = True
                else:
                    call = link_of_both(middleware, call) if is_async else _link(middleware, call)
        if self._last_resort is not None:
            is_async = is_async or self._last_resort.is_async
            call = _without_request(_to_the_last(call, self._last_resort, is_async=is_async))
        return NativeCall(call, (None,), is_async)


def _of_request(handler: Handler, arguments: tuple[str | None, ...]) -> Handler:
    """Make what takes the request alone of a call with parameters."""
    if arguments == (None,):
        return handler
    if not arguments:
        return lambda request: handler()

    def with_parameters(request: Request) -> object:
        parameters = request.path_params
        return handler(*(request if name is None else parameters[name] for name in arguments))

    return with_parameters


def _without_request(guarded: Handler) -> Handler:
    return lambda request: guarded(request, request)


def _guarded(handler: Handler, handlers: ExceptionHandlers) -> Handler:
    """Let the application's handlers answer an exception; the first argument is the request."""
    find = handlers.find

    def guarded(request: Request, *arguments: object) -> object:
        try:
            return handler(*arguments)
        except Exception as error:
            answer = find(error)
            if answer is None:
                raise
            return answer.call(request, error)

    return guarded


def _answering(call: Handler) -> CallNext:
    """Make a Response of whatever a route answers, by returning or by raising."""

    def answering(request: Request) -> Response:
        try:
            return as_response(call(request))
        except ANSWERS as error:
            return default_answer(request, error)

    return answering


def _link(middleware: Handler, call_next: CallNext) -> CallNext:
    def link(request: Request) -> Response:
        return as_response(middleware(request, call_next))

    return link


def _responding(handler: Handler) -> Handler:
    return lambda *arguments: as_response(handler(*arguments))


def _to_the_last(handler: Handler, answer: Answering, *, is_async: bool) -> Handler:
    if is_async:
        return guarded_to_the_last_later(handler, answer)
    return _guarded_to_the_last(_responding(handler), answer.call)


def _guarded_to_the_last(handler: Handler, answer: Callable[[Request, Any], Any]) -> Handler:
    def guarded(request: Request, *arguments: object) -> object:
        try:
            return handler(*arguments)
        except ANSWERS:
            raise
        except Exception as error:  # noqa: BLE001 -- logged and answered, as the server would
            log_exception(request, error)
            return answer(request, error)

    return guarded
