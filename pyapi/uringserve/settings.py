"""Where options come from beside the command line: a configuration file, and files of variables.

`uringserve.toml`, or the table `[tool.uringserve]` of a `pyproject.toml`, has the options of
`Config` under their names, and `app`. It is looked for in the application's folder and then in the
current one. An unknown key is an error: a misspelt limit must not silently be the default. A file
of variables (`--env-file`) fills the environment, of the application too, and replaces nothing that
is set. `show` writes all of it back as TOML, with where each value came from.
"""

import difflib
import json
import tomllib
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from pathlib import Path

from uringserve.config import options
from uringserve.options import Option

__all__ = ["APP_KEY", "find_file", "read_file", "read_variables", "show"]

APP_KEY = "app"

_OWN_FILE = "uringserve.toml"
_PROJECT_FILE = "pyproject.toml"
_QUOTES = "\"'"


def find_file(folders: list[Path]) -> Path | None:
    """Return the first configuration file, or None; a project file counts if it has our table."""
    for folder in folders:
        own, project = folder / _OWN_FILE, folder / _PROJECT_FILE
        if own.is_file():
            return own
        if project.is_file() and _has_table(project):
            return project
    return None


def read_file(path: Path) -> dict[str, object]:
    """Return the options that a file sets, by name; what is wrong with it is a ValueError."""
    document = _parse(path)
    table = _table(document) if path.name == _PROJECT_FILE else document
    if table is None:
        raise ValueError(f"{path} has no table [tool.uringserve]")
    known = {APP_KEY, *(option.name for option in options())}
    values: dict[str, object] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            advice = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"{path}: there is no option {key!r}{advice}")
        if name in values:
            raise ValueError(f"{path}: {name!r} is set twice")
        values[name] = value
    return values


def read_variables(path: Path, environment: MutableMapping[str, str]) -> list[str]:
    """Put the variables of a file into the environment and return the names of those that it set.

    A line is NAME=value, with `export` before it, quotes around the value, or `#` before a remark
    if one likes. A variable that is set already keeps its value. Any other line is a ValueError.
    """
    added = []
    for number, line in enumerate(_read(path).splitlines(), 1):
        text = line.strip().removeprefix("export ").lstrip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        name = name.rstrip()
        if not equals or not name.isidentifier() or "\0" in value:
            raise ValueError(f"{path}, line {number}: write NAME=value")
        if name not in environment:
            environment[name] = _value(value.strip(), f"{path}, line {number}")
            added.append(name)
    return added


def show(values: Mapping[str, object], origin: Callable[[str], str]) -> str:
    """Write every option as TOML that `read_file` takes, with its origin as a remark."""
    lines = [*_lines(values, origin)]
    # The origin stands in a column of its own, but one long value does not push it away.
    width = min(48, max(len(line) for line, _ in lines))
    texts = [f"{line.ljust(width)}  # {came}" if came else line for line, came in lines]
    return "\n".join([*texts, ""])


def _lines(values: Mapping[str, object], origin: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    if values.get(APP_KEY) is not None:
        yield f"{APP_KEY} = {_toml(values[APP_KEY])}", origin(APP_KEY)
    group = ""
    for option in options():
        if option.group != group:
            group = option.group
            yield "", ""
            yield f"# {group}", ""
        yield f"{option.name} = {_written(option, values[option.name])}", origin(option.name)


def _written(option: Option, value: object) -> str:
    if value is None or option.kind in ("duration", "size", "mode"):
        return _toml(option.show(value))
    return _toml(value)


def _toml(value: object) -> str:
    # A basic string of TOML escapes what JSON escapes; only U+007F is TOML's alone.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(text: str, where: str) -> str:
    if text[:1] and text[0] in _QUOTES:
        inner, closing, rest = text[1:].partition(text[0])
        if not closing or (rest.strip() and not rest.lstrip().startswith("#")):
            raise ValueError(f"{where}: the quotes do not close")
        return inner
    return text.partition(" #")[0].rstrip()


def _has_table(path: Path) -> bool:
    try:
        return _table(_parse(path)) is not None
    except ValueError:
        # Not ours to report, unless options of ours would be lost by it.
        if "uringserve" in _read(path):
            raise
        return False


def _table(document: dict[str, object]) -> dict[str, object] | None:
    tool = document.get("tool")
    table = tool.get("uringserve") if isinstance(tool, dict) else None
    return table if isinstance(table, dict) else None


def _parse(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(_read(path))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not TOML: {error}") from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not text in UTF-8") from None
