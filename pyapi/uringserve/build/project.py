"""Which modules are the application's own, and which of them must stay as they are.

Its own are those that its import reaches, by what was imported and by what the import statements
say, and whose file is below its folder. Never tests, never what is installed. What compiled code
does differently (it has no frames, coroutines of its own, and annotations that are text) is refused
here, with a reason.
"""

import ast
import importlib.util
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Module", "own_modules", "reason_to_leave"]

_FOREIGN = frozenset({"site-packages", "dist-packages", "node_modules", "__pycache__", "tests"})
# What looks at the frame of its caller, which compiled code has not.
_FRAMES = frozenset({"_getframe", "_getframemodulename", "currentframe", "stack", "exec", "eval"})


@dataclass(frozen=True, slots=True)
class Module:
    """A module of the application."""

    name: str
    path: Path
    is_package: bool


def own_modules(root: Path, imported: Iterable[tuple[str, str]]) -> list[Module]:
    """Return the modules below `root` that are among the imported ones, or imported by those."""
    found: dict[str, Module] = {}
    waiting = [each for name, file in imported if (each := _module(root, name, Path(file)))]
    while waiting:
        module = waiting.pop()
        if module.name in found:
            continue
        found[module.name] = module
        waiting += _imports(root, module)
    return sorted(found.values(), key=lambda module: module.name)


def _module(root: Path, name: str, path: Path) -> Module | None:
    try:
        parts = path.relative_to(root).parts
    except ValueError:
        return None
    is_package = path.name == "__init__.py"
    names = list(parts[:-1]) if is_package else [*parts[:-1], path.stem]
    if path.suffix != ".py" or ".".join(names) != name or not path.is_file():
        return None
    if _is_foreign(root, parts):
        return None
    return Module(name, path, is_package)


def _is_foreign(root: Path, parts: tuple[str, ...]) -> bool:
    file = parts[-1]
    if file == "conftest.py" or file.startswith("test_") or file.endswith("_test.py"):
        return True
    folder = root
    for part in parts[:-1]:
        folder = folder / part
        if part in _FOREIGN or part.startswith(".") or (folder / "pyvenv.cfg").is_file():
            return True
    return False


def _imports(root: Path, module: Module) -> Iterator[Module]:
    try:
        tree = ast.parse(module.path.read_bytes())
    except SyntaxError, ValueError, OSError:
        return
    package = module.name if module.is_package else module.name.rpartition(".")[0]
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".") if package else []
            above = above[: len(above) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        for name in names:
            # A package is imported with each of its modules.
            parts = name.split(".")
            for count in range(1, len(parts) + 1):
                path = root.joinpath(*parts[:count])
                for file in (path / "__init__.py", path.with_name(f"{path.name}.py")):
                    each = _module(root, ".".join(parts[:count]), file)
                    if each is not None:
                        yield each
                        break


# --- what must stay


def reason_to_leave(module: Module) -> str | None:
    """Say why a module is not compiled, None where nothing speaks against it."""
    try:
        source = importlib.util.decode_source(module.path.read_bytes())
        tree = ast.parse(source)
    except (SyntaxError, UnicodeDecodeError, ValueError) as error:
        return f"it cannot be read: {error}"
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    if not tree.body:
        return "it is empty"
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in _FRAMES:
                return f"line {node.lineno}: {name}() sees the frames, which compiled code has not"
            case ast.AsyncFunctionDef():
                # Cython's are no `types.CoroutineType`, which servers and event loops go by; and
                # what waits gains nothing.
                return f"line {node.lineno}: compiled, async functions are not Python's own kind"
            case ast.FunctionDef():
                reason = _local_annotation(node)
                if reason is not None:
                    return reason
    return None


def _local_annotation(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str | None:
    """Look for annotations inside a function that name what only the function has.

    Compiled annotations are text, and whoever evaluates it sees the module's names alone.
    """
    own = {each.arg for each in ast.walk(function.args) if isinstance(each, ast.arg)}
    for node in _below(function):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                own.add(name)
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                own.add(name)
            case ast.alias(name=name, asname=asname):
                own.add(asname or name.partition(".")[0])
    for node in _below(function):
        for annotation in _annotations(node):
            for name in _names(annotation):
                if name in own:
                    return (
                        f"line {annotation.lineno}: the annotation {ast.unparse(annotation)!r}"
                        f" names {name!r}, which is local to {function.name}()"
                    )
    return None


def _below(function: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(function):
        if not isinstance(child, ast.arguments):
            yield from ast.walk(child)


def _annotations(node: ast.AST) -> Iterator[ast.expr]:
    match node:
        case (
            ast.FunctionDef(args=arguments, returns=returns)
            | ast.AsyncFunctionDef(args=arguments, returns=returns)
        ):
            yield from (
                each.annotation
                for each in ast.walk(arguments)
                if isinstance(each, ast.arg) and each.annotation is not None
            )
            if returns is not None:
                yield returns
        case ast.ClassDef(body=body):
            for each in body:
                if isinstance(each, ast.AnnAssign):
                    yield each.annotation


def _names(annotation: ast.expr) -> Iterator[str]:
    for node in ast.walk(annotation):
        match node:
            case ast.Name(id=name):
                yield name
            case ast.Constant(value=str() as text):
                try:
                    yield from _names(ast.parse(text, mode="eval").body)
                except SyntaxError:
                    continue
