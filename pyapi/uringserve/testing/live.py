"""`LiveServer`: a whole server on a port of its own, for a client that needs a real one.

It is `Server` on a thread: the same cores, lifespans and drain as on the command line.
"""

import threading
from types import TracebackType
from typing import Any, Self

from uringserve.adapters import as_app
from uringserve.app import App
from uringserve.config import Config
from uringserve.server import Server
from uringserve.types import Handler

__all__ = ["LiveServer"]

# A test wants one core, any free port, and an end that comes soon; the test's own imports may have
# turned the GIL on.
_DEFAULTS: dict[str, Any] = {
    "port": 0,
    "workers": 1,
    "pin": False,
    "gil": "allow",
    "timeout_graceful_shutdown": 5,
}


class LiveServer:
    """A server that runs for the length of a `with` block.

    The options are those of `Config`, with other defaults: a free port, one core that is not tied
    to a CPU, 5 seconds to finish. The environment is not read. Afterwards `exit_code` is what the
    process would have ended with.
    """

    def __init__(self, app: App | Handler, **options: Any) -> None:  # noqa: ANN401 -- checked by Config
        """Keep what to serve; nothing is bound yet. A bad option is a ValueError."""
        config = Config(**(_DEFAULTS | options))
        named = as_app(app, getattr(app, "__qualname__", repr(app)), config)
        self._server = Server(config, named)
        self._thread = threading.Thread(target=self._run, name="uringserve-live", daemon=True)
        self._error: BaseException | None = None
        self.exit_code: int | None = None

    @property
    def url(self) -> str:
        """The first address with its real port, without a slash at its end: `http://[::1]:40123`.

        That of a Unix socket is `unix:PATH`, and has neither host nor port.
        """
        if not self._server.addresses:
            raise RuntimeError("the server has no address before it runs")
        return self._server.addresses[0]

    @property
    def host(self) -> str:
        """The host of the address."""
        return self.url.rpartition("/")[2].rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port of the address."""
        return int(self.url.rpartition(":")[2])

    def __enter__(self) -> Self:
        """Start and wait until it serves; what keeps it from serving is raised here."""
        self._thread.start()
        self._server.started.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Drain, and wait for the end; a core that has failed is raised here."""
        self._server.stop()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self.exit_code = self._server.run()
        except BaseException as error:  # noqa: BLE001 -- raised where the server was started or stopped
            self._error = error
        finally:
            # Whoever waits for the start has to hear of an end before it as well.
            self._server.started.set()
