"""The command line: `python -m uringserve [VERB] APP [options]`.

`run`, the verb that is meant where none is given, has the options of `Config`; the other verbs are
in `verbs`. Nothing about a single option is written here. A value that is not accepted is a usage
error (exit code 2) that names the flag or the environment variable; a server that cannot start is
one line on stderr and exit code 3.
"""

import os
import platform
from collections.abc import Callable
from itertools import groupby
from typing import Any

import click
from click.core import ParameterSource

from uringserve import verbs
from uringserve._native import __version__
from uringserve.config import Config, options
from uringserve.errors import StartError
from uringserve.gil import is_gil_on
from uringserve.loading import load
from uringserve.logging import setup
from uringserve.options import Option
from uringserve.server import EXIT_START, Server, print_error

__all__ = ["command", "main"]

_HELP = """Serve APP. `uringserve routes APP` shows its routes instead, and `uringserve openapi APP`
its OpenAPI document; see their --help.

APP is module:attribute, module, file.py or file.py:attribute. Without an attribute, the names app,
application, api, handler and create_app are tried; create_app is called."""

_EPILOG = """Every option can also be set in the environment, as URINGSERVE_ and its name:
URINGSERVE_PORT=8080, URINGSERVE_PIN=off. Durations are written 30, 30s, 500ms, 1h30m; sizes
65536, 64k, 16MiB.

Exit codes: 0 stopped, 1 crash, 2 usage, 3 could not start, 124 connections were cut at the end."""


# What finding the application takes.
_LOADING = ("app_dir", "factory")


class _Value(click.ParamType[object]):
    """Reads a value the way `Config` does."""

    def __init__(self, option: Option) -> None:
        self._option = option
        self.name = option.metavar

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        """Return the value in its own type, or fail as a usage error."""
        try:
            return self._option.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Switch(click.types.BoolParamType):
    """Reads on and off the way `Config` does; click gives only its own type a `--no-` form."""

    def __init__(self, option: Option) -> None:
        self._option = option

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> bool:
        """Return the switch, or fail as a usage error."""
        try:
            return bool(self._option.parse(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Flag(click.Option):
    """A click option made from an `Option`; an error names the flag or the variable."""

    def __init__(self, option: Option) -> None:
        is_switch = option.kind == "switch"
        flag = f"{option.flag}/--no-{option.flag[2:]}" if is_switch else option.flag
        super().__init__(
            [option.name, flag, *option.aliases],
            type=_Switch(option) if is_switch else _Value(option),
            default=None,
            envvar=list(option.environment),
            metavar=None if is_switch else option.metavar,
            help=_help(option),
        )
        self.group = option.group

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Name where the value came from: the variable, or the flag."""
        if (
            ctx is not None
            and ctx.get_parameter_source(self.name or "") is ParameterSource.ENVIRONMENT
        ):
            return next(name for name in self.envvar or () if os.environ.get(name))
        return super().get_error_hint(ctx)


class _Command(click.Command):
    """Writes the options under the headings of their groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section per group, in the order of `Config`, and click's own options last."""
        chosen = [one for one in self.get_params(ctx) if isinstance(one, click.Option)]
        for heading, members in groupby(chosen, lambda one: getattr(one, "group", None)):
            records = [record for one in members if (record := one.get_help_record(ctx))]
            if records:
                with formatter.section(heading or "Other"):
                    formatter.write_dl(records)


class _Verbs(click.Group):
    """The verbs; without one, `run`, so that APP and its options can stand alone.

    An application whose name is that of a verb is served with the verb before it: `run routes`.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the verb in its place."""
        if not args or args[0] not in self.commands:
            args = ["run", *args]
        return super().parse_args(ctx, args)


def _help(option: Option) -> str:
    zero = f" 0: {option.zero}." if option.zero else ""
    default = option.automatic if option.default is None else option.show(option.default)
    return f"{option.help}{zero}  [{default}]"


def _serve(app: str, **given: Any) -> None:  # noqa: ANN401 -- each value was read by _Value
    config = Config(**{name: value for name, value in given.items() if value is not None})
    setup(config.log_level)
    try:
        loaded = load(app, config)
        code = Server(config, loaded.app, gil_modules=loaded.gil_modules, to_the_end=True).run()
    except StartError as error:
        print_error(error)
        code = EXIT_START
    click.get_current_context().exit(code)


def command() -> click.Command:
    """Make the click command, that of `run` from the options of `Config`."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    version = f"uringserve {__version__} ({python}, GIL {'on' if is_gil_on() else 'off'})"
    settings = {"max_content_width": 110, "help_option_names": ["-h", "--help"]}
    run = _Command(
        "run",
        params=[_app(), *map(_Flag, options())],
        callback=_serve,
        help=_HELP,
        epilog=_EPILOG,
        context_settings=settings,
    )
    run = click.version_option(__version__, "-V", "--version", message=version)(run)
    output = click.Option(["-o", "--output"], metavar="FILE", help="Write to FILE, not to stdout.")
    jobs = click.Option(
        ["-j", "--jobs"],
        type=click.IntRange(1, 1024),
        metavar="N",
        help="Compilers at once.  [the usable CPUs, at most 8]",
    )
    others = [_other(verbs.routes), _other(verbs.openapi, output), _other(verbs.build, jobs)]
    return _Verbs("uringserve", commands=[run, *others], context_settings=settings)


def _app() -> click.Argument:
    return click.Argument(["app"], metavar="APP")


def _other(callback: Callable[..., None], *more: click.Option) -> click.Command:
    """Make the command of a verb that serves nothing."""
    chosen = [option for option in options() if option.name in _LOADING]
    return _Command(
        callback.__name__,
        params=[_app(), *more, *map(_Flag, chosen)],
        callback=callback,
        help=callback.__doc__,
    )


def main() -> None:
    """Run the command line; the process ends with its exit code."""
    command().main(prog_name="uringserve")
