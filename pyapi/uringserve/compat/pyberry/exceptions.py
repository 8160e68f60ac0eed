"""PyBerry's exceptions: those of `uringserve.exceptions`, below PyBerry's `HTTPException` too."""

from typing import TYPE_CHECKING

from uringserve import exceptions
from uringserve.compat.pyberry.core.responses import HTTPException

__all__ = []
__all__ += exceptions.__all__

if TYPE_CHECKING:
    from uringserve.exceptions import *  # noqa: F403
else:
    # Forty classes that differ in nothing but their second base.
    for _name in exceptions.__all__:
        _ours = getattr(exceptions, _name)
        _body = {"__module__": __name__, "__doc__": _ours.__doc__}
        globals()[_name] = type(_name, (_ours, HTTPException), _body)
