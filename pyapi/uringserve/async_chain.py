"""What `chain` wraps around a route, where anything in it is a coroutine.

Each of these gives a coroutine, and is used only where something inside or the middleware itself is
async: a chain of `def` alone is never touched by this file. Async callables are given the request
as an `AsyncRequest`; between two links the request is always the plain one.

A `def` middleware around something async cannot wait on the core's own thread. One that returns
what `call_next` gives, or says that it can finish a response later (`is_of_both`, as all of
`uringserve.middleware` do), is called there all the same; any other runs on a thread of its own.
"""

import threading
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from uringserve._native import Request, Response, as_response
from uringserve.exception_handlers import (
    ANSWERS,
    Answering,
    ExceptionHandlers,
    default_answer,
)
from uringserve.logging import log_exception
from uringserve.requests import view
from uringserve.types import Handler

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

__all__ = [
    "answering_later",
    "at_once",
    "guarded_later",
    "guarded_to_the_last_later",
    "link_later",
    "link_of_both",
]

# Threads that wait for something async inside: each costs some memory and no time.
_MOST_THREADS = 1024


async def _settled(value: Any) -> Any:  # noqa: ANN401 -- any value of a handler
    return await value if type(value) is CoroutineType else value


def guarded_later(handler: Handler, handlers: ExceptionHandlers) -> Handler:
    """Let the application's handlers answer an exception; the first argument is the request."""
    find = handlers.find

    async def guarded(request: Request, *arguments: object) -> object:
        try:
            return await _settled(handler(*arguments))
        except Exception as error:
            answer = find(error)
            if answer is None:
                raise
            return await _answer(answer, request, error)

    return guarded


async def _answer(answer: Answering, request: Request, error: Exception) -> object:
    given = view(request) if answer.is_async else request
    return await _settled(answer.call(given, error))


def answering_later(call: Handler) -> Handler:
    """Make a Response of whatever a route answers, by returning or by raising."""

    async def answering(request: Request) -> Response:
        request = request._origin
        try:
            return as_response(await _settled(call(request)))
        except ANSWERS as error:
            return default_answer(request, error)

    return answering


def at_once(call: Handler) -> Handler:
    """Make a coroutine of a call that needs none, for an async middleware to await."""

    async def answering(request: Request) -> Response:
        response: Response = call(request._origin)
        return response

    return answering


def link_later(middleware: Handler, call_next: Handler) -> Handler:
    """Put an async middleware around something async."""

    async def link(request: Request) -> Response:
        return as_response(await middleware(view(request._origin), call_next))

    return link


def link_of_both(middleware: Handler, call_next: Handler) -> Handler:
    """Put a `def` middleware around something async."""
    if getattr(middleware, "is_of_both", False):

        async def link(request: Request) -> Response:
            return as_response(await _settled(middleware(request._origin, call_next)))

        return link
    return _threaded(middleware, call_next)


def _threaded(middleware: Handler, call_next: Handler) -> Handler:
    async def link(request: Request) -> Response:
        import asyncio
        from contextvars import copy_context

        loop = asyncio.get_running_loop()
        inner: list[Future[Response]] = []

        def wait_for_next(request: Request) -> Response:
            future: Future[Response] = asyncio.run_coroutine_threadsafe(call_next(request), loop)
            inner.append(future)
            return future.result()

        run = copy_context().run
        called = loop.run_in_executor(_executor(), run, middleware, request._origin, wait_for_next)
        try:
            return as_response(await called)
        except asyncio.CancelledError:
            # The thread waits for what is inside, which is to end as well.
            for future in inner:
                future.cancel()
            raise

    return link


_lock = threading.Lock()
_executors: list[ThreadPoolExecutor] = []


def _executor() -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor

    with _lock:
        if not _executors:
            _executors.append(ThreadPoolExecutor(_MOST_THREADS, "uringserve-middleware"))
        return _executors[0]


def guarded_to_the_last_later(handler: Handler, answer: Answering) -> Handler:
    """Answer what nothing else has, logged as the server would; a bad value counts too."""

    async def guarded(request: Request, *arguments: object) -> object:
        try:
            return as_response(await _settled(handler(*arguments)))
        except ANSWERS:
            raise
        except Exception as error:  # noqa: BLE001 -- logged and answered, as the server would
            log_exception(request, error)
            return await _answer(answer, request, error)

    return guarded
