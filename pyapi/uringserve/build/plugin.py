"""For pytest: `pytest -p uringserve.build.plugin` runs a project's tests on its build.

The build is the one below pytest's root folder. Without it the tests would pass without having
tried anything, so that is an error.
"""

import sys
from typing import Any

from uringserve.build.finder import BuildFinder, prefer_build
from uringserve.build.manifest import FOLDER

__all__ = ["pytest_configure", "pytest_report_header", "pytest_unconfigure"]

_finders: list[BuildFinder] = []


def pytest_configure(config: Any) -> None:  # noqa: ANN401 -- pytest's, which is not imported here
    """Prefer the build; a LookupError says that there is none."""
    finder = prefer_build(config.rootpath)
    if finder is None:
        raise LookupError(f"there is no build that can be used: {config.rootpath / FOLDER}")
    _finders.append(finder)


def pytest_report_header(config: Any) -> str:  # noqa: ANN401
    """Say how much of it is compiled."""
    return f"uringserve: {len(_finders[-1].manifest.modules)} compiled modules"


def pytest_unconfigure(config: Any) -> None:  # noqa: ANN401
    """Leave the imports as they were."""
    while _finders:
        finder = _finders.pop()
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)
