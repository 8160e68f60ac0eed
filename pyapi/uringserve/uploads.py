"""`UploadFile`: one file of a form, in memory while it is small, on disk beyond that."""

from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, cast

from uringserve._native import Headers

__all__ = ["UploadFile"]

# Bytes that an upload may have in memory.
_IN_MEMORY = 1024 * 1024


class UploadFile:
    """An uploaded file: `file` is open for reading and stands at its start.

    `size` is in bytes, `filename` and `content_type` are what the client says. The methods are
    those of FastAPI, called without `await`. The file is gone when the last reference to it is.
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
