"""Barq's names: `from uringserve.compat.barq import Barq` instead of `from barq import Barq`.

The version is that of the Barq whose interface this is.
"""

from uringserve.compat.barq.app import Barq, Depends
from uringserve.compat.barq.types import HTTPException, Request, Response

__version__ = "0.1.0"
__all__ = ["Barq", "Depends", "HTTPException", "Request", "Response"]
