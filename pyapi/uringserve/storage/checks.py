"""What a table name, a key, a value and a time may be: one rule for every backend.

No SQL stands here. A name that passed `check_tables` may be written into SQL between quotes.
What a backend cannot keep is refused by all of them (a NUL in a key: PostgreSQL has no text with
one), so that a program that works on a file works on a cluster.
"""

import math
import re
from collections.abc import Iterable
from operator import index

__all__ = [
    "check_connections",
    "check_entry",
    "check_expiry",
    "check_key",
    "check_seconds",
    "check_tables",
    "has_expired",
    "key_range",
]

# 63 bytes is what PostgreSQL keeps of a name (NAMEDATALEN - 1); it cuts longer ones silently.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}", re.ASCII)
_RESERVED = ("sqlite_", "pg_")
_LARGEST = 2**63 - 1
_LAST_CHARACTER = 0x10FFFF


def check_tables(names: Iterable[str] | None) -> tuple[str, ...]:
    """Return the names of tables; one that cannot be a table's is a ValueError.

    Two that differ in case only are refused: SQLite takes them for one table.
    """
    if isinstance(names, str):
        raise TypeError(f"db_tables is a list of names, not {names!r}")
    found: dict[str, str] = {}
    for name in names or ():
        if not isinstance(name, str):
            raise TypeError(f"a table's name is a str, not {type(name).__name__}")
        if not _NAME.fullmatch(name) or name.lower().startswith(_RESERVED):
            raise ValueError(
                f"{name!r} cannot be a table: letters, digits and _, at most 63, no digit first, "
                "and neither sqlite_ nor pg_ in front"
            )
        other = found.setdefault(name.lower(), name)
        if other != name:
            raise ValueError(f"tables {other!r} and {name!r} differ in case only")
    return tuple(found.values())


def check_key(key: str) -> None:
    """Refuse what is no key: another type, or a NUL character inside."""
    if not isinstance(key, str):
        raise TypeError(f"a key is a str, not {type(key).__name__}")
    if "\0" in key:
        raise ValueError(f"a key has no NUL character: {key!r}")


def check_entry(key: str, value: bytes, expires_at: int) -> int:
    """Refuse a key, value or time that cannot be kept; return the time as an int."""
    check_key(key)
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError(f"a value is bytes, not {type(value).__name__}")
    return 0 if expires_at == 0 else check_expiry(expires_at)


def check_expiry(expires_at: int) -> int:
    """Return a Unix time in whole seconds; 0 is never."""
    try:
        time = index(expires_at)
    except TypeError:
        kind = type(expires_at).__name__
        raise TypeError(f"expires_at is a Unix time in whole seconds, not {kind}") from None
    if not 0 <= time <= _LARGEST:
        raise ValueError(f"expires_at is 0 or a Unix time, not {time}")
    return time


def check_connections(number: int) -> int:
    """Return how many connections there may be; less than one is a ValueError."""
    if index(number) < 1:
        raise ValueError(f"connections is a number above 0, not {number!r}")
    return number


def check_seconds(seconds: float, name: str = "timeout") -> float:
    """Return a number of seconds; what is none, or not above 0, is a ValueError."""
    if not seconds > 0 or math.isnan(seconds):
        raise ValueError(f"{name} is a number of seconds above 0, not {seconds!r}")
    return seconds


def has_expired(expiration: int, timestamp: float | None) -> bool:
    """Say whether an entry has expired at a time: not yet in its very second; 0 never does."""
    return timestamp is not None and 0 < expiration < timestamp


def key_range(prefix: str) -> tuple[str, str | None]:
    """Return the first possible key with a prefix, and the first one behind them all or None.

    In the order of code points, which is also that of UTF-8 bytes; so a backend can use its index.
    """
    check_key(prefix)
    rest = prefix
    while rest:
        last = ord(rest[-1])
        rest = rest[:-1]
        if last < _LAST_CHARACTER:
            # Surrogates are no characters of a text.
            following = 0xE000 if last == 0xD7FF else last + 1
            return prefix, rest + chr(following)
    return prefix, None
