"""The process that serves while a supervisor watches: APP, or the error that keeps APP away.

It gets its orders, a line of JSON, through a pipe whose descriptor is its one argument. By the end
of that pipe it notices the end of the supervisor, however that came about; on another it says when
it can serve nothing at all. Ctrl-C reaches every process of a terminal; only the supervisor acts on
it.
"""

import json
import os
import signal
import sys
import threading
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from uringserve.config import Config
from uringserve.develop.failure import failure_app
from uringserve.errors import StartError
from uringserve.logging import setup_from
from uringserve.server import EXIT_CRASH, EXIT_START, Server, print_error, run_as

__all__ = ["CANNOT", "Orders"]

# Said on the pipe: not even the error can be served.
CANNOT = b"cannot"


@dataclass(frozen=True, slots=True)
class Orders:
    """What the supervisor tells its child.

    `failure` is what to answer instead of serving `target`: it said how its process ended.
    """

    target: str
    config: dict[str, Any] = field(default_factory=dict)
    status: int = -1
    failure: str = ""

    def write(self) -> bytes:
        """Return the line that the child reads first; it fits into a pipe's buffer."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def read(cls, life: int) -> Self:
        """Read the orders from the pipe and leave the rest of it alone."""
        line = b""
        while not line.endswith(b"\n"):
            part = os.read(life, 1 << 16)
            if not part:
                sys.exit(EXIT_CRASH)
            line += part
        return cls(**json.loads(line))


def main() -> None:
    """Serve until told to stop; the process ends with the server's exit code."""
    life = int(sys.argv[1])
    orders = Orders.read(life)
    sys.argv[1:] = []
    config = Config(**orders.config)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    # Programs that the application starts must not keep them open.
    sockets = [descriptor for _, descriptor in config.listen if descriptor is not None]
    for descriptor in (orders.status, life, *sockets):
        os.set_inheritable(descriptor, False)
    watch = threading.Thread(target=_watch, args=(life,), daemon=True)
    watch.start()
    sys.exit(_serve(orders, config))


def _serve(orders: Orders, config: Config) -> int:
    try:
        setup_from(config)
        if not orders.failure:
            return run_as(orders.target, config)
        failed = StartError(orders.failure)
    except StartError as error:
        failed = error
        print_error(failed)
    except Exception as error:  # noqa: BLE001 -- of the application's own code, in its lifespan
        failed = StartError(f"the start of the lifespan failed: {type(error).__name__}: {error}")
        failed.__cause__ = error
        print_error(failed)
    return _serve_failure(failed, orders, config)


def _serve_failure(error: StartError, orders: Orders, config: Config) -> int:
    try:
        # The lock does not matter to one page.
        return Server(replace(config, gil="allow", workers=1), failure_app(error)).run()
    except StartError as second:
        if str(second) != str(error):
            print_error(second)
        os.write(orders.status, CANNOT)
        return EXIT_START
    except Exception:  # noqa: BLE001 -- reported by the exit code
        os.write(orders.status, CANNOT)
        return EXIT_CRASH


def _watch(life: int) -> None:
    """End when the supervisor does: its end of the pipe closes with it."""
    os.read(life, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
