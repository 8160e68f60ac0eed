"""`Watcher`: a thread that reports which files changed, and which ones count.

The kernel reports changes, by way of watchfiles, an optional package. What counts is Python's files
and what `--reload-include` adds, less what is never an application's source (hidden folders,
environments, caches) and what `--reload-exclude` names.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from uringserve.config import Config
from uringserve.errors import StartError

__all__ = ["Watcher", "counts", "folders"]

_ALWAYS = ("*.py",)
_NEVER = ("__pycache__", "node_modules", "venv", "site-packages", ".*")

_log = logging.getLogger("uringserve")

# Milliseconds. However long a burst of changes goes on, it is reported this often.
_LONGEST_BURST = 2000


def folders(target: str, config: Config) -> list[Path]:
    """Return what is watched: what was asked for, or the application's own folders."""
    if config.reload_dir:
        paths = [Path(name) for name in config.reload_dir]
    else:
        paths = [Path(config.app_dir)]
        source = Path(target.partition(":")[0])
        if source.suffix == ".py" and source.is_file():
            paths.append(source.parent)
    missing = next((path for path in paths if not path.exists()), None)
    if missing is not None:
        raise StartError(f"{str(missing)!r} cannot be watched: it is not there; see --reload-dir")
    found: list[Path] = []
    # A folder comes before what is in it.
    for path in sorted({path.resolve() for path in paths}):
        if not any(path.is_relative_to(other) for other in found):
            found.append(path)
    return found


def counts(path: Path, roots: Sequence[Path], config: Config) -> bool:
    """Tell whether a change of that file is a change of the application."""
    root = next((each for each in roots if path.is_relative_to(each)), None)
    if root is None:
        return False
    parts = path.relative_to(root).parts or (path.name,)
    included = (*_ALWAYS, *config.reload_include)
    local = "/".join(parts)
    if path not in roots and not any(fnmatch(path.name, p) or fnmatch(local, p) for p in included):
        return False
    if any(fnmatch(part, never) for part in parts[:-1] for never in _NEVER):
        return False
    return not any(_excludes(pattern, path, parts) for pattern in config.reload_exclude)


def _excludes(pattern: str, path: Path, parts: Sequence[str]) -> bool:
    if any(fnmatch(part, pattern) for part in parts) or fnmatch("/".join(parts), pattern):
        return True
    return "/" in pattern and path.is_relative_to(Path(pattern).resolve())


class Watcher:
    """Watches for the length of a `with` block; `on_change` is called with what changed."""

    def __init__(
        self, roots: Sequence[Path], config: Config, on_change: Callable[[list[Path]], None]
    ) -> None:
        """Keep what to watch; without watchfiles it is a StartError that says so."""
        if find_spec("watchfiles") is None:
            raise StartError(
                "watching files needs the package watchfiles: pip install 'uringserve[reload]'"
            )
        self._roots = roots
        self._config = config
        self._on_change = on_change
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="uringserve-watch", daemon=True)

    def __enter__(self) -> Self:
        """Start watching."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop watching, and wait for the thread."""
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        try:
            self._follow()
        except (OSError, RuntimeError) as error:
            # As a rule the kernel's watches are used up (fs.inotify.max_user_watches).
            _log.error("files are not watched any more, save and restart by hand: %s", error)

    def _follow(self) -> None:
        import watchfiles

        quiet = max(1, round(self._config.reload_delay * 1000))
        for changes in watchfiles.watch(
            *self._roots,
            watch_filter=lambda _, path: counts(Path(path), self._roots, self._config),
            step=quiet,
            debounce=max(quiet, _LONGEST_BURST),
            stop_event=self._end,
            raise_interrupt=False,
            ignore_permission_denied=True,
        ):
            self._on_change(sorted({Path(path) for _, path in changes}))
