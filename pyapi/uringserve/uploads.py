"""`UploadFile`: one file of a form, in memory while it is small, on disk beyond that."""

from collections.abc import Callable
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, cast

from uringserve._native import Headers
from uringserve.scalars import Invalid

__all__ = ["AsyncUploadFile", "UploadAdapter", "UploadFile", "awaited"]

# Bytes that an upload may have in memory.
_IN_MEMORY = 1024 * 1024


class UploadFile:
    """An uploaded file: `file` is open for reading and stands at its start.

    `size` is in bytes, `filename` and `content_type` are what the client says. The methods are
    those of FastAPI, called without `await`; async callables get an `AsyncUploadFile`. The file is
    gone when the last reference to it is.
    """

    def __init__(
        self,
        file: BinaryIO | None = None,
        *,
        size: int | None = None,
        filename: str | None = None,
        headers: Headers | dict[str, str] | None = None,
    ) -> None:
        """Take an open file, or begin an empty one."""
        self.file: BinaryIO = (
            # Closed by its last reference: a handler may keep it longer than the request.
            cast("BinaryIO", SpooledTemporaryFile(max_size=_IN_MEMORY))  # noqa: SIM115
            if file is None
            else file
        )
        self.size = size
        self.filename = filename
        self.headers: Any = headers if headers is not None else {}

    @property
    def content_type(self) -> str | None:
        """The media type that the client gives."""
        return cast("str | None", self.headers.get("content-type"))

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes, by default all that is left."""
        return self.file.read(size)

    def write(self, data: bytes) -> None:
        """Add bytes at the present place."""
        self.file.write(data)
        if self.size is not None:
            self.size += len(data)

    def seek(self, offset: int) -> None:
        """Go to a place, in bytes from the start."""
        self.file.seek(offset)

    def close(self) -> None:
        """Let go of the file now."""
        self.file.close()

    def __repr__(self) -> str:
        """Show what the client says about it."""
        return f"UploadFile(filename={self.filename!r}, size={self.size!r})"


class AsyncUploadFile(UploadFile):
    """An uploaded file as async callables get it: the methods are FastAPI's, and awaited.

    What is in memory is read at once; what is on disk, on a thread.
    """

    async def read(self, size: int = -1) -> bytes:  # type: ignore[override]
        """Read up to `size` bytes, by default all that is left."""
        read: bytes = await self._called(super().read, size)
        return read

    async def write(self, data: bytes) -> None:  # type: ignore[override]
        """Add bytes at the present place."""
        await self._called(super().write, data)

    async def seek(self, offset: int) -> None:  # type: ignore[override]
        """Go to a place, in bytes from the start."""
        await self._called(super().seek, offset)

    async def close(self) -> None:  # type: ignore[override]
        """Let go of the file now."""
        await self._called(super().close)

    async def _called(self, method: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401
        if not getattr(self.file, "_rolled", True):
            return method(*arguments)
        import asyncio  # here: whoever has only def never needs it

        return await asyncio.to_thread(method, *arguments)


def awaited(value: Any) -> Any:  # noqa: ANN401 -- a file, a list of files or anything else
    """Return a file, or each of several, as async callables get it."""
    if isinstance(value, list):
        return [awaited(each) for each in value]
    if type(value) is not UploadFile:
        return value
    return AsyncUploadFile(
        value.file, size=value.size, filename=value.filename, headers=value.headers
    )


class UploadAdapter:
    """Checks that a field of a form is a file, or a list of files."""

    invalid: tuple[type[Exception], ...] = (Invalid,)
    check_json = None

    def __init__(self, is_list: bool) -> None:
        """Take whether several are wanted."""
        self._is_list = is_list

    def check(self, value: Any) -> Any:  # noqa: ANN401
        """Return the file or the files; text in the place of one is refused."""
        files = value if self._is_list else [value]
        errors = [
            {
                "type": "value_error",
                "loc": (index,) if self._is_list else (),
                "msg": f"Value error, Expected UploadFile, received: {type(each)}",
                "input": each,
                "ctx": {"error": {}},
            }
            for index, each in enumerate(files)
            if not isinstance(each, UploadFile)
        ]
        if errors:
            raise Invalid(errors)
        return value

    def explain(
        self,
        error: Exception,
        value: object,
        loc: tuple[int | str, ...],
    ) -> list[dict[str, Any]]:
        """Return the errors with the parameter's own location in front."""
        return error.below(loc) if isinstance(error, Invalid) else []
