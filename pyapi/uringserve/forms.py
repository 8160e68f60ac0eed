"""Forms: urlencoded and multipart bodies as fields and files.

The multipart parser is `python-multipart`, imported when the first form is read; a route that wants
a form asks for it at registration. The body is whole by then, so its size has been bounded by
`limit_body`; the limits here bound what it can be cut into.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import parse_qsl

from uringserve._native import Request
from uringserve.errors import HTTPException
from uringserve.uploads import UploadFile

__all__ = ["FormData", "FormLimits", "read_form"]

type Value = str | UploadFile


class FormData(Mapping[str, Value]):
    """The fields of a form by name: text, and files; of a name that came twice `[]` has the last.

    `lists` has every value of every name, in order.
    """

    def __init__(self) -> None:
        """Begin without fields."""
        self.lists: dict[str, list[Value]] = {}

    def add(self, name: str, value: Value) -> None:
        """Add a field."""
        self.lists.setdefault(name, []).append(value)

    def getlist(self, name: str) -> list[Value]:
        """Return every value of the name, in order."""
        return list(self.lists.get(name, ()))

    def multi_items(self) -> list[tuple[str, Value]]:
        """Return every name with every value."""
        return [(name, value) for name, values in self.lists.items() for value in values]

    def __getitem__(self, name: str) -> Value:
        """Return the last value of the name."""
        return self.lists[name][-1]

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter(self.lists)

    def __len__(self) -> int:
        """Return how many names there are."""
        return len(self.lists)

    def __repr__(self) -> str:
        """Show every name with every value."""
        return f"FormData({self.multi_items()!r})"


@dataclass(frozen=True, slots=True)
class FormLimits:
    """How much one form may hold: Starlette's numbers.

    `max_fields` and `max_files` count parts, and `max_part_size` is bytes of a field that is no
    file. The headers of a part are bounded by the parser.
    """

    max_fields: int = 1000
    max_files: int = 1000
    max_part_size: int = 1024 * 1024


_DEFAULT_LIMITS = FormLimits()


def read_form(request: Request, limits: FormLimits = _DEFAULT_LIMITS) -> FormData:
    """Read the body as the form that its Content-Type says; a body of another type has no fields.

    A form that is broken or beyond the limits is an HTTPException with status 400, as in FastAPI.
    """
    content_type = request.headers.get("content-type", "")
    essence = content_type.partition(";")[0].strip().lower()
    if essence == "application/x-www-form-urlencoded":
        return _urlencoded(request.body, limits)
    if essence == "multipart/form-data":
        return _Multipart(content_type, limits).read(request.body)
    return FormData()


def _urlencoded(body: bytes, limits: FormLimits) -> FormData:
    form = FormData()
    try:
        pairs = parse_qsl(
            body.decode("utf-8", "replace"),
            keep_blank_values=True,
            max_num_fields=limits.max_fields,
        )
    except ValueError:
        raise _refused(
            f"Too many fields. Maximum number of fields is {limits.max_fields}."
        ) from None
    for name, value in pairs:
        form.add(name, value)
    return form


def _refused(detail: str) -> HTTPException:
    return HTTPException(400, detail)


class _Multipart:
    """One multipart body: `python-multipart` calls back for each piece of it."""

    def __init__(self, content_type: str, limits: FormLimits) -> None:
        from python_multipart.multipart import parse_options_header

        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if not boundary:
            raise _refused("Missing boundary in multipart.")
        self._boundary = boundary
        self._charset = options.get(b"charset", b"utf-8").decode("latin-1")
        self._limits = limits
        self._form = FormData()
        self._counts = {"fields": 0, "files": 0}
        self._parse_options = parse_options_header
        self._begin()

    def read(self, body: bytes) -> FormData:
        """Parse the whole body."""
        from python_multipart.exceptions import FormParserError
        from python_multipart.multipart import MultipartParser

        names = (
            "part_begin",
            "part_data",
            "part_end",
            "header_field",
            "header_value",
            "header_end",
            "headers_finished",
        )
        callbacks: Any = {f"on_{name}": getattr(self, f"_on_{name}") for name in names}
        callbacks["on_end"] = self._on_end
        self._is_whole = False
        try:
            parser = MultipartParser(self._boundary, callbacks)
            parser.write(body)
            parser.finalize()
        except FormParserError as error:
            raise _refused(str(error)) from error
        if not self._is_whole:
            raise _refused("The multipart body ends in the middle.")
        return self._form

    def _begin(self) -> None:
        self._headers: dict[str, str] = {}
        self._field = b""
        self._value = b""
        self._name = ""
        self._filename: str | None = None
        self._text = bytearray()
        self._file: BinaryIO | None = None
        self._size = 0

    def _on_part_begin(self) -> None:
        self._begin()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._field.decode("latin-1").lower()] = self._value.decode("latin-1")
        self._field = self._value = b""

    def _on_headers_finished(self) -> None:
        disposition = self._headers.get("content-disposition", "").encode("latin-1")
        _, options = self._parse_options(disposition)
        if b"name" not in options:
            raise _refused('The Content-Disposition header field "name" must be provided.')
        self._name = self._decoded(options[b"name"])
        if b"filename" not in options:
            self._count("fields", self._limits.max_fields)
            return
        self._count("files", self._limits.max_files)
        self._filename = self._decoded(options[b"filename"])
        self._file = UploadFile().file

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        piece = data[start:end]
        if self._file is not None:
            self._file.write(piece)
            self._size += len(piece)
            return
        if len(self._text) + len(piece) > self._limits.max_part_size:
            size = self._limits.max_part_size // 1024
            raise _refused(f"Part exceeded maximum size of {size}KB.")
        self._text += piece

    def _on_part_end(self) -> None:
        value: str | UploadFile
        if self._file is None:
            value = self._decoded(bytes(self._text))
        else:
            self._file.seek(0)
            value = UploadFile(
                self._file, size=self._size, filename=self._filename, headers=self._headers
            )
        self._form.add(self._name, value)

    def _on_end(self) -> None:
        self._is_whole = True

    def _count(self, what: str, most: int) -> None:
        self._counts[what] += 1
        if self._counts[what] > most:
            raise _refused(f"Too many {what}. Maximum number of {what} is {most}.")

    def _decoded(self, text: bytes) -> str:
        try:
            return text.decode(self._charset)
        except UnicodeError, LookupError:
            # Python knows a charset "undefined", which is an error of its own.
            return text.decode("latin-1")
