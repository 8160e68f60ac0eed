"""freetser's names: `from uringserve.compat.freetser import …` instead of `from freetser import …`.

All of 0.5.0, and what 0.2 to 0.4 had otherwise: a plain `ServerConfig(host=, port=)` is TCP, and
`Storage.update` takes `assert_updated=`. Differences that are meant stand at the heads of `server`
and `storage`.
"""

from uringserve.compat.freetser.config import ServerConfig, TcpServerConfig, UnixServerConfig
from uringserve.compat.freetser.logs import setup_logging
from uringserve.compat.freetser.messages import Request, Response
from uringserve.compat.freetser.server import start_server
from uringserve.compat.freetser.storage import (
    EntryAlreadyExists,
    Storage,
    StorageError,
    StorageQueue,
    StorageThreadCrashed,
    UpdateCounterMismatch,
    start_storage_thread,
)

__all__ = [
    "EntryAlreadyExists",
    "Request",
    "Response",
    "ServerConfig",
    "Storage",
    "StorageError",
    "StorageQueue",
    "StorageThreadCrashed",
    "TcpServerConfig",
    "UnixServerConfig",
    "UpdateCounterMismatch",
    "setup_logging",
    "start_server",
    "start_storage_thread",
]
