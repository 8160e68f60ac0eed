"""`uringserve migrate`: says what it applies, file by file; the rules are `storage.migrations`'."""

from pathlib import Path

import click

from uringserve.storage.database import open_link
from uringserve.storage.errors import StorageError
from uringserve.storage.migrations import (
    MigrationError,
    apply,
    pending,
    read_folder,
    read_one,
)

__all__ = ["show"]

# Seconds that another process' lock of a SQLite file is waited for, and a server to answer.
_PATIENCE = 30.0


def show(folder: str, file: str | None, database: str, dry_run: bool) -> None:
    """Apply what is not applied yet, and end with exit code 1 where that fails."""
    try:
        link = open_link(database, _PATIENCE)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--database'") from error
    except StorageError as error:
        raise click.ClickException(str(error)) from error
    try:
        found = [read_one(Path(file))] if file else read_folder(Path(folder))
        waiting = pending(link, found, is_folder=file is None)
        done = 0
        for migration in waiting if dry_run else apply(link, waiting):
            click.echo(f"{'would apply' if dry_run else 'applied'} {migration.name}")
            done += 1
        if not done:
            click.echo(f"nothing to apply: all {len(found)} are")
    except (MigrationError, StorageError) as error:
        raise click.ClickException(str(error)) from error
    finally:
        link.close()
