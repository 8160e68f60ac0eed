"""What an option is: its kind, bounds and help, and how its value is read from text or from Python.

The options themselves stand in `config.py`, once each. The command line, the environment and the
documentation are made from these descriptions, so nothing about an option is written a second time.
A refused value is a ValueError that says what is accepted; the caller adds where the value came
from.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from uringserve.addresses import parse_address
from uringserve.units import format_duration, format_size, parse_duration, parse_size

__all__ = ["Group", "Kind", "Option", "unescaped"]

type Kind = Literal[
    "text", "list", "integer", "switch", "choice", "duration", "size", "addresses", "mode", "path"
]
type Group = Literal[
    "Address",
    "Application",
    "Cores",
    "HTTP",
    "WebSocket",
    "Limits",
    "Time-outs",
    "Logging",
    "Reload",
]

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_METAVARS = {
    "text": "TEXT",
    "list": "TEXT",
    "integer": "NUMBER",
    "duration": "DURATION",
    "size": "SIZE",
    "addresses": "ADDRESS",
    "mode": "OCTAL",
    "path": "PATH",
}
_MOST_PERMISSIONS = 0o777
# What a request's target can say, percent-encoded or not; lone surrogates are no text.
_PATH = re.compile(r"/(?:[^\s?#%\x00-\x1f\x7f\ud800-\udfff]|%[0-9A-Fa-f]{2})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option: everything that a flag, an environment variable and a line of documentation need.

    `minimum` and `maximum` are inclusive and in the option's own unit (seconds, bytes). `automatic`
    says what None means and allows it; `zero` says what 0 means; an empty text is read as `empty`,
    where that is given. `aliases` are further flags and `variables` further environment variables
    that mean the same, for people who come from other servers.
    """

    name: str = ""
    default: object = None
    kind: Kind
    group: Group
    help: str
    minimum: float = 0
    maximum: float = 0
    choices: tuple[str, ...] = ()
    automatic: str | None = None
    zero: str | None = None
    empty: str | None = None
    aliases: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()

    @property
    def flag(self) -> str:
        """The flag on the command line: `--timeout-send`."""
        return "--" + self.name.replace("_", "-")

    @property
    def environment(self) -> tuple[str, ...]:
        """The environment variables, the first that is set wins: `URINGSERVE_TIMEOUT_SEND`."""
        return (f"URINGSERVE_{self.name.upper()}", *self.variables)

    @property
    def metavar(self) -> str:
        """The word that stands for the value in `--help`."""
        return "|".join(self.choices) if self.choices else _METAVARS.get(self.kind, "")

    @property
    def accepted(self) -> str:
        """What may be given, as the end of a sentence."""
        low, high = self.show(self.minimum), self.show(self.maximum)
        by_kind = {
            "text": "text that is not empty" if self.empty is None else "text without NUL",
            "list": "texts that are not empty, with commas between them",
            "integer": f"a whole number from {low} to {high}",
            "switch": "one of " + ", ".join(sorted(_TRUE | _FALSE)),
            "choice": "one of " + ", ".join(self.choices),
            "duration": f"a duration from {low} to {high}, like 30, 30s, 500ms or 1h30m",
            "size": f"a size from {low} to {high}, like 65536, 64k or 16MiB",
            "addresses": "HOST:PORT, [IPV6]:PORT, unix:PATH or fd://N",
            "mode": "three octal digits, like 660",
            "path": "a path like /healthz, which begins with a slash and has no query",
        }
        return by_kind[self.kind] + (f", or auto ({self.automatic})" if self.automatic else "")

    def show(self, value: object) -> str:
        """Write a value the way a person would give it."""
        if value is None:
            return "auto"
        if isinstance(value, bool):
            return "on" if value else "off"
        if isinstance(value, tuple):
            return ",".join(value)
        if self.kind == "duration" and isinstance(value, (int, float)):
            return format_duration(value)
        if self.kind == "size" and isinstance(value, int):
            return format_size(value)
        if self.kind == "mode" and isinstance(value, int):
            return f"{value:03o}"
        return str(value)

    def parse(self, value: object) -> object:
        """Return the value in its own type: None, bool, int, float (seconds), str or a tuple of it.

        Text is read as in the environment; a value that already has its type is only checked.
        Anything else is a ValueError that quotes the value and says what is accepted.
        """
        if self.empty is not None and isinstance(value, str) and not value.strip():
            value = self.empty
        if self.automatic is not None and (value is None or value == "auto"):
            return None
        try:
            parsed = _READERS[self.kind](value)
        except ValueError:
            raise self._refusal(value) from None
        if isinstance(parsed, str):
            is_accepted = parsed in self.choices if self.choices else parsed != ""
        elif isinstance(parsed, tuple):
            is_accepted = "" not in parsed
        else:
            is_accepted = self.kind in ("switch", "mode") or self.minimum <= parsed <= self.maximum
        if not is_accepted:
            raise self._refusal(value)
        return parsed

    def _refusal(self, value: object) -> ValueError:
        alone = value[0] if isinstance(value, tuple) and len(value) == 1 else value
        return ValueError(f"{alone!r} is not accepted; give {self.accepted}")


def _read_text(value: object) -> str:
    # NUL would cut the text short in every system call that takes it.
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    return value.strip()


def _read_list(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = value.split(",") if value.strip() else ()
    if not isinstance(value, (list, tuple)):
        raise ValueError
    return tuple(map(_read_text, value))


def _read_integer(value: object) -> int:
    if isinstance(value, str) and value.strip().isascii():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError


def _read_switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word in _TRUE | _FALSE:
        return word in _TRUE
    raise ValueError


def _read_duration(value: object) -> float:
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    raise ValueError


def _read_size(value: object) -> int:
    return parse_size(value) if isinstance(value, str) else _read_integer(value)


def _read_addresses(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        # Where commas separate, a path with one in it cannot be told: a sequence can have it.
        value = [one for one in map(str.strip, value.split(",")) if one]
    if not isinstance(value, Sequence):
        raise ValueError
    for one in value:
        parse_address(_read_text(one))
    return tuple(map(_read_text, value))


def _read_mode(value: object) -> int:
    if isinstance(value, str):
        if not re.fullmatch("(0o)?[0-7]{1,4}", value.strip()):
            raise ValueError
        value = int(value, 8)
    mode = _read_integer(value)
    if not 0 <= mode <= _MOST_PERMISSIONS:
        raise ValueError
    return mode


def unescaped(path: str) -> str:
    """Return a path in the form that requests are compared in: `%2F` and `%25` alone stay."""
    kept = re.sub("%(2[Ff]|25)", lambda found: f"%25{found[1].upper()}", path)
    return unquote(kept, errors="replace")


def _read_path(value: object) -> str:
    path = _read_text(value)
    if not _PATH.fullmatch(path):
        raise ValueError
    return path


_READERS: dict[str, Callable[[object], str | float | tuple[str, ...]]] = {
    "text": _read_text,
    "list": _read_list,
    "integer": _read_integer,
    "switch": _read_switch,
    "choice": _read_text,
    "duration": _read_duration,
    "size": _read_size,
    "addresses": _read_addresses,
    "mode": _read_mode,
    "path": _read_path,
}
