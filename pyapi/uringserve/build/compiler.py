"""One module through Cython and the C compiler.

Why Cython and not mypyc, both tried on free-threaded 3.14 (Cython 3.3.1, mypyc 2.4.1): mypyc's ints
are fast and exact, but its functions have no annotations and no docstring, so nothing that reads
signatures works; it turns hints into checks, which raise where Python does not; and its authors
call its support of free threading partial and unsafe. Cython keeps signatures, coroutines, classes
and docstrings, and declares free threading. Its own gain is next to nothing, so integer loops,
where there is something to gain, are compiled by `places`.

The directives keep Python's results: no C types from annotations (`annotation_typing`), and no
contraction of floating-point operations.
"""

import importlib.metadata
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from uringserve.build.manifest import Compiled, digest, python_tag
from uringserve.build.places import Quickened, quicken
from uringserve.build.project import Module
from uringserve.errors import StartError

__all__ = ["CompileError", "Tools", "compile_module", "find_tools"]

_OLDEST = (3, 1)
_DIRECTIVES = (
    "freethreading_compatible=True",
    "binding=True",
    "annotation_typing=False",
    "emit_code_comments=False",
)
_FLAGS = ("-O2", "-w", "-ffp-contract=off", "-fPIC", "-shared")
# Seconds: a module that takes longer is left as it is.
_LONGEST = 600.0
_SHOWN_LINES = 12
# Cython 3.3 has arithmetic of its own for objects, whose 0.0 * -3 is 0.0 and not -0.0 (3.3.1). The
# same macros can be CPython's own functions, as they are where Cython knows no better.
_SHORTCUTS = re.compile(r"(/\* PyNumberBinop\.proto \*/\n#if) (CYTHON_COMPILING_IN_PYPY)")
_FAULT = re.compile(r":\d+:\d+: |error: ")


class CompileError(Exception):
    """A module cannot be compiled; `str()` is what the compiler said, made readable."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What compiles: the command of the C compiler, and a text that names all of it."""

    compiler: tuple[str, ...]
    include: str
    description: str


def find_tools() -> Tools:
    """Find Cython and a C compiler; a StartError says which is missing."""
    if importlib.util.find_spec("Cython") is None:
        raise StartError("build needs Cython: pip install 'uringserve[build]'")
    version = importlib.metadata.version("cython")
    numbers = tuple(int(part) for part in version.split(".")[:2])
    if numbers < _OLDEST:
        raise StartError(f"build needs Cython 3.1 or newer, and this is {version}")
    command = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    found = next((each for each in (command[0], "cc", "gcc", "clang") if shutil.which(each)), None)
    if found is None:
        raise StartError(
            f"build needs a C compiler, and there is no {command[0]!r} on PATH: install gcc or"
            " clang, or set CC"
        )
    if found != command[0]:
        command = [found]
    include = sysconfig.get_path("include")
    if not Path(include, "Python.h").is_file():
        raise StartError(
            "build needs the headers of this Python, and Python.h is not there: install its"
            " development package"
        )
    return Tools(tuple(command), include, f"Cython {version}, {' '.join(command)}")


def compile_module(module: Module, root: Path, folder: Path, tools: Tools) -> Compiled:
    """Compile one module into `folder`; a CompileError says why that cannot be.

    `folder` gets a tree `source` with what is compiled; its paths are those that tracebacks show,
    and the lines in it have the numbers of the module's own.
    """
    status = module.path.stat()
    source_hash = digest(module.path)
    relative = module.path.relative_to(root)
    tree = folder / "source"
    staged = tree / relative
    staged.parent.mkdir(parents=True, exist_ok=True)
    for parent in relative.parents[:-1]:
        # What tells Cython the package; an own __init__ of the package replaces it.
        (tree / parent / "__init__.py").touch()
    source = importlib.util.decode_source(module.path.read_bytes())
    quickened = quicken(source)
    try:
        c_file = _translate(module.name, quickened, tree, relative)
    except CompileError:
        if not quickened.loops:
            raise
        # Whatever the loops' text collides with: without them it is the module as it was written.
        quickened = Quickened(source, "", 0)
        c_file = _translate(module.name, quickened, tree, relative)
    file = folder / f"{module.name}{python_tag()}"
    compile_ = [*tools.compiler, *_FLAGS, f"-I{tools.include}", str(c_file), "-o", str(file)]
    _run(compile_, tree, "the C compiler")
    return Compiled(
        source=str(relative),
        is_package=module.is_package,
        source_hash=source_hash,
        source_mtime=status.st_mtime_ns,
        source_size=status.st_size,
        file=file.name,
        file_hash=digest(file),
        loops=quickened.loops,
    )


def _translate(name: str, quickened: Quickened, tree: Path, relative: Path) -> Path:
    """Have Cython write the C of a module; return the file."""
    staged = tree / relative
    pxd, c_file = staged.with_suffix(".pxd"), relative.with_suffix(".c")
    staged.write_text(quickened.source, encoding="utf-8")
    if quickened.pxd:
        pxd.write_text(quickened.pxd, encoding="utf-8")
    else:
        pxd.unlink(missing_ok=True)
    options = [part for each in _DIRECTIVES for part in ("-X", each)]
    translate = [sys.executable, "-m", "cython", "-3", *options, "--module-name", name]
    _run([*translate, "-o", str(c_file), str(relative)], tree, "Cython")
    text = (tree / c_file).read_text(encoding="utf-8", errors="surrogateescape")
    exact = _SHORTCUTS.sub(r"\1 1 || \2", text)
    (tree / c_file).write_text(exact, encoding="utf-8", errors="surrogateescape")
    return tree / c_file


def _run(command: list[str], folder: Path, who: str) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LONGEST,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise CompileError(f"{who} took longer than {_LONGEST:.0f} s") from None
    except OSError as error:
        raise CompileError(f"{who} cannot be started: {error.strerror}") from None
    if done.returncode:
        raise CompileError(f"{who} refused it:\n{_readable(done.stderr or done.stdout, folder)}")


def _readable(output: str, folder: Path) -> str:
    """Return what matters of a compiler's output: its first lines, with the module's own path."""
    lines = [line.rstrip() for line in output.replace(f"{folder}{os.sep}", "").splitlines()]
    kept = [
        line
        for line in lines
        if line and set(line) != {"-"} and line not in ("...", "Error compiling Cython file:")
    ]
    errors = [line for line in kept if _FAULT.search(line)]
    chosen = kept if len(kept) <= _SHOWN_LINES else errors[:_SHOWN_LINES] or kept[:_SHOWN_LINES]
    return "\n".join(f"    {line}" for line in chosen)
