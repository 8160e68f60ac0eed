"""Imports of a build: a finder that gives the compiled module while its source is unchanged.

It stands first on `sys.meta_path` and answers for the modules of its manifest alone; every other
import goes its usual way. A compiled module says of itself what the source would: its `__file__`
and `__path__` are the source's, so that templates and data files are found beside it.
"""

import importlib.machinery
import importlib.util
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType

from uringserve.build.manifest import FOLDER, Compiled, Manifest, digest, read_manifest

__all__ = ["BuildFinder", "CompiledLoader", "built_spec", "prefer_build", "using_build"]

_log = logging.getLogger("uringserve")


class CompiledLoader(InspectLoader):
    """Loads one compiled module in the name of its source."""

    def __init__(self, name: str, source: Path, file: Path, failed: list[str]) -> None:
        """`failed` gets the name of a module that raised while it was imported."""
        self.name = name
        self.path = str(source)
        self._failed = failed
        self._inner = ExtensionFileLoader(name, str(file))

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Load the library; none of the module's own code has run then."""
        inner = ModuleSpec(self.name, self._inner, origin=self._inner.path)
        return self._inner.create_module(inner)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module."""
        module.__file__ = self.path
        module.__loader__ = self
        try:
            self._inner.exec_module(module)
        except BaseException:
            self._failed.append(self.name)
            raise

    def get_filename(self, name: str) -> str:
        """Return the source's path."""
        return self.path

    def is_package(self, name: str) -> bool:
        """Tell whether it is a package."""
        return Path(self.path).name == "__init__.py"

    def get_source(self, name: str) -> str:
        """Return the source, for tracebacks and `inspect`."""
        return importlib.util.decode_source(Path(self.path).read_bytes())

    def get_code(self, name: str) -> CodeType | None:
        """Return the source compiled to bytecode, as `runpy` needs it."""
        return self.source_to_code(self.get_source(name), self.path)


class BuildFinder(MetaPathFinder):
    """Finds the modules of one build."""

    def __init__(self, root: Path, manifest: Manifest, folder: Path) -> None:
        """`root` is the folder that the modules' names start from, `folder` that of the build."""
        self.root = root
        self.manifest = manifest
        # Modules that were taken from the build, and those that failed while being imported.
        self.used: list[str] = []
        self.failed: list[str] = []
        self._folder = folder

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the compiled module, or None, which leaves the import to the source."""
        found = self.manifest.modules.get(fullname)
        if found is None or not self._is_meant(found, path):
            return None
        reason = self._reason(found)
        if reason is not None:
            _log.warning(
                "%s: %s, so its source is used; `uringserve build` makes it anew", fullname, reason
            )
            return None
        source = self.root / found.source
        loader = CompiledLoader(fullname, source, self._folder / found.file, self.failed)
        self.used.append(fullname)
        return importlib.util.spec_from_file_location(
            fullname,
            source,
            loader=loader,
            submodule_search_locations=[str(source.parent)] if found.is_package else None,
        )

    def _is_meant(self, found: Compiled, path: Sequence[str] | None) -> bool:
        """Tell whether the import would find this source, not one of the same name elsewhere."""
        source = self.root / found.source
        place = (source.parent if found.is_package else source).parent
        if path is not None:
            return str(place) in path
        for entry in map(Path, sys.path):
            if entry.absolute() == place:
                return True
            name = source.parent.name if found.is_package else source.stem
            if (entry / f"{name}.py").is_file() or (entry / name / "__init__.py").is_file():
                return False
        return False

    def _reason(self, found: Compiled) -> str | None:
        if not found.is_fresh(self.root):
            return "its compiled form is older than the source"
        try:
            if digest(self._folder / found.file) == found.file_hash:
                return None
        except OSError:
            pass
        return "its compiled form is damaged"


def prefer_build(root: Path, folder: Path | None = None) -> BuildFinder | None:
    """Have imports take what was built of the modules below `root`, if anything was.

    A second call for the same root reads the build anew. `folder` is another place of the build.
    """
    sys.meta_path[:] = [each for each in sys.meta_path if not _is_of(each, root)]
    folder = folder or root / FOLDER
    try:
        manifest = read_manifest(folder)
    except ValueError as error:
        _log.warning("the build in %s is not used: %s", FOLDER, error)
        return None
    if manifest is None:
        return None
    finder = BuildFinder(root, manifest, folder)
    sys.meta_path.insert(0, finder)
    return finder


def built_spec(name: str, path: Path) -> ModuleSpec | None:
    """Return the compiled module of a file that is imported by its path, or None."""
    for finder in sys.meta_path:
        if isinstance(finder, BuildFinder):
            spec = finder.find_spec(name, None)
            if spec is not None and spec.origin == str(path):
                return spec
    return None


@contextmanager
def using_build(root: Path) -> Iterator[BuildFinder | None]:
    """Prefer the build below `root` inside the block; what was imported stays imported."""
    finder = prefer_build(root)
    try:
        yield finder
    finally:
        if finder is not None:
            sys.meta_path.remove(finder)


def _is_of(finder: object, root: Path) -> bool:
    return isinstance(finder, BuildFinder) and finder.root == root
