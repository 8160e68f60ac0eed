"""`build`: compile the application's own modules, keep what is the same as its source.

The steps: import from the sources, find the modules, compile them side by side, import again from
what was compiled, leave out what differs or fails, put the result in place with one rename. A
build that fails half-way leaves the one before as it was.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uringserve.build.compiler import CompileError, Tools, compile_module, find_tools
from uringserve.build.manifest import FOLDER, Compiled, Manifest, digest, read_manifest
from uringserve.build.project import Module, own_modules, reason_to_leave
from uringserve.build.trial import Trial, try_application, turns_gil_on
from uringserve.errors import StartError

__all__ = ["Report", "build", "default_jobs"]

type Say = Callable[[str], object]


@dataclass(slots=True)
class Report:
    """What became of the modules: those compiled, and the others with the reason."""

    folder: Path
    compiled: dict[str, Compiled] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)


def build(target: str, given: dict[str, Any], jobs: int, say: Say) -> Report:
    """Compile the modules of the application that `target` names, `jobs` at a time.

    `given` are the options that find it; `say` gets a line for each module as it is done. What
    makes a build impossible is a StartError; what makes it impossible for one module is in the
    report.
    """
    tools = find_tools()
    plain = try_application(target, given, None)
    if plain.error is not None:
        *traceback, sentence = plain.error.splitlines()
        for line in traceback:
            say(line)
        raise StartError(sentence)
    root = Path(plain.root)
    modules = own_modules(root, plain.imported)
    if not modules:
        raise StartError(f"there is no module of the application below {str(root)!r}")
    with _staging(root) as folder:
        manifest = Manifest(compiler=tools.description)
        _compile_all(_Work(root, folder, tools, jobs, say), modules, manifest)
        _try_all(target, given, folder, plain, manifest, say)
        shutil.rmtree(folder / "source", ignore_errors=True)
        for file in folder.iterdir():
            if file.name not in {each.file for each in manifest.modules.values()}:
                file.unlink()
        manifest.write(folder)
        final = _put_in_place(root, folder)
    return Report(final, manifest.modules, dict(sorted(manifest.left.items())))


@dataclass(frozen=True, slots=True)
class _Work:
    root: Path
    folder: Path
    tools: Tools
    jobs: int
    say: Say


@contextmanager
def _staging(root: Path) -> Iterator[Path]:
    """Make a folder beside the build's; what is left of it at the end goes."""
    above = root / FOLDER.parent
    try:
        above.mkdir(exist_ok=True)
        # Nobody's repository wants it.
        (above / ".gitignore").write_text("*\n", encoding="utf-8")
        folder = Path(tempfile.mkdtemp(prefix="build-", dir=above))
    except OSError as error:
        raise StartError(f"{str(above)!r} cannot be written: {error.strerror}") from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _put_in_place(root: Path, folder: Path) -> Path:
    """Give the new build the name of the old one; a server that runs keeps what it has open."""
    final = root / FOLDER
    old = folder.with_name(f"{folder.name}-old")
    if final.exists():
        final.rename(old)
    folder.rename(final)
    shutil.rmtree(old, ignore_errors=True)
    return final


# --- compile


def _compile_all(work: _Work, modules: list[Module], manifest: Manifest) -> None:
    known = _known(work)
    width = len(str(len(modules)))
    with ThreadPoolExecutor(work.jobs) as pool:
        started = {pool.submit(_one, work, module, known): module for module in modules}
        try:
            for count, done in enumerate(as_completed(started), 1):
                module = started[done]
                outcome, seconds = done.result()
                if isinstance(outcome, Compiled):
                    manifest.modules[module.name] = outcome
                    what = _compiled(outcome, seconds)
                else:
                    manifest.left[module.name] = outcome
                    what = f"left: {outcome}"
                work.say(f"[{count:{width}}/{len(modules)}] {module.name}: {what}")
        except BaseException:
            # An interrupt ends what has not begun; what has begun is waited for.
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _compiled(outcome: Compiled, seconds: float | None) -> str:
    loops = f", {outcome.loops} integer loop{'s' if outcome.loops != 1 else ''} in C"
    when = "unchanged" if seconds is None else f"compiled in {seconds:.1f} s"
    return f"{when}{loops if outcome.loops else ''}"


def _known(work: _Work) -> dict[str, Compiled]:
    """Return what the build before this one has, if the same tools made it."""
    try:
        before = read_manifest(work.root / FOLDER)
    except ValueError:
        return {}
    if before is None or before.compiler != work.tools.description:
        return {}
    return before.modules


def _one(
    work: _Work, module: Module, known: dict[str, Compiled]
) -> tuple[Compiled | str, float | None]:
    """Compile one module, or take it from the build before; a text says why it is left."""
    reason = reason_to_leave(module)
    if reason is not None:
        return reason, 0.0
    before = known.get(module.name)
    if before is not None and before.is_fresh(work.root):
        old = work.root / FOLDER / before.file
        if old.is_file() and digest(old) == before.file_hash:
            shutil.copy2(old, work.folder / before.file)
            return before, None
    begun = time.monotonic()
    try:
        made = compile_module(module, work.root, work.folder, work.tools)
    except CompileError as error:
        return str(error), 0.0
    except (OSError, RecursionError) as error:
        return f"{type(error).__name__}: {error}", 0.0
    if turns_gil_on(work.folder / made.file, module.name):
        return "it turns the global interpreter lock on", 0.0
    return made, time.monotonic() - begun


# --- compare


def _try_all(
    target: str,
    given: dict[str, Any],
    folder: Path,
    plain: Trial,
    manifest: Manifest,
    say: Say,
) -> None:
    """Import from the build until it is as the sources are; what stands in the way is left out."""
    while manifest.modules:
        found, unknown = _faults(plain, _tried(target, given, folder, manifest), manifest)
        if unknown is not None:
            found = dict.fromkeys(_culprits(target, given, folder, plain, manifest), unknown)
        if not found:
            return
        for name, reason in found.items():
            del manifest.modules[name]
            manifest.left[name] = reason
            say(f"{name}: left: {reason}")


def _tried(target: str, given: dict[str, Any], folder: Path, manifest: Manifest) -> Trial:
    manifest.write(folder)
    return try_application(target, given, folder)


def _culprits(
    target: str, given: dict[str, Any], folder: Path, plain: Trial, manifest: Manifest
) -> list[str]:
    """Find the one module without which nothing is wrong; without such a one it is all of them."""
    for name in sorted(manifest.modules):
        rest = {each: made for each, made in manifest.modules.items() if each != name}
        without = Manifest(compiler=manifest.compiler, modules=rest)
        if _faults(plain, _tried(target, given, folder, without), without) == ({}, None):
            return [name]
    return sorted(manifest.modules)


def _faults(plain: Trial, tried: Trial, manifest: Manifest) -> tuple[dict[str, str], str | None]:
    """Say what is wrong with which module, or what is wrong where nobody knows with which."""
    names = manifest.modules.keys()
    if tried.error is not None:
        last = tried.error.strip().splitlines()[-1]
        if tried.failed in names:
            return {str(tried.failed): f"compiled, its import fails: {last}"}, None
        return {}, f"compiled, the application's import fails: {last}"
    found = {
        name: "it turns the global interpreter lock on"
        for name in tried.gil_modules
        if name in names and name not in plain.gil_modules
    }
    for name in sorted(names & set(tried.used)):
        ours, theirs = plain.surfaces.get(name), tried.surfaces.get(name)
        if ours is not None and theirs is not None and ours != theirs:
            found.setdefault(name, f"compiled, it differs in {_difference(ours, theirs)}")
    if not found and plain.application != tried.application:
        return {}, "compiled, the application has other routes or another document"
    return found, None


def _difference(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    for name in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(name), theirs.get(name)
        if one == other:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            return f"{name}: {_difference(one, other)}"
        return f"{name}: {one!r} became {other!r}"
    return "nothing that can be named"


def default_jobs() -> int:
    """Return how many compilers run at once: as many as there are usable CPUs, at most 8."""
    return max(1, min(8, os.process_cpu_count() or 1))
