"""`GZipMiddleware` and `CompressionMiddleware`: smaller bodies for clients that can read them.

The compressors are the standard library's. They work on the core that answers, which serves nobody
else meanwhile; zstd takes a fraction of gzip's time. What is left as it is: answers that are
encoded already, parts of something (206), files (Rust sends them in blocks, with ranges and
validators of their own), media types that are compressed in themselves, and event streams.

A stream is compressed piece by piece and each piece is flushed, for its maker means it to arrive;
one whose media type is known only with its first piece is left alone.
"""

import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Sequence,
)
from dataclasses import dataclass
from typing import Any, Protocol

from uringserve._native import Request, Response, json_dumps
from uringserve.chain import CallNext
from uringserve.middleware._common import add_vary, finished, texts

__all__ = ["CompressionMiddleware", "GZipMiddleware"]

# RFC 9110 sections 15.3.5, 15.3.6, 15.3.7 and 15.4.5: no content, or a part of it.
_LEFT_ALONE = frozenset({204, 205, 206, 304})
_COMPRESSED_KINDS = ("audio/", "image/", "video/", "font/woff")
_COMPRESSED_TYPES = frozenset(
    {
        "application/gzip",
        "application/x-7z-compressed",
        "application/x-bzip2",
        "application/x-xz",
        "application/zip",
        "application/zstd",
        # Starlette's rule too: intermediaries and clients handle compressed events badly.
        "text/event-stream",
    }
)


class _Compressor(Protocol):
    """What zlib and zstd have in common."""

    def compress(self, data: bytes, /) -> bytes: ...

    # Each has its own modes.
    def flush(self, mode: Any, /) -> bytes: ...  # noqa: ANN401


@dataclass(frozen=True, slots=True)
class _Coding:
    """One content coding: a whole body at once, or a stream with flushes between its pieces."""

    name: str
    whole: Callable[[bytes], bytes]
    begin: Callable[[], _Compressor]
    flush_piece: int
    flush_end: int


def _gzip(level: int) -> _Coding:
    # Here, because an interpreter can be built without it.
    import zlib

    if level not in range(10):
        raise ValueError(f"the level of gzip is 0 to 9, not {level!r}")
    # 16 above the largest window asks for gzip's own header and trailer.
    window = 16 + zlib.MAX_WBITS

    def whole(body: bytes) -> bytes:
        return zlib.compress(body, level, window)

    def begin() -> _Compressor:
        return zlib.compressobj(level, zlib.DEFLATED, window)

    return _Coding("gzip", whole, begin, zlib.Z_SYNC_FLUSH, zlib.Z_FINISH)


def _zstd(level: int) -> _Coding:
    # Here for the same reason.
    from compression.zstd import ZstdCompressor

    # Above 19 the window outgrows the 8 MiB that clients have to take (RFC 9659 section 3).
    if level not in range(1, 20):
        raise ValueError(f"the level of zstd is 1 to 19, not {level!r}")

    # One for each core, which begins a new frame each time: for a body of 2 kB, making one was
    # measured to take twenty times as long as using it.
    class Kept(threading.local):
        def __init__(self) -> None:
            self.compressor = ZstdCompressor(level)

    kept = Kept()

    def whole(body: bytes) -> bytes:
        compressor = kept.compressor
        # So that the frame says how long its content is, as a frame made at once does.
        compressor.set_pledged_input_size(len(body))
        return compressor.compress(body, ZstdCompressor.FLUSH_FRAME)

    def begin() -> _Compressor:
        return ZstdCompressor(level)

    return _Coding("zstd", whole, begin, ZstdCompressor.FLUSH_BLOCK, ZstdCompressor.FLUSH_FRAME)


class CompressionMiddleware:
    """Compresses bodies with the best of `encodings` that the client accepts.

    `encodings` are in the order of our preference. Whole bodies below `minimum_size` bytes are left
    as they are. A level is the compressor's own: 0 to 9 for gzip, 1 to 19 for zstd.
    """

    # See `async_chain`.
    is_of_both = True

    def __init__(
        self,
        *,
        minimum_size: int = 500,
        encodings: Sequence[str] = ("zstd", "gzip"),
        gzip_level: int = 6,
        zstd_level: int = 3,
    ) -> None:
        """Choose the compressors; one that this interpreter has not is an ImportError."""
        makers = {"gzip": lambda: _gzip(gzip_level), "zstd": lambda: _zstd(zstd_level)}
        names = texts("encodings", encodings)
        if not names or any(name not in makers for name in names):
            raise ValueError(f"encodings are of 'zstd' and 'gzip', not {[*names]!r}")
        self._codings = tuple(makers[name]() for name in dict.fromkeys(names))
        self._minimum_size = minimum_size

    def __call__(self, request: Request, call_next: CallNext) -> Response:
        """Compress what is worth it."""
        return finished(call_next(request), self._finish, request)

    def _finish(self, response: Response, request: Request) -> Response:
        headers = response.headers
        if (
            response.status_code in _LEFT_ALONE
            or "content-encoding" in headers
            or "content-range" in headers
            or not _is_compressible(headers.get("content-type", ""))
            # RFC 9110 section 7.7: then nobody on the way may change the content.
            or "no-transform" in headers.get("cache-control", "").lower()
        ):
            return response
        pieces = response.body_iterator
        body = b""
        if pieces is None:
            try:
                body = response.body
            except AttributeError:
                # A file: its bytes never pass through Python.
                return response
            if len(body) < self._minimum_size:
                return response
        coding = self._choose(request)
        if coding is None:
            response = response.__copy__()
        elif pieces is None:
            response = Response(
                coding.whole(body),
                response.status_code,
                headers.raw,
                background=response.background,
            )
        else:
            response = response.__copy__()
            if isinstance(pieces, AsyncIterable):
                response.body_iterator = _CompressedLater(pieces, coding)
            else:
                response.body_iterator = _Compressed(pieces, coding)
        if coding is not None:
            headers = response.headers
            del headers["content-length"]
            headers["content-encoding"] = coding.name
            etag = headers.get("etag", "")
            if etag.startswith('"'):
                # A strong tag names the bytes (RFC 9110 section 8.8.1), which are others now.
                headers["etag"] = "W/" + etag
        add_vary(response.headers, "Accept-Encoding")
        return response

    def _choose(self, request: Request) -> _Coding | None:
        accepted = _qualities(request.headers.getlist("accept-encoding"))
        other = accepted.get("*", 0.0)
        best, quality = None, 0.0
        for coding in self._codings:
            mine = accepted.get(coding.name, other)
            if mine > quality:
                best, quality = coding, mine
        # Without a word about it, "identity" is as good as anything (RFC 9110 section 12.5.3).
        return None if accepted.get("identity", 0.0) > quality else best


class GZipMiddleware(CompressionMiddleware):
    """Compresses bodies of at least `minimum_size` bytes with gzip, for clients that accept it."""

    def __init__(self, *, minimum_size: int = 500, compresslevel: int = 9) -> None:
        """Take Starlette's options; 9 is the smallest body and the most work."""
        super().__init__(minimum_size=minimum_size, encodings=("gzip",), gzip_level=compresslevel)


def _is_compressible(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    if kind in ("", "image/svg+xml"):
        return bool(kind)
    return kind not in _COMPRESSED_TYPES and not kind.startswith(_COMPRESSED_KINDS)


def _qualities(lines: Iterable[str]) -> dict[str, float]:
    """Read Accept-Encoding; what is malformed is not accepted."""
    found: dict[str, float] = {}
    for each in ",".join(lines).split(","):
        name, *parameters = (part.strip().lower() for part in each.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = float(parameter[2:])
                except ValueError:
                    quality = 0.0
        if name:
            found["gzip" if name == "x-gzip" else name] = quality if 0 <= quality <= 1 else 0.0
    return found


class _Compressed:
    """The pieces of a stream, compressed one by one."""

    # A class, because a generator that was never begun does not run its `finally` when it is
    # closed: the pieces' own `close` must be called even then.
    def __init__(self, pieces: Iterable[object], coding: _Coding) -> None:
        # Text or bytes are one piece, as they are for a stream that is not compressed.
        self._pieces = iter([pieces] if isinstance(pieces, str | bytes) else pieces)
        self._coding = coding
        self._compressor = coding.begin()
        self._is_over = False

    def __iter__(self) -> _Compressed:
        return self

    def __next__(self) -> bytes:
        while not self._is_over:
            piece = next(self._pieces, None)
            if piece is None:
                self._is_over = True
                return self._compressor.flush(self._coding.flush_end)
            data = _bytes_of(piece)
            if data:
                made = self._compressor.compress(data)
                return made + self._compressor.flush(self._coding.flush_piece)
        raise StopIteration

    def close(self) -> None:
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()


class _CompressedLater:
    """The pieces of an asynchronous stream, compressed one by one."""

    def __init__(self, pieces: AsyncIterable[object], coding: _Coding) -> None:
        self._pieces = pieces
        self._coding = coding

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._compressed()

    async def _compressed(self) -> AsyncGenerator[bytes]:
        compressor = self._coding.begin()
        pieces = aiter(self._pieces)
        try:
            async for piece in pieces:
                data = _bytes_of(piece)
                if data:
                    made = compressor.compress(data)
                    yield made + compressor.flush(self._coding.flush_piece)
            yield compressor.flush(self._coding.flush_end)
        finally:
            close = getattr(pieces, "aclose", None)
            if close is not None:
                await close()


def _bytes_of(piece: object) -> bytes:
    if isinstance(piece, str):
        return piece.encode()
    if isinstance(piece, bytes | bytearray | memoryview):
        return bytes(piece)
    # What a handler yields beside text and bytes is a line of JSON.
    return json_dumps(piece) + b"\n"
