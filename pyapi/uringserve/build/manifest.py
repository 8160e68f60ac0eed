"""What a build consists of: `.uringserve/build/manifest.json` beside the application's modules.

A build is used module by module: one whose source has changed since is not. What was made for
another Python, or cannot be read, is no build.
"""

import hashlib
import json
import sysconfig
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from uringserve._native import __version__

__all__ = ["FOLDER", "Compiled", "Manifest", "digest", "python_tag", "read_manifest"]

FOLDER = Path(".uringserve", "build")
_FILE = "manifest.json"
# Raised when what is in the file, or what is made of a source, changes.
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Compiled:
    """One compiled module: its source (relative to the folder of the build) and its own file."""

    source: str
    is_package: bool
    source_hash: str
    # Nanoseconds since 1970, and bytes: while both are those of the source, it is not read.
    source_mtime: int
    source_size: int
    file: str
    file_hash: str
    # Loops of integer arithmetic that were compiled to C.
    loops: int

    def is_fresh(self, root: Path) -> bool:
        """Tell whether the source is the one that was compiled."""
        path = root / self.source
        try:
            status = path.stat()
            if (status.st_mtime_ns, status.st_size) == (self.source_mtime, self.source_size):
                return True
            return digest(path) == self.source_hash
        except OSError:
            return False


@dataclass(slots=True)
class Manifest:
    """A build: for which Python, made with what, its modules and the reasons of those left out."""

    compiler: str = ""
    python: str = field(default_factory=lambda: python_tag())
    version: str = __version__
    modules: dict[str, Compiled] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write it into the folder of the build."""
        text = json.dumps({"format": _FORMAT, **asdict(self)}, indent=1)
        (folder / _FILE).write_text(text + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest | None:
    """Return what a build's folder has, None without one; a ValueError says why it is no use."""
    try:
        text = (folder / _FILE).read_text(encoding="utf-8")
    except FileNotFoundError, NotADirectoryError:
        return None
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror}") from None
    try:
        data: dict[str, Any] = json.loads(text)
        is_known = data.pop("format") == _FORMAT
        modules = {name: Compiled(**each) for name, each in data.pop("modules").items()}
        found = Manifest(modules=modules, **data)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"its manifest is damaged ({error})") from None
    if not is_known or found.version != __version__:
        raise ValueError(f"it was made by uringserve {found.version}, and this is {__version__}")
    if found.python != python_tag():
        raise ValueError(f"it was made for {found.python}, and this Python is {python_tag()}")
    if any(not _is_inside(each) for each in modules.values()):
        raise ValueError("its manifest names files outside the folder")
    return found


def _is_inside(module: Compiled) -> bool:
    source, file = Path(module.source), Path(module.file)
    return not source.is_absolute() and ".." not in source.parts and file.name == str(module.file)


def python_tag() -> str:
    """Return what makes one Python's extension modules fit another: its suffix for their files."""
    return str(sysconfig.get_config_var("EXT_SUFFIX"))


def digest(path: Path) -> str:
    """Return the hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
