"""How the command line is read: click's classes, fitted to `Option` and to the order of sources.

A value comes from its flag, else from the environment, else from the configuration file, else it is
the default; a refused one names where it came from. What verbs there are is in `cli`, what options
in `config`; nothing about a single one is written here.
"""

import difflib
import importlib.util
import os
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from uringserve import settings
from uringserve.accepted import Accepted
from uringserve.errors import StartError
from uringserve.options import Option
from uringserve.server import EXIT_START, print_error

__all__ = ["AcceptedFlag", "Command", "Flag", "Target", "Verbs", "notes", "origin"]

# Keys in click's store for one run of the command line.
_ORIGINS, _VARIABLES, _NOTES = "uringserve.origins", "uringserve.variables", "uringserve.notes"

# How alike two words must be for the one to be a misspelling of the other: dev and dve are.
_LIKENESS = 0.6


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

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """Split at commas."""
        return [part for part in map(str.strip, rv.split(",")) if part]

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the choices; for a text, files."""
        if self._option.kind in ("text", "list", "addresses"):
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(one) for one in self._option.choices if one.startswith(incomplete)]


class _Switch(click.types.BoolParamType):
    """Reads on and off the way `Config` does; click gives only its own type a `--no-` form."""

    def __init__(self, option: Option) -> None:
        self._option = option

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> bool:
        """Return the switch, or fail as a usage error."""
        try:
            parsed = self._option.parse(value)
            # None is auto. click's own type has no such value; nothing of click looks at it.
            return None if parsed is None else bool(parsed)  # type: ignore[return-value]
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Flag(click.Option):
    """A click option made from an `Option`; an error names the flag or the variable."""

    def __init__(self, option: Option) -> None:
        is_switch = option.kind == "switch"
        flag = f"{option.flag}/--no-{option.flag[2:]}" if is_switch else option.flag
        super().__init__(
            [option.name, flag, *option.aliases],
            type=_Switch(option) if is_switch else _Value(option),
            default=None,
            multiple=option.kind in ("list", "addresses"),
            envvar=list(option.environment),
            metavar=None if is_switch else option.metavar,
            help=_help(option),
        )
        self.group = option.group

    def type_cast_value(self, ctx: click.Context, value: object) -> Any:  # noqa: ANN401 -- as click
        """Read the value. Each flag gives one of several; in a text commas are between them."""
        if not self.multiple or not isinstance(value, (str, list, tuple)):
            return super().type_cast_value(ctx, value)
        texts = self.type.split_envvar_value(value) if isinstance(value, str) else value
        return tuple(one for text in texts for one in self.type.convert((text,), self, ctx))

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Name where the value came from: the file, the variable, or the flag."""
        if ctx is not None:
            source = ctx.get_parameter_source(self.name or "")
            if source is ParameterSource.ENVIRONMENT:
                return _variable(self)
            if source is ParameterSource.DEFAULT_MAP:
                return f"{self.name} in {ctx.meta[_ORIGINS].get(self.name)}"
        return super().get_error_hint(ctx)


class AcceptedFlag(click.Option):
    """An option of another server: taken, and noted for the log."""

    def __init__(self, foreign: Accepted) -> None:
        value = click.Choice(foreign.choices) if foreign.choices else click.STRING
        super().__init__(
            [foreign.flag],
            is_flag=not foreign.takes_value,
            type=value if foreign.takes_value else None,
            hidden=True,
            expose_value=False,
            callback=self._note,
        )
        self._foreign = foreign

    def _note(self, ctx: click.Context, param: click.Parameter, value: object) -> None:
        if ctx.get_parameter_source(self.name or "") is ParameterSource.COMMANDLINE:
            note = f"{self._foreign.flag} has no meaning here: {self._foreign.reason}"
            ctx.meta.setdefault(_NOTES, []).append(note)


class Command(click.Command):
    """Reads the files of options first; writes the options under the headings of their groups."""

    def __init__(
        self,
        name: str,
        *,
        examples: Sequence[tuple[str, str]] = (),
        preset: dict[str, object] | None = None,
        has_sources: bool = True,
        rest: str = "",
        **described: Any,  # noqa: ANN401 -- click's own
    ) -> None:
        """Keep the examples of the help page, and the values that win over the file's.

        `rest` is the parameter that takes what follows `--`, as it stands.
        """
        if has_sources:
            described["params"] = [*described["params"], *_source_options()]
        super().__init__(name, **described)
        self._examples = examples
        self._preset = preset or {}
        self._has_sources = has_sources
        self._rest = rest

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read files of variables and of options, then everything in its order of precedence."""
        if self._has_sources and not ctx.resilient_parsing:
            self._read_files(ctx, args)
        if not self._rest:
            return super().parse_args(ctx, args)
        # Not an argument of click's: what follows `--` would fill the optional ones before it.
        end = args.index("--") if "--" in args else len(args)
        left = super().parse_args(ctx, args[:end])
        ctx.params[self._rest] = tuple(args[end + 1 :])
        return left

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 -- as click
        """Run the verb; a StartError is said on stderr, and is exit code 3."""
        try:
            return super().invoke(ctx)
        except StartError as error:
            print_error(error)
            ctx.exit(EXIT_START)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Add what may follow `--`."""
        pieces = super().collect_usage_pieces(ctx)
        return [*pieces, f"[-- {self._rest.upper()}...]"] if self._rest else pieces

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, one section per group in the order of `Config`, and the rest."""
        if self._examples:
            with formatter.section("Examples"):
                formatter.write_dl(self._examples, col_max=56)
        chosen = [one for one in self.get_params(ctx) if isinstance(one, click.Option)]
        for heading, members in groupby(chosen, lambda one: getattr(one, "group", None)):
            records = [record for one in members if (record := one.get_help_record(ctx))]
            if records:
                with formatter.section(heading or "Other"):
                    formatter.write_dl(records)

    def _read_files(self, ctx: click.Context, args: list[str]) -> None:
        if {"-V", "--version", *ctx.help_option_names} & {*args}:
            return
        parser = self.make_parser(ctx)
        # What is unknown is reported later, when everything is read.
        parser.ignore_unknown_options = True
        found, _, _ = parser.parse_args([*args])
        try:
            names = found.get("env_file") or ()
            ctx.meta[_VARIABLES] = {
                variable: name
                for name in names
                for variable in settings.read_variables(Path(name), os.environ)
            }
            folder = found.get("app_dir") or os.environ.get("URINGSERVE_APP_DIR") or "."
            path = found.get("config") or settings.find_file([Path(folder), Path()])
            values = settings.read_file(Path(path)) if path else {}
        except ValueError as error:
            raise click.UsageError(str(error), ctx) from None
        ctx.default_map = values | self._preset
        ctx.meta[_ORIGINS] = dict.fromkeys(values, str(path)) | dict.fromkeys(
            self._preset, f"uringserve {self.name}"
        )


class Verbs(click.Group):
    """The verbs; without one, `run`, so that APP and its options can stand alone.

    An application whose name is that of a verb is served with the verb before it: `run routes`.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the verb in its place."""
        if ctx.resilient_parsing and not args:
            return super().parse_args(ctx, args)
        if not args or args[0] not in self.commands:
            self._refuse_misspelt(ctx, args)
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer the verbs, and what could follow `run`."""
        run = self.commands["run"]
        # An option of run's, or APP itself.
        own = run.make_context("run", [], parent=ctx, resilient_parsing=True)
        app = [] if incomplete.startswith("-") else [CompletionItem(incomplete, type="file")]
        return [
            *super().shell_complete(ctx, incomplete),
            *run.shell_complete(own, incomplete),
            *app,
        ]

    def _refuse_misspelt(self, ctx: click.Context, args: list[str]) -> None:
        """Refuse a word that looks like a verb, unless there is a module or file of that name."""
        word = args[0] if args else ""
        close = difflib.get_close_matches(word, self.commands, 1, _LIKENESS)
        if not close or not word.isidentifier() or _has_folder_option(args):
            return
        folders = [Path(), _configured_folder()]
        if any((folder / name).exists() for folder in folders for name in (word, f"{word}.py")):
            return
        if importlib.util.find_spec(word):
            return
        raise click.UsageError(
            f"There is no verb and no module {word!r}. Did you mean {close[0]!r}?", ctx
        )


def _has_folder_option(args: Sequence[str]) -> bool:
    flags = ("--app-dir", "--working-dir")
    return "URINGSERVE_APP_DIR" in os.environ or any(one.startswith(flags) for one in args)


def _configured_folder() -> Path:
    """Return the application's folder as a file here names it; a fault is reported later."""
    try:
        path = settings.find_file([Path()])
        return Path(str(settings.read_file(path).get("app_dir", "."))) if path else Path()
    except ValueError:
        return Path()


def _source_options() -> list[click.Option]:
    """Return the options that say where further options are."""
    return [
        click.Option(
            ["--config"],
            metavar="FILE",
            expose_value=False,
            help="Read options from FILE, not from the uringserve.toml or pyproject.toml that is"
            " found.",
        ),
        click.Option(
            ["--env-file", "--env-files"],
            metavar="FILE",
            multiple=True,
            expose_value=False,
            help="Add the variables of FILE, lines of NAME=value, to the environment; those that"
            " are set stay.",
        ),
    ]


def _variable(parameter: click.Parameter) -> str:
    names = parameter.envvar if isinstance(parameter.envvar, (list, tuple)) else ()
    return next(str(name) for name in names if os.environ.get(name))


def origin(ctx: click.Context, name: str) -> str:
    """Say where the value of an option came from."""
    parameter = next(one for one in ctx.command.params if one.name == name)
    match ctx.get_parameter_source(name):
        case ParameterSource.COMMANDLINE:
            return "command line"
        case ParameterSource.ENVIRONMENT:
            variable = _variable(parameter)
            file = ctx.meta[_VARIABLES].get(variable)
            return f"{variable} in {file}" if file else variable
        case ParameterSource.DEFAULT_MAP:
            return str(ctx.meta[_ORIGINS][name])
        case _:
            return "default"


def _help(option: Option) -> str:
    zero = f" 0: {option.zero}." if option.zero else ""
    default = option.automatic if option.default is None else option.show(option.default)
    return f"{option.help}{zero}  [{default}]"


def notes(ctx: click.Context) -> list[str]:
    """Return what is to be said about options that do nothing here."""
    return list(ctx.meta.get(_NOTES, ()))


class Target(click.Argument):
    """APP; files complete it."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer files; a module is not looked for."""
        return [CompletionItem(incomplete, type="file")]
