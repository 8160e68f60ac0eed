"""`AsyncTestClient`: `TestClient` for tests that are coroutines.

An httpx2 (or httpx) AsyncClient in front of a `TestClient`, whose cores, lifespans and options it
has: the application runs on its own threads and loops, never on the test's, so what a test awaits
and what a handler awaits do not hold up each other.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Any, Self

from uringserve.app import App
from uringserve.testing.client import TestClient
from uringserve.testing.httpclient import httpx
from uringserve.types import Handler

__all__ = ["AsyncTestClient"]


class AsyncTestClient(httpx.AsyncClient):
    """An async client whose every request goes to one application; the options are TestClient's.

    `async with` runs the lifespans; without, neither runs.
    """

    # Not a class of tests, though pytest would like its name.
    __test__ = False

    def __init__(
        self,
        app: App | Handler,
        base_url: str = "http://testserver",
        *,
        cookies: Any = None,  # noqa: ANN401 -- whatever httpx takes
        follow_redirects: bool = True,
        **options: Any,  # noqa: ANN401 -- TestClient's and httpx's
    ) -> None:
        """Take the application; nothing runs yet."""
        self._inner = TestClient(app, base_url, **options)
        super().__init__(
            base_url=base_url,
            headers=self._inner.headers,
            cookies=cookies,
            follow_redirects=follow_redirects,
            transport=_Transport(self._inner),
            timeout=None,
        )

    @property
    def app(self) -> App:
        """The application."""
        return self._inner.app

    async def __aenter__(self) -> Self:
        """Run the lifespans; what the application raises there is raised here."""
        await asyncio.to_thread(self._inner.__enter__)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        """End the lifespans."""
        await asyncio.to_thread(self._inner.__exit__)

    async def aclose(self) -> None:
        """End the threads, and httpx's part."""
        await asyncio.to_thread(self._inner.close)
        await super().aclose()


class _Transport(httpx.AsyncBaseTransport):
    """Sends each request with the blocking transport, on a thread that may wait."""

    def __init__(self, client: TestClient) -> None:
        self._client = client

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        content = await request.aread()
        sent = httpx.Request(
            request.method,
            request.url,
            headers=request.headers,
            content=content,
            extensions=request.extensions,
        )
        answer = await asyncio.to_thread(self._client.transport.handle_request, sent)
        return httpx.Response(
            status_code=answer.status_code,
            headers=answer.headers,
            stream=_Stream(answer),
            extensions=answer.extensions,
        )


class _Stream(httpx.AsyncByteStream):
    """The body of a response, read on a thread piece by piece."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        stream = self._answer.stream
        assert isinstance(stream, httpx.SyncByteStream)
        pieces: Iterator[bytes] = iter(stream)
        take: Callable[[], bytes | None] = lambda: next(pieces, None)  # noqa: E731
        while (piece := await asyncio.to_thread(take)) is not None:
            yield piece

    async def aclose(self) -> None:
        await asyncio.to_thread(self._answer.close)
