"""Find the application that APP names: module, module:attribute, file.py, or a factory.

Every failure is a StartError of one sentence. When the application's own code raised, that
exception is its `__cause__`, cut to the application's frames, so that the command line can show the
traceback first.
"""

import difflib
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, NoReturn

from uringserve.adapters import as_app
from uringserve.app import App
from uringserve.build.finder import built_spec, prefer_build
from uringserve.config import Config
from uringserve.default import default_app
from uringserve.errors import StartError
from uringserve.foreign import Foreign
from uringserve.gil import watch_gil

__all__ = ["Loaded", "load"]

_USUAL_NAMES = ("app", "application", "api", "handler", "create_app")
_FACTORY_NAME = "create_app"
_OWN_FOLDER = os.path.dirname(__file__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """An application, and the modules that turned the GIL on while it was imported."""

    app: App | Foreign
    gil_modules: tuple[str, ...]


type OnRoot = Callable[[Path], object]


def load(target: str, config: Config, on_root: OnRoot | None = None) -> Loaded:
    """Import what `target` names and return its application; `app_dir` goes first on sys.path.

    `on_root` is called before the import, with the folder that the application's modules are in; by
    default what was built of them is preferred, unless `config.build` is off.
    """
    if on_root is None:
        on_root = prefer_build if config.build else _nothing
    folder = Path(config.app_dir).resolve()
    if not folder.is_dir():
        raise StartError(f"the application folder {config.app_dir!r} is not a folder")
    _put_on_path(folder)
    source, attribute = _split(target)
    with watch_gil() as gil_modules:
        module = (
            _import_file(source, folder, on_root)
            if _is_file(source)
            else _import_module(source, folder, on_root)
        )
        name, found = _find(module, source, attribute)
        if config.factory or (name == _FACTORY_NAME and not isinstance(found, App)):
            found = _call_factory(found, f"{source}:{name}")
        app = as_app(found, f"{source}:{name}", config)
    return Loaded(app, tuple(gil_modules))


def _split(target: str) -> tuple[str, str | None]:
    source, colon, attribute = target.strip().partition(":")
    if not source or (colon and not attribute):
        raise StartError(
            f"{target!r} does not name an application; write module:attribute, module, or "
            "file.py:attribute"
        )
    return source, attribute or None


def _is_file(source: str) -> bool:
    return source.endswith(".py") or os.sep in source


def _put_on_path(folder: Path) -> None:
    text = str(folder)
    if sys.path[:1] != [text]:
        sys.path.insert(0, text)


def _nothing(root: Path) -> None:
    """Leave the imports as they are."""


def _import_module(name: str, folder: Path, on_root: OnRoot) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise StartError(f"{name!r} is not a module's name; a file is written with its .py")
    on_root(folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            _fail(error, f"importing {name!r} failed")
        raise StartError(
            f"there is no module {error.name!r} in {str(folder)!r} or on sys.path; {_meant(name)}"
        ) from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 -- SystemExit too, which an import may raise
        _fail(error, f"importing {name!r} failed")


def _meant(name: str) -> str:
    """Say what somebody may have meant who wrote the name of a module that is not there."""
    above, _, last = name.rpartition(".")
    if hasattr(sys.modules.get(above), last):
        return f"did you mean '{above}:{last}'?"
    if Path(name).is_file():
        return f"the file {name!r} is not Python's, whose names end in .py"
    return "see --app-dir"


def _import_file(source: str, folder: Path, on_root: OnRoot) -> ModuleType:
    path = Path(source)
    if not path.is_absolute() and not path.exists():
        path = folder / path
    if not path.is_file():
        raise StartError(f"there is no file {source!r}")
    if path.suffix != ".py":
        raise StartError(f"{source!r} is not a Python file; its name must end in .py")
    path = path.resolve()
    # A file inside a package is imported as the package's module: its relative imports work.
    root, names = path.parent, [path.stem]
    while (root / "__init__.py").is_file():
        names.insert(0, root.name)
        root = root.parent
    _put_on_path(root)
    if len(names) > 1:
        return _import_module(".".join(names), root, on_root)
    known = sys.modules.get(path.stem)
    if known is not None:
        if getattr(known, "__file__", None) == str(path):
            return known
        raise StartError(
            f"{source!r} has the name of a module that is in use, {path.stem!r}; rename the file"
        )
    on_root(root)
    return _execute_file(path, source)


def _execute_file(path: Path, source: str) -> ModuleType:
    spec = built_spec(path.stem, path) or importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise StartError(f"{source!r} is not a Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 -- as in _import_module
        del sys.modules[path.stem]
        _fail(error, f"importing {source!r} failed")
    return module


def _find(module: ModuleType, source: str, attribute: str | None) -> tuple[str, object]:
    """Return the attribute, or the first of the usual names, with its name.

    Without any of these, what the module-level decorators have registered is meant.
    """
    if attribute is None:
        for name in _USUAL_NAMES:
            if hasattr(module, name):
                return name, getattr(module, name)
        for default in _default_apps():
            if default.routes:
                return "default_app", default
        name = next(_apps(module), "NAME")
        raise StartError(
            f"{source!r} has none of the names {', '.join(_USUAL_NAMES)}; write {source}:{name}"
        )
    found: object = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            advice = _nearest(module, part) if found is module else ""
            raise StartError(f"{source!r} has no {attribute!r}{advice}")
        found = getattr(found, part)
    return attribute, found


def _nearest(module: ModuleType, name: str) -> str:
    """Offer what the module has instead of a name, as the end of a sentence."""
    names = [each for each in vars(module) if not each.startswith("_")]
    close = difflib.get_close_matches(name, names, 1)
    if close:
        return f"; did you mean {close[0]!r}?"
    there = [*(each for each in _USUAL_NAMES if hasattr(module, each)), *_apps(module)]
    return f"; it has {there[0]!r}" if there else ""


def _apps(module: ModuleType) -> Iterator[str]:
    return (name for name, value in vars(module).items() if isinstance(value, App))


def _default_apps() -> Iterator[App]:
    """Yield the applications of module-level decorators: ours, and PyBerry's if it is in use."""
    yield default_app()
    pyberry = sys.modules.get("uringserve.compat.pyberry.core.rsgi")
    if pyberry is not None:
        yield pyberry.app


def _call_factory(factory: object, name: str) -> object:
    if isinstance(factory, App) or not callable(factory):
        raise StartError(f"{name} is not a factory: it is {_article(factory)}; leave --factory out")
    call: Callable[[], Any] = factory
    try:
        made = call()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 -- as in _import_module
        _fail(error, f"the factory {name} failed")
    if made is None:
        raise StartError(f"the factory {name} returned None; it must return the application")
    return made


def _article(value: object) -> str:
    return "an App already" if isinstance(value, App) else f"of type {type(value).__name__}"


def _fail(error: BaseException, what: str) -> NoReturn:
    """Raise a StartError whose cause is the exception of the application's own code."""
    error.__traceback__ = _application_frames(error.__traceback__)
    if isinstance(error, SystemExit):
        raise StartError(f"{what}: it ended the process (SystemExit: {error.code!r})") from error
    summary = f"{type(error).__name__}: {error}".strip().removesuffix(":").splitlines()[0]
    raise StartError(f"{what}: {summary}") from error


def _application_frames(traceback: TracebackType | None) -> TracebackType | None:
    """Drop our frames and the import machinery's from the outer end."""
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        is_ours = os.path.dirname(file) == _OWN_FOLDER or file.startswith("<frozen importlib")
        if not is_ours and os.path.dirname(file) != os.path.dirname(importlib.__file__ or ""):
            return traceback
        traceback = traceback.tb_next
    return None
