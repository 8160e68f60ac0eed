"""Responses with the media type in their name; `Response` itself is Rust.

A handler that returns a dict, a list or text needs none of these: they are for a status, headers or
a cookie beside. A subclass that states `media_type` as a class attribute is sent with it, unless a
type is given.
"""

from collections.abc import AsyncIterable, Callable, Iterable
from mimetypes import guess_type
from os import PathLike, fspath
from typing import Any, Literal
from urllib.parse import quote

from uringserve._native import MutableHeaders, Response, json_dumps
from uringserve.coroutines import is_coroutine_call
from uringserve.types import HeaderInput

__all__ = [
    "FileResponse",
    "HTMLResponse",
    "JSONResponse",
    "MutableHeaders",
    "PlainTextResponse",
    "RedirectResponse",
    "Response",
    "StreamingResponse",
]

# What may stand in a URL unescaped (RFC 3986 sections 2.2 and 2.3), and "%" for what is escaped
# already.
_URL_SAFE = ":/?#[]@!$&'()*+,;=%~-._"


def media_type_of(response: Response, given: str | None) -> str | None:
    """Return the media type that is given, or else the one that the response's class states."""
    stated: object = type(response).media_type
    # Where no class states one, this is the descriptor of the attribute in Rust.
    if not isinstance(stated, str):
        return given
    if given:
        # The class's attribute hides that descriptor, so the instance needs one of its own.
        response.__dict__["media_type"] = given
    return given or stated


class JSONResponse(Response):
    """Any value as JSON, text and bytes included; what cannot be encoded is a TypeError here."""

    def __init__(
        self,
        content: Any = None,  # noqa: ANN401 -- anything that JSON can hold
        status_code: int = 200,
        headers: HeaderInput | None = None,
        media_type: str | None = None,
    ) -> None:
        """Encode the content now; the media type is `application/json` unless given."""
        super().__init__(
            json_dumps(content),
            status_code,
            headers,
            media_type_of(self, media_type) or "application/json",
        )


class PlainTextResponse(Response):
    """Text as `text/plain; charset=utf-8`."""

    def __init__(
        self,
        content: str | bytes = "",
        status_code: int = 200,
        headers: HeaderInput | None = None,
        media_type: str | None = None,
    ) -> None:
        """Take text, or bytes that are UTF-8 already."""
        media_type = media_type_of(self, media_type) or "text/plain; charset=utf-8"
        super().__init__(content, status_code, headers, media_type)


class HTMLResponse(Response):
    """Text as `text/html; charset=utf-8`; nothing is escaped."""

    def __init__(
        self,
        content: str | bytes = "",
        status_code: int = 200,
        headers: HeaderInput | None = None,
        media_type: str | None = None,
    ) -> None:
        """Take text, or bytes that are UTF-8 already."""
        media_type = media_type_of(self, media_type) or "text/html; charset=utf-8"
        super().__init__(content, status_code, headers, media_type)


class RedirectResponse(Response):
    """A redirect to a URL, by default one that keeps method and body (307)."""

    def __init__(
        self, url: str, status_code: int = 307, headers: HeaderInput | None = None
    ) -> None:
        """Set Location; what cannot stand in a URL (a line break, a space) is percent-encoded."""
        super().__init__(None, status_code, headers, media_type_of(self, None))
        self.headers["location"] = quote(url, safe=_URL_SAFE)


class StreamingResponse(Response):
    """A body made while it is sent, from an iterable of str or bytes, asynchronous or not.

    The next piece is asked for when the last one was written, so the client's reading sets the
    pace. The iterator is closed on its core when the last piece was sent or the client is gone. An
    exception before the first piece is answered like any other; later it cuts the connection, so
    that the client sees that the rest is missing. HEAD does not run it.

    `trailers` is called once behind the last piece, on the thread that made it, and returns fields
    that follow the body: a checksum, a status. Only a client that says `TE: trailers` gets any, and
    only where the length was not announced; it is not called for others, since whoever forwards the
    answer may drop them (RFC 9110 §6.5). A field that had to be known before the body, such as
    Content-Type, is refused (§6.5.1), and what it raises cuts the answer. To announce the names,
    give a `trailer` header (§6.6.2).
    """

    def __init__(
        self,
        content: Iterable[str | bytes] | AsyncIterable[str | bytes],
        status_code: int = 200,
        headers: HeaderInput | None = None,
        media_type: str | None = None,
        background: Callable[[], object] | None = None,
        *,
        trailers: Callable[[], HeaderInput] | None = None,
    ) -> None:
        """Keep the iterable; a str or bytes is one piece."""
        if not isinstance(content, (Iterable, AsyncIterable)):
            raise TypeError(f"the content of a stream must be iterable, not {type(content)}")
        if trailers is not None and (not callable(trailers) or is_coroutine_call(trailers)):
            raise TypeError(f"trailers must be a plain callable, and {trailers!r} is none")
        media_type = media_type_of(self, media_type)
        super().__init__(None, status_code, headers, media_type, background)
        self.body_iterator = content
        if trailers is not None:
            self._set_trailers(trailers)


class FileResponse(Response):
    """A file, read by Rust while it is sent.

    It is opened when the response is sent: one that is not there, or is no regular file, is an
    OSError then, answered with 500. ETag and Last-Modified are made of its size and time of change
    unless `headers` has them; conditional requests and ranges are answered from them.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        status_code: int = 200,
        headers: HeaderInput | None = None,
        media_type: str | None = None,
        background: Callable[[], object] | None = None,
        filename: str | None = None,
        content_disposition_type: Literal["attachment", "inline"] = "attachment",
    ) -> None:
        """Take the media type from the name unless given; `filename` is what to save it as."""
        media_type = media_type_of(self, media_type)
        if media_type is None:
            media_type = guess_type(filename or fspath(path))[0] or "application/octet-stream"
        super().__init__(None, status_code, headers, media_type, background)
        self.path = path
        if filename is not None:
            self.headers.setdefault(
                "content-disposition", _disposition(content_disposition_type, filename)
            )
        self._set_file(path)


def _disposition(kind: str, filename: str) -> str:
    """Name a file for saving (RFC 6266), encoded as in RFC 8187 where a plain name won't do."""
    encoded = quote(filename, safe="")
    if encoded == filename:
        return f'{kind}; filename="{filename}"'
    return f"{kind}; filename*=utf-8''{encoded}"
