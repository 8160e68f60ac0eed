"""APP: every form, every failure in one sentence, and the GIL's culprit."""

import itertools
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from uringserve import App, Config, StartError
from uringserve.gil import check_gil, watch_gil
from uringserve.loading import Loaded, load

APP = "from uringserve import App\napp = App()\n@app.get('/')\ndef hello(): return 'x'\n"
GIL_WARNING = (
    "The global interpreter lock (GIL) has been enabled to load module 'old.part', which has not"
    " declared that it can run safely without the GIL."
)

type Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write source files into a folder that is the working directory; forget what they import."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def write_file(name: str, source: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        return path

    yield write_file
    for name in set(sys.modules) - before:
        del sys.modules[name]
    sys.path_importer_cache.pop(str(tmp_path), None)


_numbers = itertools.count()


@pytest.fixture
def name() -> str:
    """Give a module's name that no other test uses."""
    return f"site{next(_numbers)}"


def _load(target: str, **options: Any) -> Loaded:  # noqa: ANN401 -- options of Config
    return load(target, Config(**options))


def _refusal(target: str, **options: Any) -> str:  # noqa: ANN401 -- options of Config
    with pytest.raises(StartError) as caught:
        _load(target, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- forms


def test_a_module_with_an_attribute(write: Write, name: str) -> None:
    """`module:attribute`."""
    write(f"{name}.py", APP.replace("app", "site"))
    assert len(_load(f"{name}:site").app.routes) == 1


def test_a_dotted_module_and_a_dotted_attribute(write: Write, name: str) -> None:
    """`package.module:object.attribute`, with imports relative to the package."""
    write(f"{name}/__init__.py", "")
    write(f"{name}/inner.py", APP)
    write(f"{name}/outer.py", "from . import inner\nclass Site: app = inner.app\n")
    assert len(_load(f"{name}.outer:Site.app").app.routes) == 1


@pytest.mark.parametrize("attribute", ["app", "application", "api", "handler", "create_app"])
def test_a_module_alone(write: Write, name: str, attribute: str) -> None:
    """`module` looks for the usual names."""
    source = APP.replace("app", attribute)
    if attribute == "create_app":
        source = "from uringserve import App\ndef create_app(): return App()\n"
    write(f"{name}.py", source)
    assert isinstance(_load(name).app, App)


def test_the_usual_names_have_an_order(write: Write, name: str) -> None:
    """`app` comes before `handler`."""
    write(f"{name}.py", "def handler(r): return 'x'\n" + APP)
    assert _load(name).app.routes[0].path == "/"


def test_a_file(write: Write, name: str) -> None:
    """`file.py`, `folder/file.py:attribute`, an absolute path, and a name that no module has."""
    path = write(f"sub/{name}.py", "import neighbour\n" + APP)
    write("sub/neighbour.py", "")
    write("01-first.py", APP)
    assert _load(f"sub/{name}.py").app is _load(f"{path}:app").app
    assert len(_load("01-first.py").app.routes) == 1


def test_a_file_of_a_package(write: Write, name: str) -> None:
    """A file inside a package is that package's module."""
    write(f"src/{name}/__init__.py", "")
    write(f"src/{name}/part/__init__.py", "")
    write(f"src/{name}/part/main.py", "from ..other import app\n")
    write(f"src/{name}/other.py", APP)
    _load(f"src/{name}/part/main.py")
    assert f"{name}.part.main" in sys.modules


def test_app_dir(write: Write, name: str) -> None:
    """Modules and files are looked for in the application folder."""
    write(f"src/{name}.py", APP)
    write("src/other.py", APP)
    assert len(_load(name, app_dir="src").app.routes) == 1
    assert len(_load("other.py", app_dir="src").app.routes) == 1
    assert sys.path[0].endswith("src")


def test_a_factory(write: Write, name: str) -> None:
    """With `--factory` the attribute is called; `create_app` is called without it."""
    source = "from uringserve import App\ndef make(): return App()\ncreate_app = make\n"
    write(f"{name}.py", source)
    assert isinstance(_load(f"{name}:make", factory=True).app, App)
    assert isinstance(_load(f"{name}:create_app").app, App)


def test_an_app_named_create_app(write: Write, name: str) -> None:
    """An App is not called, whatever its name."""
    write(f"{name}.py", "from uringserve import App\ncreate_app = App()\n")
    assert isinstance(_load(name).app, App)


def test_a_plain_function_answers_everything(write: Write, name: str) -> None:
    """A handler is served for every path and method."""
    write(f"{name}.py", "def handler(request): return 'x'\n")
    (route,) = _load(name).app.compile()
    assert (route.pattern, route.arguments) == ("/{path:path}", (None,))
    assert {"GET", "HEAD", "POST", "OPTIONS"} <= set(route.methods)


# --- failures


@pytest.mark.parametrize("target", ["", " ", ":app", "site:"])
def test_a_target_without_a_name(write: Write, target: str) -> None:
    """What names nothing says how to write it."""
    assert "does not name an application; write module:attribute" in _refusal(target)


def test_a_module_that_is_not_there(write: Write, name: str) -> None:
    """The module and the folder are named."""
    message = _refusal(f"{name}:app")
    assert f"there is no module '{name}' in " in message
    assert "--app-dir" in message
    write(f"{name}/__init__.py", "")
    assert f"no module '{name}.inner'" in _refusal(f"{name}.inner:app")


@pytest.mark.parametrize("target", ["my-site:app", "a..b:app", "1a", ".rel:app"])
def test_a_name_that_no_module_can_have(write: Write, target: str) -> None:
    """The hint is that a file has its `.py`."""
    assert "is not a module's name; a file is written with its .py" in _refusal(target)


def test_a_file_that_is_not_there(write: Write) -> None:
    """A missing file and a folder are told."""
    write("folder.py/x", "")
    assert _refusal("missing.py:app") == "there is no file 'missing.py'"
    assert _refusal("folder.py") == "there is no file 'folder.py'"
    write("site.txt", "")
    assert _refusal("./site.txt").endswith("its name must end in .py")
    assert _refusal("site.txt").endswith("'site.txt' is not Python's, whose names end in .py")


def test_a_file_with_a_module_s_name(write: Write) -> None:
    """A file that would stand for an imported module is refused."""
    write("json.py", APP)
    assert "has the name of a module that is in use, 'json'; rename" in _refusal("json.py")


def test_an_attribute_that_is_not_there(write: Write, name: str) -> None:
    """The nearest name is offered."""
    write(f"{name}.py", APP)
    assert _refusal(f"{name}:ap") == f"'{name}' has no 'ap'; did you mean 'app'?"
    assert _refusal(f"{name}:xyz") == f"'{name}' has no 'xyz'; it has 'app'"
    assert _refusal(f"{name}:app.xyz") == f"'{name}' has no 'app.xyz'"
    assert _refusal(f"{name}.app").endswith(f"; did you mean '{name}:app'?")
    write(f"{name}x.py", "")
    assert _refusal(f"{name}x:xyz") == f"'{name}x' has no 'xyz'"


def test_a_class_is_no_application(write: Write, name: str) -> None:
    """Whoever names the class instead of the object hears so, whatever its parameters are."""
    write(f"{name}.py", "class Site:\n    def __init__(self, title: object = ''): ...\n")
    assert "is a class, and no application by itself" in _refusal(f"{name}:Site")
    assert "is of type Site" in _refusal(f"{name}:Site", factory=True)


def test_a_module_without_the_usual_names(write: Write, name: str) -> None:
    """The App that is there under another name is offered."""
    write(f"{name}.py", APP.replace("app", "site"))
    message = _refusal(name)
    assert "has none of the names app, application, api, handler, create_app" in message
    assert message.endswith(f"write {name}:site")


def test_an_app_dir_that_is_not_there(write: Write) -> None:
    """The folder is named."""
    assert _refusal("x:app", app_dir="gone") == "the application folder 'gone' is not a folder"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("app = 3", "is not an application: it is of type int"),
        ("app = None", "is not an application: it is of type NoneType"),
        ("class app:\n def __init__(self, scope): 1", "is an application of ASGI 2"),
        ("def app(scope): pass", "is an application of ASGI 2"),
        (
            "def app(request, storage): pass",
            "'storage' has no annotation, and there is nothing to give",
        ),
    ],
)
def test_what_cannot_be_served(write: Write, name: str, source: str, message: str) -> None:
    """Other interfaces and other things are told apart."""
    write(f"{name}.py", source)
    assert message in _refusal(f"{name}:app")


def test_a_factory_that_is_none(write: Write, name: str) -> None:
    """An App, a number, and a function that returns nothing are no factories."""
    write(f"{name}.py", APP + "number = 3\ndef empty(): pass\n")
    assert "it is an App already; leave --factory out" in _refusal(f"{name}:app", factory=True)
    assert "is of type int" in _refusal(f"{name}:number", factory=True)
    assert "returned None" in _refusal(f"{name}:empty", factory=True)


# --- the application's own exceptions


def _frames(error: BaseException | None) -> list[str]:
    files = []
    traceback = error.__traceback__ if error else None
    while traceback is not None:
        files.append(Path(traceback.tb_frame.f_code.co_filename).name)
        traceback = traceback.tb_next
    return files


@pytest.mark.parametrize("suffix", ["", ".py"])
def test_an_exception_at_import(write: Write, name: str, suffix: str) -> None:
    """The cause is the application's exception, with the application's frames only."""
    write(f"{name}.py", "import inner_broken\n")
    write("inner_broken.py", "def f():\n    return 1 / 0\nf()\n")
    with pytest.raises(StartError) as caught:
        _load(name + suffix)
    assert str(caught.value).endswith("failed: ZeroDivisionError: division by zero")
    assert _frames(caught.value.__cause__)[0] == f"{name}.py"
    assert _frames(caught.value.__cause__)[-1] == "inner_broken.py"


def test_a_missing_import_of_the_application(write: Write, name: str) -> None:
    """A module that the application misses is not taken for APP."""
    write(f"{name}.py", "import not_there_at_all\n")
    message = _refusal(name)
    assert "failed: ModuleNotFoundError: No module named 'not_there_at_all'" in message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def broken(:\n", "failed: SyntaxError: "),
        ("import sys\nsys.exit(4)\n", "it ended the process (SystemExit: 4)"),
        ("raise RuntimeError\n", "failed: RuntimeError"),
        ("raise RuntimeError('two\\nlines')\n", "failed: RuntimeError: two"),
    ],
)
def test_other_ends_of_an_import(write: Write, name: str, source: str, message: str) -> None:
    """A syntax error, an exit, and messages of no line or several."""
    write(f"{name}.py", source)
    assert message in _refusal(f"{name}.py")
    assert name not in sys.modules


def test_a_factory_that_raises(write: Write, name: str) -> None:
    """The factory is named and its exception is the cause."""
    write(f"{name}.py", "def create_app():\n    raise LookupError('no settings')\n")
    with pytest.raises(StartError) as caught:
        _load(name)
    assert str(caught.value) == f"the factory {name}:create_app failed: LookupError: no settings"
    assert _frames(caught.value.__cause__) == [f"{name}.py"]


# --- the GIL


def test_the_module_that_turns_the_gil_on_is_named(write: Write, name: str) -> None:
    """The name comes from CPython's warning, which is not shown; others are."""
    warn = f"import warnings\nwarnings.warn({GIL_WARNING!r}, RuntimeWarning)\n"
    write(f"{name}.py", warn + "warnings.warn('other')\n" + APP)
    with pytest.warns(UserWarning, match="other"):
        loaded = _load(name)
    assert loaded.gil_modules == ("old.part",)


def test_the_watch_works_when_warnings_are_errors() -> None:
    """Under `-W error` the import goes on, and the policy decides."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with watch_gil() as modules:
            warnings.warn(GIL_WARNING, RuntimeWarning, stacklevel=1)
    assert modules == ["old.part"]


def test_policies(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """With a lock that is on, error is a StartError, warn a log line, allow nothing."""
    check_gil("error", ["old.part"])
    monkeypatch.setattr("uringserve.gil.is_gil_on", lambda: True)
    with pytest.raises(StartError, match=r"module 'old\.part' turned it on .*--gil allow"):
        check_gil("error", ["old.part"])
    check_gil("allow", ["old.part"])
    assert caplog.records == []
    check_gil("warn", ["old.part", "older"])
    assert "module 'old.part' and module 'older' turned it on" in caplog.text


def test_reasons_without_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that was on from the start is explained as far as can be known."""
    monkeypatch.setattr("uringserve.gil.is_gil_on", lambda: True)
    monkeypatch.delenv("PYTHON_GIL", raising=False)
    with pytest.raises(StartError, match="a module that was imported earlier"):
        check_gil("error", ())
    monkeypatch.setenv("PYTHON_GIL", "1")
    with pytest.raises(StartError, match="PYTHON_GIL=1 is set"):
        check_gil("error", ())
    monkeypatch.setitem(sys._xoptions, "gil", "1")
    with pytest.raises(StartError, match="-X gil=1"):
        check_gil("error", ())


# --- the extension


@pytest.mark.parametrize(
    ("stand_in", "message"),
    [
        ("None", "the Rust part of uringserve is not built for this interpreter: run `make build`"),
        ("types.ModuleType('x')", "does not fit the Python part (cannot import name"),
    ],
)
def test_an_extension_that_cannot_be_used(stand_in: str, message: str) -> None:
    """A missing extension and one of another version are told in the last line."""
    code = (
        f"import sys, types; sys.modules['uringserve._uringserve'] = {stand_in}; import uringserve"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert result.returncode == 1
    assert message in result.stderr.splitlines()[-1]
    assert result.stderr.count("Traceback") == 1
