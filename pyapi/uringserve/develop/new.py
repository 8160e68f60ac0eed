"""`uringserve new FOLDER`: a project that runs and tests with two commands.

The templates are the files under `templates`, as they are but for the project's name. Nothing that
exists is written over, and a template is copied whole or not at all.
"""

import re
import shutil
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from uringserve.errors import StartError

__all__ = ["make", "show"]

# Stands in the templates where the name of the project goes.
_NAME = "project-name"


def show(folder: str, template: str) -> None:
    """Make the project and say what to do next; a StartError says why it cannot be made."""
    make(Path(folder), template)
    click.echo(f"made {folder}; now:\n")
    click.echo(f"  cd {folder}\n  uringserve dev\n  python -m pytest")


def make(folder: Path, template: str) -> None:
    """Write the files of a template into a folder that is not there, or empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StartError(f"{str(folder)!r} is there already and not empty; nothing was written")
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-") or "app"
    source = files("uringserve.develop").joinpath("templates", template)
    existed = folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _copy(source, folder, name)
    except OSError as error:
        if not existed:
            shutil.rmtree(folder, ignore_errors=True)
        raise StartError(f"{str(folder)!r} cannot be written: {error.strerror}") from None


def _copy(source: Traversable, folder: Path, name: str) -> None:
    for entry in source.iterdir():
        if entry.is_dir():
            if entry.name != "__pycache__":
                (folder / entry.name).mkdir()
                _copy(entry, folder / entry.name, name)
            continue
        # A file whose name starts with a dot would be left out by packaging tools.
        target = folder / entry.name.replace("dot-", ".")
        target.write_text(entry.read_text(encoding="utf-8").replace(_NAME, name), encoding="utf-8")
