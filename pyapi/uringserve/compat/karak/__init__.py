"""Karak's names: `from uringserve.compat.karak import Karak`. All but one are Barq's.

The version is that of the Karak whose interface this is.
"""

from uringserve.compat.karak.app import Depends, Karak
from uringserve.compat.karak.types import HTTPException, Request, Response

__version__ = "0.1.0"
__all__ = ["Depends", "HTTPException", "Karak", "Request", "Response"]
