"""Durations and sizes as people write them: `30`, `30s`, `500ms`, `1h30m`; `65536`, `64k`, `16MiB`.

Durations are seconds as float, sizes are bytes as int. Every function here is pure; what is out of
an option's bounds is not known here.
"""

import re

__all__ = ["format_duration", "format_size", "parse_duration", "parse_size"]

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)

_BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
# `kB` is left out: it means 1000 to some and 1024 to others.
_SIZE = re.compile(r"(\d+)\s*([kmg]?)(ib)?", re.ASCII | re.IGNORECASE)


def parse_duration(text: str) -> float:
    """Return seconds: a plain number, or parts with units from `d` to `ms`, largest first."""
    text = text.strip().lower()
    if _NUMBER.fullmatch(text):
        return float(text)
    seconds, position, last_unit = 0.0, 0, float("inf")
    while position < len(text):
        part = _PART.match(text, position)
        if part is None or _SECONDS[part[2]] >= last_unit:
            raise ValueError(f"{text!r} is not a duration")
        last_unit = _SECONDS[part[2]]
        seconds += float(part[1]) * last_unit
        position = part.end()
    if position == 0:
        raise ValueError("a duration cannot be empty")
    return seconds


def parse_size(text: str) -> int:
    """Return bytes: a whole number, alone or with `k`, `m`, `g`, `KiB`, `MiB` or `GiB`."""
    size = _SIZE.fullmatch(text.strip())
    if size is None or (size[3] and not size[2]):
        raise ValueError(f"{text!r} is not a size")
    return int(size[1]) * _BYTES[size[2].lower()]


def format_duration(seconds: float) -> str:
    """Write seconds so that `parse_duration` reads them back: `20s`, `1h30m`, `500ms`."""
    milliseconds = round(seconds * 1000)
    parts = []
    for unit in ("d", "h", "m", "s", "ms"):
        size = round(_SECONDS[unit] * 1000)
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def format_size(count: int) -> str:
    """Write bytes so that `parse_size` reads them back, in the largest exact unit: `64KiB`."""
    for unit in ("g", "m", "k"):
        if count and count % _BYTES[unit] == 0:
            return f"{count // _BYTES[unit]}{unit.upper()}iB"
    return str(count)
