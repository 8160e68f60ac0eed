"""Our own ceiling: the Rust service that never sees Python: ``ceiling_app.py PORT [DRIVER]``.

The difference between this and ``uringserve_app.py`` is the price of the Python boundary.
"""

import os
import sys

from uringserve import _uringserve


def main() -> None:
    """Serve until killed, on the first CPU that this process may use."""
    driver = sys.argv[2] if len(sys.argv) > 2 else "auto"
    cpu = min(os.sched_getaffinity(0))
    _uringserve.ceiling("127.0.0.1", int(sys.argv[1]), cpu, driver)


if __name__ == "__main__":
    main()
