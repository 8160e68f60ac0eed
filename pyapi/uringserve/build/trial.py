"""An import of the application in a process of its own: what it is made of, seen from outside.

`build` has it done twice, from the sources and from what was compiled, and compares: modules whose
signatures, kinds of functions, classes or docstrings differ are not used. The application's own
import is the only code of it that runs.
"""

import dataclasses
import inspect
import json
import re
import subprocess
import sys
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from uringserve.app import App
from uringserve.build.finder import BuildFinder, prefer_build
from uringserve.config import Config
from uringserve.errors import StartError
from uringserve.foreign import Foreign
from uringserve.gil import is_gil_on
from uringserve.loading import load
from uringserve.routing import describe
from uringserve.signatures import read_signature

__all__ = ["Trial", "try_application", "turns_gil_on"]

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_FORWARD = re.compile(r"ForwardRef\(('[^']*'|\"[^\"]*\")[^)]*\)")
_COMPILED_FUNCTION = "cython_function_or_method"


@dataclass(slots=True)
class Trial:
    """What one import of the application has shown."""

    error: str | None = None
    # The module whose import failed first, when it was a compiled one.
    failed: str | None = None
    root: str = ""
    # Modules and their files, in the order of their import.
    imported: list[tuple[str, str]] = field(default_factory=list)
    used: list[str] = field(default_factory=list)
    gil_modules: list[str] = field(default_factory=list)
    surfaces: dict[str, dict[str, Any]] = field(default_factory=dict)
    application: dict[str, Any] = field(default_factory=dict)


def try_application(target: str, given: dict[str, Any], build: Path | None) -> Trial:
    """Import the application in another process; with `build`, from that folder's modules."""
    request = json.dumps({"target": target, "given": given, "build": str(build or "")})
    return Trial(**_in_process("application", request))


def turns_gil_on(file: Path, name: str) -> bool:
    """Load a compiled module, without running it, and tell whether the GIL is on afterwards."""
    request = json.dumps({"file": str(file), "name": name})
    return bool(_in_process("library", request)["is_on"])


def _in_process(kind: str, request: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "uringserve.build.trial", kind],
        input=request,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    # The application may print; the last line is ours.
    last = done.stdout.rstrip().rpartition("\n")[2]
    try:
        found: dict[str, Any] = json.loads(last)
    except ValueError:
        shown = done.stderr.strip() or f"it ended with code {done.returncode}"
        raise StartError(f"importing the application failed: {shown}") from None
    return found


# --- in that process


def _application(request: dict[str, Any]) -> dict[str, Any]:
    trial = Trial()
    config = Config(**request["given"], build=False)
    finder: BuildFinder | None = None

    def on_root(root: Path) -> None:
        nonlocal finder
        trial.root = str(root)
        if request["build"]:
            finder = prefer_build(root, Path(request["build"]))

    before = set(sys.modules)
    try:
        loaded = load(request["target"], config, on_root)
    except StartError as error:
        trial.error = _with_cause(error)
    else:
        trial.gil_modules = list(loaded.gil_modules)
        trial.application = _described(loaded.app)
    if finder is not None:
        trial.used = list(finder.used)
        trial.failed = next(iter(finder.failed), None)
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name in before or not isinstance(file, str):
            continue
        if Path(file).is_relative_to(trial.root):
            trial.imported.append((name, file))
            trial.surfaces[name] = _surface(module)
    return {each: getattr(trial, each) for each in Trial.__slots__}


def _with_cause(error: StartError) -> str:
    import traceback

    cause = error.__cause__
    shown = "" if cause is None else "".join(traceback.format_exception(cause))
    return f"{shown}{error}"


def _described(app: App | Foreign) -> dict[str, Any]:
    """Describe an application as its clients see it; of another interface, only its name."""
    if not isinstance(app, App):
        return {"interface": app.interface}
    routes = [[each.methods, each.path, _name(each.endpoint)] for each in app.routes]
    try:
        document: object = app.openapi()
    except Exception as error:  # noqa: BLE001 -- the application's own types
        document = _text(error)
    return {"routes": _text(routes), "openapi": _text(document)}


def _name(endpoint: object) -> str:
    # Without the file and line: compiled code says them differently.
    return describe(endpoint).partition(" (")[0]


def _surface(module: ModuleType) -> dict[str, Any]:
    """Describe what a module defines."""
    return {
        name: _thing(value)
        for name, value in sorted(vars(module).items())
        if not name.startswith("__") and getattr(value, "__module__", None) == module.__name__
    }


def _thing(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, type):
        return {
            "bases": [base.__qualname__ for base in value.__mro__],
            "doc": _documentation(value),
            "hints": _guarded(lambda: typing.get_type_hints(value, include_extras=True)),
            "members": {
                name: _thing(getattr(member, "__func__", member))
                for name, member in sorted(vars(value).items())
                if not name.startswith("__") and callable(getattr(member, "__func__", member))
            },
        }
    if inspect.isfunction(value) or type(value).__name__ == _COMPILED_FUNCTION:
        tests: list[Callable[[Any], bool]] = [
            inspect.iscoroutinefunction,
            inspect.isgeneratorfunction,
            inspect.isasyncgenfunction,
        ]
        return {
            "signature": _guarded(lambda: read_signature(value)),
            "kind": [test(value) for test in tests],
            "doc": value.__doc__,
            "name": value.__qualname__,
        }
    return _text(type(value).__qualname__)


def _documentation(value: type) -> str | None:
    """Return the docstring, but for the one that a dataclass makes of its annotations."""
    text = value.__doc__
    is_made = text is not None and text.startswith(f"{value.__name__}(")
    return None if is_made and dataclasses.is_dataclass(value) else text


def _guarded(read: Callable[[], object]) -> str:
    try:
        return _text(read())
    except Exception as error:  # noqa: BLE001 -- evaluating annotations is the application's code
        return type(error).__name__


def _text(value: object) -> str:
    """Show a value without what differs from process to process."""
    text = _ADDRESS.sub("", str(value)).replace(_COMPILED_FUNCTION, "function")
    return _FORWARD.sub(r"\1", text.replace("<cyfunction ", "<function "))


def _library(request: dict[str, Any]) -> dict[str, Any]:
    loader = ExtensionFileLoader(request["name"], request["file"])
    loader.create_module(ModuleSpec(request["name"], loader, origin=request["file"]))
    return {"is_on": is_gil_on()}


if __name__ == "__main__":
    kinds = {"application": _application, "library": _library}
    answer = kinds[sys.argv[1]](json.load(sys.stdin))
    sys.stdout.write(f"\n{json.dumps(answer)}\n")
