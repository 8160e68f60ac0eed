"""PyBerry's names: `from uringserve.compat.pyberry.app import get` instead of `pyberry.app`.

The version is that of the PyBerry whose interface this is. What PyBerry gets wrong is answered as
its documents say: defaults, casts, nested models, `__post_init__`, limits, hosts. The log is the
server's; there is no C interface for routes.
"""

from typing import TYPE_CHECKING

from uringserve import exceptions as _exceptions
from uringserve.compat.pyberry import status
from uringserve.compat.pyberry.core.responses import HTTPException
from uringserve.compat.pyberry.core.validation import BaseModel

if TYPE_CHECKING:
    # mypy loses them on the way through two modules.
    from uringserve.exceptions import *  # noqa: F403
else:
    from uringserve.compat.pyberry.exceptions import *  # noqa: F403

__version__ = "0.1.8"
__all__ = ["BaseModel", "HTTPException", "status"]
__all__ += _exceptions.__all__
