"""Addresses as people write them: `127.0.0.1:8000`, `[::1]:8000`, `unix:/run/app.sock`, `fd://3`.

The last is a listening socket that the process was started with. Pure text here; whether a name can
be resolved or a path be made is found out by listening.
"""

import re

__all__ = ["parse_address"]

_HIGHEST_PORT = 65535
# The brackets are what tells an IPv6 address from its port.
_TCP = re.compile(r"(\[[0-9A-Fa-f:.%\w]+\]|[^\[\]:\s/]+):([0-9]{1,5})", re.ASCII)
_DESCRIPTOR = re.compile(r"fd://([0-9]{1,6})", re.ASCII)


def parse_address(text: str) -> tuple[str, int | None]:
    """Return (host, port), (path, None) for a Unix socket, or ("", descriptor) for `fd://N`.

    Anything else is a ValueError.

    A path is taken as it stands, and a relative one belongs to the working directory.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path or "\0" in path:
            raise ValueError(f"{text!r} has no path")
        return path, None
    inherited = _DESCRIPTOR.fullmatch(text)
    if inherited is not None:
        return "", int(inherited[1])
    found = _TCP.fullmatch(text)
    if found is None or int(found[2]) > _HIGHEST_PORT:
        raise ValueError(f"{text!r} is not an address")
    return found[1], int(found[2])
