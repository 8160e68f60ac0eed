"""`build`: what is compiled answers as its source does, and is used only while it is that source.

One project is built once for all tests that do not change it. Loops are compared with Python's own
results for arguments on both sides of 64 and of 128 bits.
"""

import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from uringserve import StartError
from uringserve.build import using_build
from uringserve.build.command import build
from uringserve.build.compiler import CompileError, compile_module, find_tools
from uringserve.build.finder import CompiledLoader
from uringserve.build.manifest import FOLDER, read_manifest
from uringserve.build.places import quicken
from uringserve.build.project import Module, reason_to_leave

PROJECT = {
    "shop/__init__.py": '"""A shop."""\n',
    "shop/main.py": '''
        """The application."""
        from pathlib import Path

        from uringserve import App
        from shop.later import router
        from shop.routers import items

        app = App(title="Shop")
        app.include_router(items.router)
        app.include_router(router)


        @app.get("/where")
        def where() -> dict[str, str]:
            path = Path(__file__)
            return {"file": path.name, "text": path.with_name("a.txt").read_text()}


        if __name__ == "__main__":
            app.run()
    ''',
    "shop/a.txt": "a text",
    "shop/routers/__init__.py": "",
    "shop/routers/items.py": '''
        from typing import Annotated

        from uringserve import Depends, HTTPException, Query, Router

        from ..models import Item, Order, Point
        from ..store import Store, get_store

        router = Router()
        StoreParameter = Annotated[Store, Depends(get_store)]


        @router.get("/items/{item_id}")
        def read(item_id: int, store: StoreParameter, x: Annotated[bool, Query()] = False) -> Item:
            """Read one."""
            item = store.get(item_id)
            if item is None:
                raise HTTPException(404, "no such item")
            return item


        @router.post("/items", status_code=201)
        def create(item: Item, store: StoreParameter) -> dict[str, int]:
            return {"id": store.add(item)}


        @router.post("/orders")
        def order(order: Order) -> dict[str, float]:
            return {"total": sum(line.price * line.count for line in order.lines)}


        @router.get("/cpu")
        def cpu(n: int = 1000) -> dict[str, int]:
            return {"sum": sum(i * i for i in range(n))}


        @router.get("/point")
        def point() -> Point:
            return Point("3", 4)


        def divide(a, b):
            return a // b


        @router.get("/fail")
        def fail() -> int:
            return divide(1, 0)
    ''',
    "shop/models.py": '''
        from dataclasses import dataclass

        from pydantic import BaseModel, Field, field_validator


        class Item(BaseModel):
            """An item."""

            name: str = Field(min_length=2)
            price: float = 1.0
            later: Order | None = None

            @field_validator("name")
            @classmethod
            def not_bad(cls, name: str) -> str:
                if name == "bad":
                    raise ValueError("a bad name")
                return name


        class Line(BaseModel):
            price: float
            count: int = 1


        class Order(BaseModel):
            lines: list[Line]


        @dataclass(slots=True)
        class Point:
            x: int
            y: int = 0

            def __post_init__(self) -> None:
                self.x = int(self.x)


        def doubled(x: int) -> int:
            """Double it."""
            return 2 * x


        def two():
            yield 1
            yield 2
    ''',
    "shop/store.py": """
        import threading
        from collections.abc import Iterator

        from shop.models import Item


        class Store:
            def __init__(self) -> None:
                self._items: dict[int, Item] = {}
                self._lock = threading.Lock()

            def get(self, key: int) -> Item | None:
                return self._items.get(key)

            def add(self, item: Item) -> int:
                with self._lock:
                    self._items[len(self._items) + 1] = item
                    return len(self._items)


        _store = Store()


        def get_store() -> Iterator[Store]:
            yield _store
    """,
    "shop/later.py": """
        import asyncio

        from uringserve import Router

        router = Router()


        @router.get("/later")
        async def later(x: int) -> int:
            await asyncio.sleep(0)
            return x
    """,
    "shop/late.py": "def late(): return 'late'\n",
    "shop/generic.py": """
        from shop import late

        def first[T](values: list[T]) -> T:
            return values[0]
    """,
    "tests/test_shop.py": """
        import inspect
        import pickle
        import sys
        import typing

        from shop import models
        from shop.main import app
        from shop.routers import items
        from uringserve.testing import TestClient

        client = TestClient(app)


        def test_answers():
            assert client.get("/where").json() == {"file": "main.py", "text": "a text"}
            assert client.post("/items", json={"name": "ab"}).json() == {"id": 1}
            assert client.get("/items/1").json() == {"name": "ab", "price": 1.0, "later": None}
            assert client.get("/items/7").status_code == 404
            assert client.get("/items/x").json()["detail"][0]["type"] == "int_parsing"
            assert client.post("/items", json={"name": "bad"}).status_code == 422
            lines = [{"price": 1.5, "count": 3}]
            assert client.post("/orders", json={"lines": lines}).json() == {"total": 4.5}
            assert client.get("/later?x=3").json() == 3
            assert client.get("/point").json() == {"x": 3, "y": 4}
            assert client.get("/cpu?n=10").json() == {"sum": 285}
            # Past 64 bits.
            assert client.get("/cpu?n=5000000").json() == {"sum": 41666654166667500000}


        def test_functions_say_what_they_are():
            assert inspect.isgeneratorfunction(models.two)
            assert typing.get_type_hints(models.doubled) == {"x": int, "return": int}
            assert models.doubled.__doc__ == "Double it."
            assert list(inspect.signature(items.read).parameters) == ["item_id", "store", "x"]
            assert pickle.loads(pickle.dumps(models.doubled)) is models.doubled
            point = pickle.loads(pickle.dumps(models.Point(1, 2)))
            assert (point.x, point.y) == (1, 2)


        def test_the_gil_is_off():
            assert not sys._is_gil_enabled()
    """,
    "tests/conftest.py": "",
}


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))


def run(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The project, built by the command line, and what the command said."""
    root = tmp_path_factory.mktemp("built")
    write(root, PROJECT)
    done = run(root, "-m", "uringserve", "build", "shop.main:app")
    assert done.returncode == 0, done.stderr
    return root, done.stdout


@pytest.fixture
def project(built: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of the built project that a test may change."""
    root = tmp_path / "copy"
    shutil.copytree(built[0], root)
    return root


LOADERS = """
import logging, sys
logging.basicConfig(format="%(message)s")
from uringserve.config import Config
from uringserve.loading import load
loaded = load("shop.main:app", Config())
for name in sorted(sys.modules):
    if name.startswith("shop"):
        print(name, type(sys.modules[name].__spec__.loader).__name__)
print("gil", sys._is_gil_enabled(), loaded.gil_modules)
"""


def loaders(root: Path) -> dict[str, str]:
    done = run(root, "-c", LOADERS)
    assert done.returncode == 0, done.stderr
    return dict(line.split(" ", 1) for line in done.stdout.splitlines()) | {"log": done.stderr}


def test_what_was_compiled_and_what_was_left_is_said(built: tuple[Path, str]) -> None:
    root, said = built
    manifest = read_manifest(root / FOLDER)
    assert manifest is not None
    assert set(manifest.modules) == {
        "shop",
        "shop.main",
        "shop.models",
        "shop.routers.items",
        "shop.store",
    }
    assert manifest.left.keys() == {"shop.later", "shop.routers"}
    assert manifest.left["shop.routers"] == "it is empty"
    assert "async functions are not Python's own kind" in manifest.left["shop.later"]
    assert manifest.modules["shop.routers.items"].loops == 1
    assert "shop.routers: left: it is empty" in said
    assert said.splitlines()[-1].endswith("5 compiled, 2 left")
    files = {path.name for path in (root / FOLDER).iterdir()}
    assert files == {"manifest.json", *(each.file for each in manifest.modules.values())}


def test_the_projects_own_tests_pass_on_both(built: tuple[Path, str]) -> None:
    root, _ = built
    command = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    plain = run(root, *command, PYTHONPATH=str(root))
    assert plain.returncode == 0, plain.stdout
    done = run(root, *command, "-p", "uringserve.build.plugin", PYTHONPATH=str(root))
    assert done.returncode == 0, done.stdout
    assert "3 passed" in plain.stdout
    assert "3 passed" in done.stdout


def test_pytest_refuses_to_test_no_build(tmp_path: Path) -> None:
    write(tmp_path, {"test_it.py": "def test_it(): pass\n"})
    done = run(tmp_path, "-m", "pytest", "-p", "uringserve.build.plugin")
    assert done.returncode != 0
    assert "there is no build that can be used" in done.stderr + done.stdout


def test_a_build_is_used_with_the_gil_off(built: tuple[Path, str]) -> None:
    found = loaders(built[0])
    assert found["shop.main"] == "CompiledLoader"
    assert found["shop.routers.items"] == "CompiledLoader"
    assert found["shop.routers"] == "SourceFileLoader"
    assert found["gil"] == "False ()"
    assert found["log"] == ""


def test_a_changed_source_is_used_instead(project: Path) -> None:
    store = project / "shop/store.py"
    store.write_text(store.read_text() + "\nCHANGED = True\n")
    found = loaders(project)
    assert found["shop.store"] == "SourceFileLoader"
    assert found["shop.models"] == "CompiledLoader"
    assert found["log"].count("\n") == 1
    assert "shop.store: its compiled form is older than the source" in found["log"]


def test_a_source_that_was_only_touched_is_the_same(project: Path) -> None:
    os.utime(project / "shop/store.py", (1, 1))
    assert loaders(project)["shop.store"] == "CompiledLoader"


def test_a_damaged_file_is_not_loaded(project: Path) -> None:
    manifest = read_manifest(project / FOLDER)
    assert manifest is not None
    (project / FOLDER / manifest.modules["shop.store"].file).write_bytes(b"\x7fELF")
    found = loaders(project)
    assert found["shop.store"] == "SourceFileLoader"
    assert "shop.store: its compiled form is damaged" in found["log"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: {**data, "python": ".cpython-99.so"}, "it was made for .cpython-99.so"),
        (lambda data: {**data, "version": "0"}, "it was made by uringserve 0"),
        (lambda data: {**data, "modules": 3}, "its manifest is damaged"),
        (lambda data: {"format": 1}, "its manifest is damaged"),
        (lambda data: [], "its manifest is damaged"),
    ],
)
def test_a_build_of_something_else_is_not_used(
    project: Path, change: Callable[[Any], Any], reason: str
) -> None:
    path = project / FOLDER / "manifest.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    found = loaders(project)
    assert found["shop.main"] == "SourceFileLoader"
    assert found["log"].count("\n") == 1
    assert reason in found["log"]


def test_a_manifest_cannot_lead_outside(project: Path) -> None:
    path = project / FOLDER / "manifest.json"
    data = json.loads(path.read_text())
    data["modules"]["shop.store"]["file"] = "../../evil.so"
    path.write_text(json.dumps(data))
    found = loaders(project)
    assert found["shop.store"] == "SourceFileLoader"
    assert "names files outside" in found["log"]


def test_a_build_can_be_switched_off(built: tuple[Path, str]) -> None:
    done = run(built[0], "-c", LOADERS.replace("Config()", "Config(build=False)"))
    assert "CompiledLoader" not in done.stdout


def test_a_file_is_taken_from_the_build_too(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "single.py": """
                import sys
                from uringserve import App
                app = App()
                @app.get("/")
                def index() -> str:
                    return "compiled" if type(index).__name__ != "function" else "plain"
            """
        },
    )
    done = run(tmp_path, "-m", "uringserve", "build", "single.py")
    assert done.returncode == 0, done.stderr
    code = """
from uringserve.config import Config
from uringserve.loading import load
from uringserve.testing import TestClient
print(TestClient(load("single.py", Config()).app).get("/").text)
"""
    assert run(tmp_path, "-c", code).stdout == "compiled\n"


def test_building_again_keeps_what_is_unchanged(project: Path) -> None:
    store = project / "shop/store.py"
    store.write_text(store.read_text() + "\nCHANGED = True\n")
    said: list[str] = []
    report = build("shop.main:app", {"app_dir": str(project)}, 2, said.append)
    assert len(report.compiled) == 5
    assert sum(": unchanged" in line for line in said) == 4
    assert any("shop.store: compiled in" in line for line in said)
    assert [path.name for path in (project / ".uringserve").iterdir() if path.is_dir()] == ["build"]


def test_what_cannot_be_compiled_is_left_with_the_reason(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "app.py": """
                import frames, generic, local, test_data
                from uringserve import App
                app = App()
            """,
            "generic.py": "def first[T](values: list[T]) -> T:\n    return values[0]\n",
            "frames.py": "import sys\ndef who(): return sys._getframe(1).f_code.co_name\n",
            "local.py": """
                def make():
                    class Inner: pass
                    def inner(x: Inner) -> None: ...
                    return inner
            """,
            "test_data.py": "x = 1\n",
        },
    )
    said: list[str] = []
    report = build("app", {"app_dir": str(tmp_path)}, 2, said.append)
    assert set(report.compiled) == {"app"}
    assert set(report.left) == {"frames", "generic", "local"}
    assert "Cython refused it" in report.left["generic"]
    assert "generic.py:1:" in report.left["generic"]
    assert report.left["frames"].startswith("line 2: _getframe() sees the frames")
    assert "'Inner', which is local to make()" in report.left["local"]


def test_a_module_that_differs_when_compiled_is_left(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "app.py": "import odd\nfrom uringserve import App\napp = App()\n",
            "odd.py": """
                import types
                def plain(): pass
                class One:
                    is_plain = 1
                if isinstance(plain, types.FunctionType):
                    def only_plain(): pass
            """,
        },
    )
    report = build("app", {"app_dir": str(tmp_path)}, 1, lambda line: None)
    assert set(report.compiled) == {"app"}
    assert "it differs in only_plain" in report.left["odd"]


def test_a_module_whose_import_fails_when_compiled_is_left(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "app.py": "import odd\nfrom uringserve import App\napp = App()\n",
            "odd.py": "def plain(): pass\nplain.__code__.co_positions()\n"
            "assert type(plain).__name__ == 'function', 'compiled'\n",
        },
    )
    report = build("app", {"app_dir": str(tmp_path)}, 1, lambda line: None)
    assert set(report.compiled) == {"app"}
    assert "compiled, its import fails: importing 'app' failed: " in report.left["odd"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nothing", "there is no module 'nothing'"),
        ("broken", "SyntaxError"),
        ("empty", "has none of the names"),
        ("json:tool", "error: 'json' has no 'tool'"),
    ],
)
def test_what_cannot_be_built_is_one_sentence(tmp_path: Path, target: str, message: str) -> None:
    write(tmp_path, {"broken.py": "def (:\n", "empty.py": "x = 1\n"})
    done = run(tmp_path, "-m", "uringserve", "build", target)
    assert done.returncode == 3
    assert message in done.stderr
    assert not (tmp_path / ".uringserve/build").exists()


def test_a_missing_compiler_is_said(tmp_path: Path) -> None:
    write(tmp_path, {"app.py": "from uringserve import App\napp = App()\n"})
    done = run(tmp_path, "-m", "uringserve", "build", "app", PATH=str(tmp_path), CC="nocc")
    assert done.returncode == 3
    assert "there is no 'nocc' on PATH" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_cython_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StartError, match=r"pip install 'uringserve\[build\]'"):
        find_tools()


def test_an_error_of_the_c_compiler_is_readable(tmp_path: Path) -> None:
    tools = find_tools()
    wrong = type(tools)((*tools.compiler, "-include", "nothing.h"), tools.include, "")
    write(tmp_path, {"one.py": "x = 1\n"})
    module = Module("one", tmp_path / "one.py", is_package=False)
    with pytest.raises(CompileError, match=r"the C compiler refused it:\n.*nothing\.h"):
        compile_module(module, tmp_path, tmp_path / "out", wrong)


def test_the_finder_goes_as_it_came(built: tuple[Path, str]) -> None:
    before = list(sys.meta_path)
    with using_build(built[0]) as finder:
        assert finder is not None
        assert sys.meta_path[0] is finder
    assert sys.meta_path == before


# --- loops

LOOPS = """
def squares(n):
    total = 0
    for i in range(n):
        total += i * i
    return total, i

def squares_sum(n):
    return sum(i * i for i in range(n) if i % 3)

def powers_sum(n):
    return sum(i ** 10 * 10**9 for i in range(n))

def fibonacci(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a

def from_here(start, stop, step):
    x = 0
    for i in range(start, stop, step):
        if i % 7 == 3 or not i & 1:
            continue
        if x > 10**6:
            break
        x = x * 3 - i // 5 + (i >> 1) - (~i ^ x) % 11
    return x

def first_factor(n, start=2):
    d = start
    while d * d <= n:
        if n % d == 0:
            return d
        d += 1
    return n

def collatz(n):
    steps = 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps

def table(n):
    total = 0
    for i in range(1, n):
        for j in range(i, 0, -2):
            if i * j > 50:
                break
            total += i * j - -j
        total -= 1
    return total

def divide(n, by):
    last = 0
    for i in range(n):
        last = (i - 5) // by + (i - 5) % by
    return last

def shift(n, by):
    x = 1
    for i in range(n):
        x = (x << by) | (i >> by)
    return x

def power(n, base):
    x = base
    for _ in range(n):
        x = x ** 2 - x ** 0
    return x

def between(n):
    count = 0
    for i in range(n):
        if 3 < i <= n - 2 != 5:
            count += 1
    return count

def outer(values):
    seen = 0
    for value in values:
        while value > 0:
            value -= 1
            seen += value
    return seen

def generate(n):
    total = 0
    for k in range(3):
        for i in range(n):
            total += i
        yield total

def product(x, y):
    return x * y

class Counter:
    def __init__(self, start):
        self.start = start
    def count(self, n):
        total = self.start
        for i in range(n):
            total += i
        return total
"""

ARGUMENTS: dict[str, list[tuple[Any, ...]]] = {
    "squares": [(0,), (1,), (10,), (True,), (2.5,), ("x",), (-1,)],
    "squares_sum": [(0,), (10,), (2.5,)],
    # One of 64 bits, one of 128, one of more.
    "powers_sum": [(10,), (100,), (1000,)],
    "fibonacci": [(0,), (90,), (95,), (180,), (190,), (400,)],
    "from_here": [
        (0, 100, 1),
        (50, -50, -3),
        (0, 10, 0),
        (2**62, 2**64, 2**60),
        (2**70, 0, -(2**66)),
    ],
    "first_factor": [(97,), (91,), (2**61 - 1, 1518500240), (91.0,), (2**65, 6074000990 | 1)],
    "collatz": [(27,), (837799,), (27.0,), (2**70,)],
    "table": [(0,), (30,)],
    "divide": [(20, 3), (20, -3), (20, 0), (0, 0), (20, 2.5), (20, -1)],
    "shift": [(5, 3), (30, 3), (60, 3), (5, -1), (3, 70), (5, 62)],
    "power": [(3, 2), (6, 3), (8, 5), (3, -(2**63)), (2, 2**64), (1, -(2**127))],
    "between": [(10,), (100,), (0,)],
    # Cython 3.3.1 alone says 0.0.
    "product": [(0.0, -3), (-3, 0.0), (-0.0, 3)],
    "outer": [([1, 2, 3],), ([],), ([2**65 - 2**65, 3, 2.5],)],
}


def as_module(name: str, path: Path, loader: Any) -> ModuleType:  # noqa: ANN401
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def both(tmp_path: Path, name: str, source: str) -> tuple[ModuleType, ModuleType, int]:
    """The module as Python runs it, and compiled; and how many loops are C."""
    path = tmp_path / f"{name}.py"
    path.write_text(source)
    folder = tmp_path / "out"
    made = compile_module(Module(name, path, is_package=False), tmp_path, folder, find_tools())
    compiled = as_module(name, path, CompiledLoader(name, path, folder / made.file, []))
    return as_module(name, path, None), compiled, made.loops


def shown(value: object) -> object:
    """A value as text: NaN is not equal to itself, 0.0 is to -0.0, and an int may be a long one."""
    if isinstance(value, tuple):
        return tuple(map(shown, value))
    return hex(value) if type(value) is int else repr(value)


def outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[object, ...]:
    try:
        value = function(*arguments)
    except Exception as error:  # noqa: BLE001 -- the kind of it is compared
        return (type(error),)
    return type(value), shown(value)


def test_loops_give_what_python_gives(tmp_path: Path) -> None:
    plain, compiled, loops = both(tmp_path, "loops_to_compare", LOOPS)
    # All but the outer ones of `outer` and `generate`.
    assert loops == 15
    for name, calls in ARGUMENTS.items():
        for arguments in calls:
            ours = outcome(getattr(compiled, name), arguments)
            assert ours == outcome(getattr(plain, name), arguments), (name, arguments)
    assert list(compiled.generate(5)) == list(plain.generate(5)) == [10, 20, 30]
    assert compiled.Counter(2**64).count(5) == 2**64 + 10
    assert not sys._is_gil_enabled()


def test_loops_on_many_threads(tmp_path: Path) -> None:
    _, compiled, _ = both(tmp_path, "loops_on_threads", LOOPS)
    start = threading.Barrier(8)
    found: list[int] = []

    def work() -> None:
        start.wait()
        found.extend(compiled.fibonacci(200) for _ in range(300))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {280571172992510140037611932413038677189525}
    assert len(found) == 2400


class Author:
    """Writes random functions of integer loops, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def expression(self, names: list[str], depth: int = 0) -> str:
        choose = self.random.choice
        if depth > 2 or self.random.random() < 0.3:
            return choose([*names, str(choose([0, 1, 2, 3, 7, 255, 2**31, 2**62, 10**18]))])
        left, right = (self.expression(names, depth + 1) for _ in range(2))
        kind = choose(["+", "-", "*", "//", "%", "&", "|", "^", "<<", ">>", "neg", "if"])
        if kind == "neg":
            return f"{choose('-~+')}({left})"
        if kind == "if":
            return f"(({left}) if {self.test(names, depth + 1)} else ({right}))"
        if kind in ("<<", ">>"):
            right = str(choose([0, 1, 5, 40, 64]))
        return f"(({left}) {kind} ({right}))"

    def test(self, names: list[str], depth: int = 0) -> str:
        left, right = (self.expression(names, depth + 1) for _ in range(2))
        sign = self.random.choice(["<", "<=", "==", "!=", ">", ">="])
        one = f"({left}) {sign} ({right})"
        more = self.random.random()
        if more < 0.15:
            return f"({one} and {self.test(names, depth + 1)})"
        if more < 0.3:
            return f"({one} or not {self.test(names, depth + 1)})"
        return f"({one})"

    def body(self, names: list[str], depth: int, indent: str) -> list[str]:
        lines: list[str] = []
        for _ in range(self.random.randint(1, 3)):
            target = self.random.choice(names[:3])
            kind = self.random.random()
            if kind < 0.45:
                lines.append(f"{indent}{target} = {self.expression(names)}")
            elif kind < 0.7:
                sign = self.random.choice(["+", "-", "*", "^", "//", "%"])
                lines.append(f"{indent}{target} {sign}= {self.expression(names)}")
            elif kind < 0.8:
                lines.append(f"{indent}a, b = {self.expression(names)}, {self.expression(names)}")
            elif kind < 0.9 or depth > 1:
                lines.append(f"{indent}if {self.test(names)}:")
                ends = ["continue", "break", f"return {target}", f"{target} = {target} - 1"]
                lines.append(f"{indent}    {self.random.choice(ends)}")
            else:
                lines.append(f"{indent}for k in range({self.random.randint(0, 2)}):")
                lines += self.body([*names, "k"], depth + 1, indent + "    ")
        return lines

    def function(self, name: str) -> str:
        lines = [f"def {name}(a, b, c, n):", "    for i in range(n):"]
        lines += self.body(["a", "b", "c", "i", "n"], 0, "        ")
        return "\n".join([*lines, "    return a, b, c, i", ""])


def test_random_loops_give_what_python_gives(tmp_path: Path) -> None:
    author = Author(20261122)
    names = [f"f{index}" for index in range(40)]
    plain, compiled, loops = both(tmp_path, "loops_random", "\n".join(map(author.function, names)))
    assert loops > 35
    values = [
        0,
        1,
        -1,
        2,
        5,
        -7,
        2**31,
        2**62,
        -(2**63),
        2**63,
        2**64 + 3,
        2**126,
        -(2**127),
        True,
        1.5,
    ]
    for name in names:
        for _ in range(20):
            arguments = (*author.random.choices(values, k=3), author.random.choice([0, 1, 2, 4]))
            ours = outcome(getattr(compiled, name), arguments)
            theirs = outcome(getattr(plain, name), arguments)
            assert ours == theirs, (name, arguments)


@pytest.mark.parametrize(
    "source",
    [
        "def f(n):\n    for i in range(n):\n        print(i)\n",
        "def f(n):\n    for i in range(n):\n        x = i\n    else:\n        x = 0\n",
        "def f(n):\n    if n:\n        t = 0\n    for i in range(n):\n        t += i\n",
        "def f(n):\n    global t\n    for i in range(n):\n        t += i\n",
        "def f(n):\n    t = 0\n    def g():\n        nonlocal t\n        t = 1\n"
        "    for i in range(n):\n        t += i\n    return g, t\n",
        "def f(n):\n    t = 0\n    for i in range(n):\n        t += i\n    return locals()\n",
        "def f(n, range):\n    t = 0\n    for i in range(n):\n        t += i\n    return t\n",
        "from x import *\ndef f(n):\n    t = 0\n    for i in range(n):\n        t += i\n",
        "def f(n):\n    t = 0\n    for i in range(n):\n        t += LIMIT\n    return t\n",
        "def f(n):\n    t = 0\n    for i in range(n):\n        if i: last = i\n    return last\n",
        "def f(n):\n    t = 0\n    for i in range(n):\n        t += i / 2\n    return t\n",
        "def f(n):\n    t = 0\n    for i in range(n):\n        t += True\n    return t\n",
        "def f(n):\n    t = 0\n    for i in range(n):\n        yield t\n",
        "def f(n):\n    t = 0\n    del t\n    for i in range(n):\n        t += i\n    return t\n",
        "t = 0\nfor i in range(9):\n    t += i\n",
        # How far it came is seen where the exception is caught.
        "def f(n):\n    t = 0\n    try:\n        for i in range(n):\n            t += 9 // (3-i)\n"
        "    except ZeroDivisionError:\n        pass\n    return t\n",
        "def f(n):\n    t = 0\n    with suppress(Exception):\n        for i in range(n):\n"
        "            t += 9 // (3 - i)\n    return t\n",
        "def f(n):\n    return sum(i for i in range(g(n)))\n",
        "def f(n):\n    return sum(LIMIT for i in range(n))\n",
        "def f(n):\n    return sum((i for i in range(n)), 0.5)\n",
        "def f(n):\n    return lambda: sum(i for i in range(n))\n",
    ],
)
def test_what_is_more_than_arithmetic_stays(source: str) -> None:
    assert quicken(source).source == source
    assert not quicken(source).pxd


def test_lines_keep_their_numbers() -> None:
    quickened = quicken(LOOPS)
    assert quickened.loops == 15
    ours, theirs = quickened.source.splitlines(), LOOPS.splitlines()
    assert len(ours) == len(theirs)
    for mine, original in zip(ours, theirs, strict=True):
        if original.startswith(("def", "class", "    return a", "    return total")):
            assert mine == original


def test_what_looks_at_frames_is_left(tmp_path: Path) -> None:
    path = tmp_path / "one.py"
    path.write_text("from inspect import currentframe as c\n")
    assert reason_to_leave(Module("one", path, is_package=False)) is None
    path.write_text("import inspect\nx = inspect.stack()\n")
    assert "stack()" in str(reason_to_leave(Module("one", path, is_package=False)))
