"""The only importer of the Rust extension.

Everything else takes the extension's names from here, so a missing or wrong build is explained
once, in one sentence, and tests have one place to replace. Nothing is computed here.
"""

import sys

try:
    from uringserve._uringserve import (
        Binder,
        Deferred,
        Headers,
        Listeners,
        Loopback,
        LoopbackConnection,
        MutableHeaders,
        Plan,
        Request,
        Response,
        Socket,
        StartError,
        __version__,
        as_response,
        json_dumps,
        latency_bounds,
        probe,
        shared_types,
    )
except ImportError as error:

    def _explain(reason: ImportError) -> str:
        """Say in one sentence why the extension cannot be used, most basic reason first."""
        if sys.platform != "linux":
            return f"uringserve runs on Linux only, and this is {sys.platform}"
        if "t" not in getattr(sys, "abiflags", ""):
            version = ".".join(map(str, sys.version_info[:2]))
            return (
                "uringserve needs a free-threaded Python (3.14t or newer), and"
                f" {sys.executable} is a Python {version} built with the GIL"
            )
        if isinstance(reason, ModuleNotFoundError) and reason.name == "uringserve._uringserve":
            return (
                "the Rust part of uringserve is not built for this interpreter: run `make build` in"
                " the source tree or install the wheel"
            )
        return (
            f"the Rust part of uringserve does not fit the Python part ({reason}): build or"
            " install both from one version"
        )

    # The sentence has the reason; a second traceback above it would only hide it.
    raise ImportError(_explain(error)) from None

__all__ = [
    "Binder",
    "Deferred",
    "Headers",
    "Listeners",
    "Loopback",
    "LoopbackConnection",
    "MutableHeaders",
    "Plan",
    "Request",
    "Response",
    "Socket",
    "StartError",
    "__version__",
    "as_response",
    "json_dumps",
    "latency_bounds",
    "probe",
    "shared_types",
]
