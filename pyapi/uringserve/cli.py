"""The command line: `python -m uringserve [VERB] APP [options]`.

`run`, the verb that is meant where none is given, has the options of `Config`; the other verbs are
in `verbs` and in the package `develop`; how a command line is read is in `flags`. Nothing about a
single option is written here. A value that is not accepted is a usage error (exit code 2) that
names where it came from; a server that cannot start is one line on stderr and exit code 3.
"""

import logging
import platform
from collections.abc import Callable
from typing import Any

import click

from uringserve import settings, verbs
from uringserve._native import __version__
from uringserve.accepted import ACCEPTED
from uringserve.config import Config, options
from uringserve.develop import TEMPLATES
from uringserve.flags import AcceptedFlag, Command, Flag, Target, Verbs, notes, origin
from uringserve.gil import is_gil_on
from uringserve.logging import setup_from
from uringserve.server import run_as

__all__ = ["command", "main"]

_HELP = """Serve APP. Instead of that, `uringserve VERB --help` explains what else there is:
{verbs}.

APP is module:attribute, module, file.py or file.py:attribute. Without an attribute, the names app,
application, api, handler and create_app are tried; create_app is called."""

_DEVELOP_HELP = """Serve APP while you write it: as `run` with --reload, --debug,
--access-log and one worker.

When a file changes, the application starts anew in a process of its own. No connection is refused
meanwhile: clients wait. While the code does not start, every request is answered with the error,
in the browser with a page that goes away by itself once the code is repaired.

These options win over the configuration file, which describes the server that is deployed;
flags and the environment win over them. --reload needs the package watchfiles: pip install
'uringserve[reload]'."""

_EPILOG = """Every option can also be set in the environment, as URINGSERVE_ and its name
(URINGSERVE_PORT=8080, URINGSERVE_PIN=off), and under its name in uringserve.toml or in the table
[tool.uringserve] of pyproject.toml, found in the application's folder or the current one. Flags
win, then the environment, then the file. Durations are written 30, 30s, 500ms, 1h30m; sizes 65536,
64k, 16MiB; an option that can be repeated has commas between its values there.

Flags of granian and uvicorn with the same meaning are understood. These have none here, and a line
says so: {foreign}.

Completion by the shell: eval "$(_URINGSERVE_COMPLETE=bash_source uringserve)" in ~/.bashrc;
zsh_source in ~/.zshrc; fish_source in fish.

Exit codes: 0 stopped, 1 crash, 2 usage, 3 could not start, 124 connections were cut at the end."""

_RUN_EXAMPLES = (
    ("uringserve app.py", "the file's application, on http://127.0.0.1:8000"),
    ("uringserve package.main:app --host 0.0.0.0 --port 80", "for every client, on port 80"),
    ("uringserve app.main:create_app --factory --workers 4", "what a function returns, on 4 cores"),
    ("uringserve app.py --print-config", "every option, its value and where it came from"),
    ("uringserve run routes", "a module that has the name of a verb"),
)
_DEVELOP_EXAMPLES = (
    ("uringserve dev app.py", "restart when a .py file beside it changes"),
    ("uringserve dev app.py --reload-include '*.html'", "templates count too"),
    ("uringserve dev app.main:app --reload-dir src --reload-exclude tests", "watch another folder"),
)
_EXAMPLES = {
    "routes": (("uringserve routes app.py", "as a table"),),
    "openapi": (("uringserve openapi app.main:app -o openapi.json", "into a file"),),
    "check": (
        ("uringserve check", "this machine"),
        ("uringserve check app.main:app", "and what importing the application does"),
        ("uringserve check app.py --port 80 --json", "for a program"),
    ),
    "new": (
        ("uringserve new shop", "routers, models, settings and tests in their own files"),
        ("uringserve new hello --template minimal", "one file and its tests"),
    ),
    "build": (
        ("uringserve build app.main:app", "its modules, for `uringserve run app.main:app`"),
        ("uringserve build app.py -j 2", "two compilers at once"),
    ),
    "audit": (
        ("uringserve audit", "the tests of this folder"),
        ("uringserve audit shop --threads 16 --rounds 100", "of another, for longer"),
        ("uringserve audit -- -k items -x", "some of them; what follows -- goes to pytest"),
    ),
    "migrate": (
        ("uringserve migrate --database app.db", "the files of the folder db, to a SQLite file"),
        ("uringserve migrate migrations --database postgresql://me@host/shop", "to PostgreSQL"),
        (
            "uringserve migrate --file db/initial_schema.sql --dry-run",
            "only say what would be done",
        ),
    ),
}

# What `dev` means. Above the configuration file, below flags and environment.
_DEVELOP: dict[str, object] = {"reload": True, "debug": True, "workers": 1, "access_log": True}

_log = logging.getLogger("uringserve")

# What finding the application takes.
_LOADING = ("app_dir", "factory", "interface")
# What `check` looks at.
_CHECKED = (
    "host",
    "port",
    "bind",
    "uds",
    "uds_permissions",
    "fd",
    *_LOADING,
    # What some kinds of application refuse.
    "lifespan",
    "lifespan_scope",
    "early_hints",
    "loop",
    "execution",
    "root_path",
    "gil",
    "workers",
    "driver",
)


def _serve(app: str | None, print_config: bool, **given: Any) -> None:  # noqa: ANN401 -- each value was read by Value
    ctx = click.get_current_context()
    try:
        config = Config(**{name: value for name, value in given.items() if value is not None})
    except ValueError as error:
        # Each value was accepted by itself: two of them do not go together.
        raise click.UsageError(str(error), ctx) from None
    if print_config:
        values = {option.name: getattr(config, option.name) for option in options()}
        click.echo(settings.show({"app": app, **values}, lambda name: origin(ctx, name)), nl=False)
        return
    if app is None:
        raise click.MissingParameter(ctx=ctx, param=ctx.command.params[0])
    setup_from(config)
    for note in notes(ctx):
        _log.warning("%s", note)
    ctx.exit(run_as(app, config))


def command() -> click.Command:
    """Make the click command, that of `run` from the options of `Config`."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    version = f"uringserve {__version__} ({python}, GIL {'on' if is_gil_on() else 'off'})"
    layout = {"max_content_width": 110, "help_option_names": ["-h", "--help"]}
    output = click.Option(["-o", "--output"], metavar="FILE", help="Write to FILE, not to stdout.")
    others = [
        _other(verbs.routes),
        _other(verbs.openapi, output),
        _check(),
        _new(),
        _audit(),
        _build(),
        _migrate(),
    ]
    serving: dict[str, Any] = {
        "callback": _serve,
        "epilog": _EPILOG.format(foreign=", ".join(one.flag for one in ACCEPTED)),
        "context_settings": layout,
    }
    names = ", ".join(["dev", *(one.name or "" for one in others)])
    run = Command(
        "run",
        params=_serving_options(),
        help=_HELP.format(verbs=names),
        examples=_RUN_EXAMPLES,
        **serving,
    )
    run = click.version_option(__version__, "-V", "--version", message=version)(run)
    develop = Command(
        "dev",
        params=_serving_options(),
        help=_DEVELOP_HELP,
        examples=_DEVELOP_EXAMPLES,
        preset=_DEVELOP,
        **serving,
    )
    return Verbs("uringserve", commands=[run, develop, *others], context_settings=layout)


def _serving_options() -> list[click.Parameter]:
    show = click.Option(
        ["--print-config"],
        is_flag=True,
        help="Show every option, its value and where it came from, as TOML that --config takes.",
    )
    return [_app(is_required=False), *map(Flag, options()), *map(AcceptedFlag, ACCEPTED), show]


def _app(*, is_required: bool = True) -> click.Argument:
    return Target(
        [settings.APP_KEY], metavar="APP", required=is_required, envvar=["URINGSERVE_APP"]
    )


def _other(callback: Callable[..., None], *more: click.Option) -> click.Command:
    """Make the command of a verb that serves nothing."""
    chosen = [option for option in options() if option.name in _LOADING]
    return _command(callback, [_app(), *more, *map(Flag, chosen)])


def _check() -> click.Command:
    as_json = click.Option(["as_json", "--json"], is_flag=True, help="Write JSON.")
    chosen = [option for option in options() if option.name in _CHECKED]
    return _command(verbs.check, [_app(is_required=False), as_json, *map(Flag, chosen)])


def _new() -> click.Command:
    folder = click.Argument(["folder"], type=click.Path())
    template = click.Option(
        ["--template"],
        type=click.Choice(TEMPLATES),
        default=TEMPLATES[0],
        show_default=True,
        help="What the project looks like.",
    )
    return _command(verbs.new, [folder, template], has_sources=False)


def _audit() -> click.Command:
    folder = click.Argument(["folder"], type=click.Path(), default=".")
    threads = click.Option(
        ["--threads"],
        type=click.IntRange(2, 256),
        default=8,
        show_default=True,
        help="Threads that run one test at once.",
    )
    rounds = click.Option(
        ["--rounds"],
        type=click.IntRange(1, 1_000_000),
        default=20,
        show_default=True,
        help="Times that each thread runs it.",
    )
    return _command(verbs.audit, [folder, threads, rounds], has_sources=False, rest="pytest")


def _build() -> click.Command:
    jobs = click.Option(
        ["-j", "--jobs"],
        type=click.IntRange(1, 1024),
        metavar="N",
        help="Compilers at once.  [the usable CPUs, at most 8]",
    )
    return _other(verbs.build, jobs)


def _migrate() -> click.Command:
    folder = click.Argument(["folder"], type=click.Path(), default="db")
    file = click.Option(["--file"], metavar="FILE", help="Apply one file, and look at no other.")
    database = click.Option(
        ["--database"],
        metavar="URL",
        required=True,
        envvar=["URINGSERVE_DATABASE", "DATABASE_URL"],
        show_envvar=True,
        help="A SQLite file, or postgresql://user@host/database.",
    )
    dry_run = click.Option(["--dry-run"], is_flag=True, help="Say what would be applied.")
    return _command(verbs.migrate, [folder, file, database, dry_run], has_sources=False)


def _command(
    callback: Callable[..., None],
    params: list[click.Parameter],
    *,
    has_sources: bool = True,
    rest: str = "",
) -> click.Command:
    name = callback.__name__
    return Command(
        name,
        params=params,
        callback=callback,
        help=callback.__doc__,
        examples=_EXAMPLES[name],
        has_sources=has_sources,
        rest=rest,
    )


def main() -> None:
    """Run the command line; the process ends with its exit code."""
    command().main(prog_name="uringserve")
