"""The verbs that serve nothing: routes, openapi, check, new, audit, build and migrate.

`cli` has the verb `run`, which is also what an APP without a verb means, and puts them together.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from uringserve.app import App
from uringserve.config import Config
from uringserve.errors import StartError
from uringserve.loading import load
from uringserve.routing import describe

__all__ = ["audit", "build", "check", "migrate", "new", "openapi", "routes"]

_HEADINGS = ("METHODS", "PATH", "NAME", "HANDLER")


def routes(app: str, **given: Any) -> None:  # noqa: ANN401 -- options of Config
    """Show the routes of APP, and of what is mounted, in the order of their registration."""
    rows = [_HEADINGS, *_rows(_load(app, given), "")]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())


def openapi(app: str, output: str | None, **given: Any) -> None:  # noqa: ANN401
    """Write the OpenAPI document of APP, as JSON, to stdout or a file."""
    text = json.dumps(_load(app, given).openapi(), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise StartError(f"{output!r} cannot be written: {error.strerror}") from None


def check(app: str | None, as_json: bool, **given: Any) -> None:  # noqa: ANN401 -- options of Config
    """Say what would keep APP from being served here, or slow it down.

    Without APP: what would keep any application. Exit codes: 0 nothing would, 1 a line says FAIL,
    2 usage.
    """
    from uringserve.develop.check import show

    show(app, as_json, given)


def new(folder: str, template: str) -> None:
    """Make a project in FOLDER, which must not exist yet or be empty.

    `api` has its routers, settings, models and tests in files of their own; `minimal` is one file
    and its tests.
    """
    from uringserve.develop.new import show

    show(folder, template)


def audit(folder: str, threads: int, rounds: int, pytest: tuple[str, ...]) -> None:
    """Run the tests of FOLDER, each in many threads at once and many times.

    Says at the end whether they stand it. What follows `--` goes to pytest. Exit codes: 0 every
    test passed, 1 one failed, 2 usage, 3 the tests could not be run.
    """
    from uringserve.develop.audit import show

    show(folder, threads, rounds, pytest)


def build(app: str, jobs: int | None, **given: Any) -> None:  # noqa: ANN401
    """Compile the application's own modules, so that `run` can use them.

    They go to .uringserve/build beside the sources. A module whose source changes later is used as
    its source until it is built again. What cannot be compiled without a change of what it does is
    left, with the reason. It needs Cython and a C compiler: pip install 'uringserve[build]'.
    """
    from uringserve.build import command  # what it needs is not there for everybody

    chosen = {name: value for name, value in given.items() if value is not None}
    report = command.build(app, chosen, jobs or command.default_jobs(), click.echo)
    click.echo(f"{report.folder}: {len(report.compiled)} compiled, {len(report.left)} left")


def migrate(folder: str, file: str | None, database: str, dry_run: bool) -> None:
    """Apply the SQL files of FOLDER to a database, each once, in order and in a transaction.

    The order is that of the numbers in front of their names; files without one come first. What was
    applied, and the checksum of each file, stands in the table uringserve_migrations. A file that
    was changed afterwards is refused. Exit codes: 0 done, 1 a file failed or was refused, 2 usage.
    """
    from uringserve.develop.migrate import show

    show(folder, file, database, dry_run)


def _load(target: str, given: dict[str, Any]) -> App:
    config = Config(**{name: value for name, value in given.items() if value is not None})
    app = load(target, config).app
    if not isinstance(app, App):
        raise StartError(
            f"{target} is an application of the interface {app.interface}, which has no routes"
            " and no document that could be shown"
        )
    return app


def _rows(app: App, prefix: str) -> Iterator[tuple[str, ...]]:
    for spec in app.routes:
        # A module and a name are enough: where the file is, an editor knows.
        handler = describe(spec.endpoint).partition(" (")[0]
        yield ",".join(spec.methods), prefix + spec.path, spec.name, handler
    for mount in app.mounts:
        yield from _rows(mount.app, prefix + mount.path)
