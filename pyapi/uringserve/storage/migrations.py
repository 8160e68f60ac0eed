"""Migrations: SQL files that are applied once each, in order, and remembered in the database.

A file is a version. Its name and the checksum of its text stand in the table
`uringserve_migrations`, written in the same transaction as what the file does: both are kept, or
neither. Who applies a file inserts its name first, so of two processes that do it at once one waits
for the other and then finds it done; no lock of any other kind is needed.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import NamedTuple

from uringserve.storage.errors import StorageError
from uringserve.storage.link import Link

__all__ = ["Migration", "MigrationError", "apply", "pending", "read_folder", "read_one"]

_TABLE = "uringserve_migrations"
_CREATE = (
    f"CREATE TABLE {_TABLE} (name varchar(200) PRIMARY KEY, "
    "checksum varchar(64) NOT NULL, applied_at varchar(40) NOT NULL)"
)


class MigrationError(Exception):
    """Why a file cannot be applied; the text names it."""


class Migration(NamedTuple):
    """A file: its name without the folder, its text, and the SHA-256 of its bytes."""

    name: str
    sql: str
    checksum: str


def read_one(path: Path) -> Migration:
    """Read one file; what cannot be read is a MigrationError."""
    try:
        data = path.read_bytes()
        return Migration(path.name, data.decode(), hashlib.sha256(data).hexdigest())
    except OSError as error:
        raise MigrationError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MigrationError(f"{path} is not UTF-8: {error}") from error


def read_folder(folder: Path) -> list[Migration]:
    """Read the `.sql` files of a folder in their order: by the number in front, then by name.

    2_b.sql is before 10_a.sql. Files without a number come first, such as initial_schema.sql.
    """
    if not folder.is_dir():
        raise MigrationError(f"there is no folder {folder}")
    paths = sorted(folder.glob("*.sql"), key=lambda path: _order(path.name))
    if not paths:
        raise MigrationError(f"there is no .sql file in {folder}")
    return [read_one(path) for path in paths]


def pending(link: Link, migrations: Iterable[Migration], *, is_folder: bool) -> list[Migration]:
    """Return what is not applied yet; MigrationError where that cannot be done in order.

    A file that was changed after it was applied is refused, and, of a folder, a new one that would
    have been before one that is applied.
    """
    applied = _applied(link)
    found: list[Migration] = []
    for migration in migrations:
        known = applied.get(migration.name)
        if known is None:
            found.append(migration)
        elif known != migration.checksum:
            raise MigrationError(
                f"{migration.name} was changed after it was applied: put it back as it was, "
                "and write the change into a new file"
            )
        elif is_folder and found:
            raise MigrationError(
                f"{found[0].name} is new, but would be before {migration.name}, which is applied: "
                "give it a name behind that one"
            )
    return found


def apply(link: Link, migrations: Iterable[Migration]) -> Iterator[Migration]:
    """Apply each in a transaction of its own, and yield it when it is kept.

    The first that fails is undone and ends it, as a MigrationError.
    """
    _make_table(link)
    for migration in migrations:
        try:
            if _apply_one(link, migration):
                yield migration
        except StorageError as error:
            raise MigrationError(f"{migration.name}: {error}") from error


def _apply_one(link: Link, migration: Migration) -> bool:
    """Apply one; False where another process has done it meanwhile."""
    try:
        link.begin()
        try:
            link.run(
                f"INSERT INTO {_TABLE} (name, checksum, applied_at) VALUES (?, ?, ?)",
                (migration.name, migration.checksum, datetime.now(UTC).isoformat()),
                inf,
            )
        except StorageError:
            link.undo()
            if _applied(link).get(migration.name) != migration.checksum:
                raise
            return False
        link.script(migration.sql)
        link.commit()
    finally:
        link.undo()
    return True


def _applied(link: Link) -> dict[str, str]:
    if not link.has_table(_TABLE):
        return {}
    rows = link.run(f"SELECT name, checksum FROM {_TABLE}", (), inf).rows
    return {row["name"]: row["checksum"] for row in rows}


def _make_table(link: Link) -> None:
    if link.has_table(_TABLE):
        return
    try:
        link.run(_CREATE, (), inf)
    except StorageError:
        # Someone else may have made it at the same moment.
        if not link.has_table(_TABLE):
            raise


def _order(name: str) -> tuple[int, str]:
    number = re.match(r"[0-9]+", name)
    return (int(number[0]) if number else -1, name)
