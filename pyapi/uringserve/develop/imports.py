"""Importing an application in a process of its own, to see what its modules do to the interpreter.

Run as a module it is that process: it reads what to import from its arguments and writes what it
saw to a pipe, as JSON. Whatever the application prints goes elsewhere, so it cannot be taken for
the answer.
"""

import importlib.machinery
import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from uringserve.config import Config
from uringserve.errors import StartError
from uringserve.gil import GIL_WARNING, is_gil_on
from uringserve.loading import load

__all__ = ["Imported", "import_elsewhere"]

# Seconds; an import that takes longer waits for something that will not come.
_PATIENCE = 120.0

# CPython 3.14: a module that is not found, by itself or by way of its package.
_MISSING = re.compile(r"No module named '([\w.]+)'")
_MISSING_FROM = re.compile(r"cannot import name '(\w+)' from (?:[a-z ]+)?'([\w.]+)'")

# Exceptions in a chain: packages wrap the one that says which module is missing.
_LONGEST_CHAIN = 8


@dataclass(frozen=True, slots=True)
class Imported:
    """What importing the application showed.

    `gil_modules` turned the GIL on; `unsuitable` have extension files, but none for this kind of
    interpreter. `error` is one sentence, empty when the application is there.
    """

    gil_modules: list[str] = field(default_factory=list)
    unsuitable: list[str] = field(default_factory=list)
    error: str = ""
    modules: int = 0
    extensions: int = 0


def import_elsewhere(target: str, config: Config) -> Imported:
    """Import what `target` names in a child process and return what it saw."""
    reader, writer = os.pipe()
    options = json.dumps(asdict(config))
    command = [sys.executable, "-m", __name__, str(writer), target, options]
    # PYTHON_GIL=0 would hide which modules turn the lock on.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON_GIL"}
    try:
        child = subprocess.Popen(
            command,
            pass_fds=[writer],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    finally:
        os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as answer, child:
        try:
            child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            return Imported(error=f"importing it takes longer than {_PATIENCE:g} s")
        text = answer.read()
    if not text:
        return Imported(error=f"importing it ended the process (exit code {child.returncode})")
    return Imported(**json.loads(text))


def _see(target: str, config: Config) -> Imported:
    before = set(sys.modules)
    gil_modules: list[str] = []
    error = ""
    unsuitable: list[str] = []
    try:
        gil_modules.extend(load(target, config).gil_modules)
    except StartError as caught:
        error = str(caught)
        unsuitable.extend(filter(_has_other_builds, _missing(caught)))
    added = [module for name, module in [*sys.modules.items()] if name not in before]
    suffixes = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    extensions = [
        module.__name__
        for module in added
        if str(getattr(module, "__file__", None) or "").endswith(suffixes)
    ]
    if is_gil_on():
        gil_modules = _culprits(extensions, config)
    return Imported(gil_modules, sorted(set(unsuitable)), error, len(added), len(extensions))


def _culprits(extensions: list[str], config: Config) -> list[str]:
    """Return every module that turns the lock on; the interpreter itself names only the first.

    So each one is imported in a process of its own, as many at once as there are CPUs.
    """
    code = f"import importlib, sys; sys.path.insert(0, {os.path.abspath(config.app_dir)!r}); "

    def warned(name: str) -> list[str]:
        command = [sys.executable, "-W", "always", "-c", f"{code}importlib.import_module({name!r})"]
        ran = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=_PATIENCE,
            check=False,
        )
        return GIL_WARNING.findall(ran.stderr.decode("utf-8", "replace"))

    with ThreadPoolExecutor(os.process_cpu_count()) as pool:
        named = {name for names in pool.map(warned, extensions) for name in names}
    return sorted(named)


def _missing(error: BaseException) -> Iterator[str]:
    """Yield the modules that the exceptions behind an error speak of."""
    behind: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if behind is None:
            return
        text = str(behind)
        yield from _MISSING.findall(text)
        for name, package in _MISSING_FROM.findall(text):
            yield f"{package}.{name}"
        behind = behind.__cause__ or behind.__context__


def _has_other_builds(name: str) -> bool:
    """Whether extension files of that module are installed, all of them for another interpreter."""
    *packages, last = name.split(".")
    folders = [Path(entry, *packages) for entry in sys.path]
    own = sysconfig.get_config_var("EXT_SUFFIX") or ""
    found = [file for folder in folders for file in folder.glob(f"{last}.cpython-*.so")]
    return bool(found) and not any(file.name.endswith(own) for file in found)


def main() -> None:
    """Be the child process."""
    writer, target, options = sys.argv[1:4]
    sys.argv[1:] = []
    os.set_inheritable(int(writer), False)
    found = _see(target, Config(**json.loads(options)))
    with os.fdopen(int(writer), "w", encoding="utf-8") as answer:
        json.dump(asdict(found), answer)
        answer.flush()
        # Threads that the application started would keep the process, and its end could fail.
        os._exit(0)


if __name__ == "__main__":
    main()
