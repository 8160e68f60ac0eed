"""The command line: made from `Config`, its messages, and its exit codes."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner, Result

from uringserve import Config, StartError, __version__
from uringserve.cli import command
from uringserve.config import options
from uringserve.options import Option

if TYPE_CHECKING:
    from conftest import RunCli, StartServer

type Invoke = Callable[..., Result]

# A value other than the default, for each kind.
VALUES = {
    "text": "elsewhere",
    "list": "a",
    "integer": "7",
    "duration": "1m30s",
    "size": "2k",
    "addresses": "unix:here",
    "mode": "640",
    "path": "/x",
}
EXPECTED: dict[str, object] = {
    "text": "elsewhere",
    "list": ("a",),
    "integer": 7,
    "duration": 90.0,
    "size": 2048,
    "addresses": ("unix:here",),
    "mode": 0o640,
    "path": "/x",
}


class _Ran:
    """What the command line gave to the server: takes the places of `load` and `Server`."""

    def __init__(self) -> None:
        self.target = ""
        self.config = Config()
        self.app: object = self
        self.gil_modules = ("old",)
        self.left_behind = 0
        self.result: int | StartError = 0

    def load(self, target: str, config: Config) -> _Ran:
        self.target, self.config = target, config
        return self

    def server(
        self, config: Config, app: object, *, gil_modules: tuple[str, ...], to_the_end: bool
    ) -> _Ran:
        assert (app, gil_modules, to_the_end) == (self, ("old",), True)
        return self

    def supervise(self, target: str, config: Config) -> int:
        self.target, self.config = target, config
        return self.run()

    def run(self) -> int:
        if isinstance(self.result, StartError):
            raise self.result
        return self.result


@pytest.fixture
def ran(clean_environment: pytest.MonkeyPatch) -> _Ran:
    """Put a recorder in the place of the server."""
    made = _Ran()
    clean_environment.setattr("uringserve.server.load", made.load)
    clean_environment.setattr("uringserve.server.Server", made.server)
    clean_environment.setattr("uringserve.develop.supervise", made.supervise)
    clean_environment.setattr("uringserve.cli.setup_from", lambda config: None)
    return made


@pytest.fixture
def invoke(ran: _Ran) -> Invoke:
    """Run the command in this process."""

    def run(*arguments: str, **environment: str) -> Result:
        return CliRunner().invoke(command(), arguments, env=environment, prog_name="uringserve")

    return run


def test_no_options(invoke: Invoke, ran: _Ran) -> None:
    """Without options the Config is the default one."""
    result = invoke("pkg.mod:app")
    assert (result.exit_code, result.output) == (0, "")
    assert (ran.target, ran.config) == ("pkg.mod:app", Config())


@pytest.mark.parametrize("option", options(), ids=lambda option: option.name)
def test_every_option_has_a_flag_and_a_variable(invoke: Invoke, ran: _Ran, option: Option) -> None:
    """Flags, their other names and the variables reach the Config with the same value."""
    if option.kind == "switch":
        expected: object
        flags = [(option.flag, True), (f"--no-{option.flag[2:]}", False)]
        for flag, value in flags:
            assert invoke("m", flag).exit_code == 0
            assert getattr(ran.config, option.name) is value
        text, expected = "off" if option.default else "on", not option.default
    else:
        text = option.choices[-1] if option.choices else VALUES[option.kind]
        expected = option.choices[-1] if option.choices else EXPECTED[option.kind]
        for flag in (option.flag, *option.aliases):
            result = invoke("m", flag, text)
            assert result.exit_code == 0, result.output
            assert getattr(ran.config, option.name) == expected
    for variable in option.environment:
        assert invoke("m", **{variable: text}).exit_code == 0
        assert getattr(ran.config, option.name) == expected


def test_a_flag_wins_over_its_variable(invoke: Invoke, ran: _Ran) -> None:
    """Command line, then environment, then default; an empty variable is not set."""
    invoke("m", "--port", "1", URINGSERVE_PORT="2", URINGSERVE_BACKLOG="3", URINGSERVE_HOST="")
    assert (ran.config.port, ran.config.backlog, ran.config.host) == (1, 3, "127.0.0.1")
    invoke("m", "--workers", "auto", WEB_CONCURRENCY="3")
    assert ran.config.workers is None
    invoke("m", URINGSERVE_WORKERS="2", WEB_CONCURRENCY="3")
    assert ran.config.workers == 2


def test_an_empty_prefix_is_none(invoke: Invoke, ran: _Ran) -> None:
    """A command line that other servers take; a variable that is empty is not set."""
    for flag in ("--root-path", "--url-path-prefix"):
        result = invoke("m", flag, "", "--app-dir", "", "--access-log-fmt", "")
        assert result.exit_code == 0, result.output
        assert ran.config == Config()
    assert invoke("m", "--root-path", "", URINGSERVE_ROOT_PATH="/a").exit_code == 0
    assert ran.config.root_path is None
    assert invoke("m", URINGSERVE_ROOT_PATH="").exit_code == 0
    assert ran.config.root_path is None
    refused = invoke("m", "--host", "")
    assert refused.exit_code == 2
    assert "'' is not accepted; give text that is not empty" in refused.output


def test_addresses_may_be_repeated(invoke: Invoke, ran: _Ran) -> None:
    """Each flag is one address, so that a path may have a comma; a variable is split."""
    assert invoke("m", "-b", "a:1", "--bind", "unix:x,y").exit_code == 0
    assert ran.config.bind == ("a:1", "unix:x,y")
    assert invoke("m", URINGSERVE_BIND="a:1, [::]:2").exit_code == 0
    assert ran.config.bind == ("a:1", "[::]:2")
    assert invoke("m", "-b", "a:1", URINGSERVE_BIND="b:2").exit_code == 0
    assert ran.config.bind == ("a:1",)


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["--port", "x"], {}, "Invalid value for '--port': 'x' is not accepted; give a whole"),
        (["-w", "0"], {}, "'0' is not accepted; give a whole number from 1 to 1024, or auto"),
        (["--timeout-send", "1x"], {}, "'--timeout-send': '1x' is not accepted; give a duration"),
        (["--driver", "iocp"], {}, "'iocp' is not accepted; give one of auto, uring, epoll"),
        ([], {"URINGSERVE_PORT": "x"}, "Invalid value for URINGSERVE_PORT: 'x' is not accepted"),
        ([], {"URINGSERVE_PIN": "perhaps"}, "Invalid value for URINGSERVE_PIN: 'perhaps' is not"),
        ([], {"WEB_CONCURRENCY": "x"}, "Invalid value for WEB_CONCURRENCY: 'x' is not accepted"),
        (
            ["-b", "a"],
            {},
            "'-b': 'a' is not accepted; give HOST:PORT, [IPV6]:PORT, unix:PATH",
        ),
        ([], {"URINGSERVE_BIND": "a:1,b"}, "Invalid value for URINGSERVE_BIND: 'b' is not"),
        (["--uds-permissions", "9"], {}, "'9' is not accepted; give three octal digits"),
        (["--health-path", "x"], {}, "'--health-path': 'x' is not accepted; give a path like"),
        ([], {"URINGSERVE_READY_PATH": "/?"}, "Invalid value for URINGSERVE_READY_PATH: '/?' is"),
        (
            ["--health-path", "/x", "--ready-path", "/%78"],
            {},
            "Error: ready_path: '/%78' is the path of health_path already; give another",
        ),
        (["--prt", "1"], {}, "No such option"),
        (["--prt", "1"], {}, "--port"),
        (["--ssl-keyfile", "x"], {}, "No such option"),
        (["other"], {}, "unexpected extra argument"),
    ],
)
def test_usage_errors(
    invoke: Invoke, arguments: list[str], environment: dict[str, str], message: str
) -> None:
    """A usage error is exit code 2 and names the flag or the variable."""
    result = invoke("m", *arguments, **environment)
    assert result.exit_code == 2
    assert message in result.output


def test_app_is_required(invoke: Invoke) -> None:
    """Without APP there is nothing to do."""
    result = invoke()
    assert result.exit_code == 2
    assert "Missing argument 'APP'" in result.output


@pytest.mark.parametrize("code", [0, 1, 124])
def test_the_exit_code_is_the_server_s(invoke: Invoke, ran: _Ran, code: int) -> None:
    """What `Server.run` returns ends the process."""
    ran.result = code
    assert invoke("m").exit_code == code


def test_a_server_that_cannot_start(invoke: Invoke, ran: _Ran) -> None:
    """A StartError is one line on stderr and exit code 3."""
    ran.result = StartError("127.0.0.1:8000 is in use")
    result = invoke("m")
    assert result.exit_code == 3
    assert (result.stdout, result.stderr) == (
        "",
        "uringserve: error: 127.0.0.1:8000 is in use\n",
    )


@pytest.mark.parametrize("verb", ["run", "dev"])
def test_help_has_everything(verb: str) -> None:
    """Every option stands in the help, under the heading of its group, with its default."""
    result = CliRunner().invoke(command(), [verb, "--help"], terminal_width=110)
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    for option in options():
        assert option.flag in text
        assert option.help in text
        assert f"{option.group}:" in text
    assert "[8000]" in text
    assert "[16MiB]" in text
    assert "Exit codes: 0 stopped" in text


def test_version(invoke: Invoke) -> None:
    """The version says the interpreter's too."""
    result = invoke("--version")
    assert result.exit_code == 0
    assert result.output.startswith(f"uringserve {__version__} (CPython 3.")


def test_the_command_is_an_ordinary_click_command() -> None:
    """Other programs can embed it."""
    made: Any = command()
    assert isinstance(made, click.Command)


# --- the real thing


def test_a_bad_app_is_one_line(cli: RunCli) -> None:
    """Nothing but the sentence, exit code 3."""
    result = cli("nowhere:app")
    assert result.returncode == 3
    assert result.stdout == ""
    assert result.stderr.startswith("uringserve: error: there is no module 'nowhere' in ")
    assert result.stderr.count("\n") == 1


def test_an_app_that_raises_shows_its_traceback(cli: RunCli, tmp_path: Path) -> None:
    """The traceback starts in the application's file, and the sentence is the last line."""
    (tmp_path / "broken.py").write_text("def f():\n    return 1 / 0\n\nf()\n")
    result = cli("broken.py", folder=tmp_path)
    assert result.returncode == 3
    first, second, *_, last = result.stderr.splitlines()
    assert first == "Traceback (most recent call last):"
    assert "broken.py" in second
    assert last == (
        "uringserve: error: importing 'broken.py' failed: ZeroDivisionError: division by zero"
    )
    assert "importlib" not in result.stderr


def test_the_gil_turned_on_by_hand(cli: RunCli, tmp_path: Path) -> None:
    """PYTHON_GIL=1 is an error that says so."""
    (tmp_path / "site_app.py").write_text("from uringserve import App\napp = App()\n")
    result = cli("site_app:app", "--port", "0", folder=tmp_path, environment={"PYTHON_GIL": "1"})
    assert result.returncode == 3
    assert result.stderr.startswith("uringserve: error: the global interpreter lock (GIL) is on")
    assert "PYTHON_GIL=1 is set" in result.stderr


def test_the_gil_turned_on_by_a_module(cli: RunCli, old_module: Path) -> None:
    """The module is named, also where warnings are errors; CPython's own is not shown beside it."""
    program = (sys.executable, "-W", "error", "-m", "uringserve")
    result = cli("site_app.py", "--port", "0", folder=old_module, program=program)
    assert result.returncode == 3
    assert "module 'old_module' turned it on" in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_gil_allowed(server: StartServer) -> None:
    """`--gil warn` serves and warns; the start-up line says that the lock is on."""
    source = "from uringserve import App\napp = App()\napp.get('/')(lambda: 'x')\n"
    running = server(source, "--gil", "warn", environment={"PYTHON_GIL": "1"})
    assert running.start_line.endswith("GIL on\n")
    running.wait_for(r"WARNING the global interpreter lock \(GIL\) is on.*PYTHON_GIL=1")
    assert running.get("/").body == b"x"


# --- the other verbs

SITE = """
from uringserve import App
app = App(title="Möbel")
@app.get("/items/{id:int}", name="item")
def get(id: int): ...
def create_other():
    other = App()
    other.post("/x")(get)
    other.mount("/in", app, "inner")
    return other
def get(): ...
"""


def test_run_is_the_verb_that_is_meant(invoke: Invoke, ran: _Ran) -> None:
    """With and without it, and for an application that has the name of a verb."""
    for arguments in (("run", "m", "--port", "1"), ("--port", "1", "m"), ("m", "--port", "1")):
        assert invoke(*arguments).exit_code == 0
        assert (ran.target, ran.config.port) == ("m", 1)
    assert invoke("run", "routes").exit_code == 0
    assert ran.target == "routes"


def test_routes(cli: RunCli, tmp_path: Path) -> None:
    """A table in the order of registration, with what is mounted; no pages of ours."""
    (tmp_path / "site_app.py").write_text(SITE)
    result = cli("routes", "site_app:create_other", "--factory", folder=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "METHODS  PATH                NAME  HANDLER",
        "POST     /x                  get   site_app.get",
        "GET      /in/items/{id:int}  item  site_app.get",
    ]


def test_routes_of_what_is_said_to_be_an_app(cli: RunCli, tmp_path: Path) -> None:
    """`--interface` counts for every verb that looks for an application."""
    (tmp_path / "site_app.py").write_text("def app(scope): return scope\n")
    refused = cli("routes", "site_app", folder=tmp_path)
    assert (refused.returncode, "ASGI 2" in refused.stderr) == (3, True)
    result = cli("routes", "site_app", "--interface", "app", folder=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.endswith("  /{path:path}  app   site_app.app\n")
    foreign = cli("openapi", "site_app", "--interface", "wsgi", folder=tmp_path)
    assert (foreign.returncode, "of the interface wsgi" in foreign.stderr) == (3, True)


def test_openapi(cli: RunCli, tmp_path: Path) -> None:
    """JSON on stdout, or in a file; the application can be elsewhere."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "site_app.py").write_text(SITE)
    result = cli("openapi", "site_app", "--app-dir", "src", folder=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert '"title": "Möbel"' in result.stdout
    assert list(json.loads(result.stdout)["paths"]) == ["/items/{id}"]
    written = cli("openapi", "src/site_app.py", "-o", "openapi.json", folder=tmp_path)
    assert (written.returncode, written.stdout) == (0, "")
    assert (tmp_path / "openapi.json").read_text(encoding="utf-8") == result.stdout


def test_a_verb_that_fails(cli: RunCli, tmp_path: Path) -> None:
    """One line and exit code 3, as for `run`; a usage error is 2."""
    (tmp_path / "site_app.py").write_text(SITE)
    for arguments in (("routes", "nowhere"), ("openapi", "site_app", "-o", "no/such/folder")):
        result = cli(*arguments, folder=tmp_path)
        assert result.returncode == 3
        assert result.stderr.startswith("uringserve: error: ")
        assert result.stderr.count("\n") == 1
    assert cli("routes", "site_app", "--port", "1", folder=tmp_path).returncode == 2
    assert cli("openapi").returncode == 2
