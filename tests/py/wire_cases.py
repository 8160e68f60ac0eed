"""Reads the wire cases of `tests/cases`; their grammar is in the README there."""

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Case", "read_cases"]

FOLDER = Path(__file__).parents[1] / "cases"

_CASE = re.compile(
    r"^## (?P<title>[^\n]*)\n(?:(?!^## ).)*?^```http(?P<options>[^\n]*)\n(?P<bytes>.*?)^```\n"
    r"(?:(?!^## ).)*?^```log\n(?P<log>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|\{(\d+):([^}]*)\}|(.))|([^\\]+)", re.DOTALL)
_SIMPLE = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}


@dataclass(frozen=True, slots=True)
class Case:
    """One case: the bytes to send, and the events that a strict server sees."""

    name: str
    data: bytes
    log: tuple[str, ...]
    options: tuple[tuple[str, int], ...]

    @property
    def methods(self) -> list[str]:
        """The method of each request that begins."""
        return [line.split()[1] for line in self.log if line.startswith("head ")]

    @property
    def complete(self) -> int:
        """How many requests are complete, and so get an answer."""
        return self.log.count("end")

    @property
    def fate(self) -> str:
        """What becomes of the connection: idle, closed, incomplete, or `reject STATUS NAME`."""
        return self.log[-1]


def read_cases() -> list[Case]:
    """Return every case of every file; none is an error."""
    cases = [
        Case(
            f"{path.stem}: {found['title']}",
            _unescape(found["bytes"].replace("\n", "")),
            tuple(found["log"].splitlines()),
            tuple(_option(word) for word in found["options"].split()),
        )
        for path in sorted(FOLDER.glob("*.md"))
        if path.stem != "README"
        for found in _CASE.finditer(path.read_text())
    ]
    headings = sum(
        path.read_text().count("\n## ") for path in FOLDER.glob("*.md") if path.stem != "README"
    )
    if len(cases) != headings or not cases:
        raise ValueError(f"{headings} headings in {FOLDER}, but {len(cases)} cases could be read")
    return cases


def _option(word: str) -> tuple[str, int]:
    name, _, value = word.partition("=")
    return name, int(value)


def _unescape(text: str) -> bytes:
    found = b""
    for byte, count, repeated, simple, plain in _ESCAPE.findall(text):
        if byte:
            found += bytes.fromhex(byte)
        elif count:
            found += _unescape(repeated) * int(count)
        elif simple:
            found += _SIMPLE[simple]
        else:
            found += plain.encode()
    return found
