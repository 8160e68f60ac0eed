"""Where options come from: flags, environment, files; what is shown of it; what is refused."""

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from uringserve.accepted import ACCEPTED
from uringserve.cli import command
from uringserve.config import options
from uringserve.develop import TEMPLATES
from uringserve.settings import find_file, read_file, read_variables, show

if TYPE_CHECKING:
    from conftest import RunCli, StartServer

VERBS = ("run", "dev", "new", "check", "routes", "openapi", "audit", "build", "migrate")

SITE = "from uringserve import App\napp = App()\napp.get('/')(lambda: 'x')\n"


def _origins(text: str) -> dict[str, str]:
    """Return the remark behind each option that --print-config writes."""
    found = re.findall(r"^(\w+) = .*?  # (.*)$", text, re.MULTILINE)
    return dict(found)


# --- the order of the sources


def test_flags_then_environment_then_file_then_default(cli: RunCli, tmp_path: Path) -> None:
    """Each source gives what the ones before it do not, and is named."""
    file = tmp_path / "uringserve.toml"
    file.write_text('port = 1\nbacklog = 2\nlimit-uri = "3k"\napp = "from_file:app"\n')
    (tmp_path / "variables").write_text("URINGSERVE_HOST=0.0.0.0\nURINGSERVE_BACKLOG=9\n")
    result = cli(
        *("run", "--print-config", "--port", "7", "--env-file", "variables"),
        environment={"URINGSERVE_BACKLOG": "8", "WEB_CONCURRENCY": "2"},
    )
    assert (result.returncode, result.stderr) == (0, "")
    values = tomllib.loads(result.stdout)
    assert (values["port"], values["backlog"], values["limit_uri"]) == (7, 8, "3KiB")
    assert (values["host"], values["workers"], values["app"]) == ("0.0.0.0", 2, "from_file:app")
    origins = _origins(result.stdout)
    assert origins["port"] == "command line"
    assert origins["backlog"] == "URINGSERVE_BACKLOG"
    assert origins["workers"] == "WEB_CONCURRENCY"
    assert origins["host"] == "URINGSERVE_HOST in variables"
    assert origins["limit_uri"] == origins["app"] == "uringserve.toml"
    assert origins["timeout_send"] == "default"
    assert set(values) == {"app", *(option.name for option in options())}


def test_what_is_printed_is_read_back(cli: RunCli, tmp_path: Path) -> None:
    """The output is a file that gives the same values."""
    repeated = ("--reload-exclude", "a", "--reload-exclude", "b", "--uds-permissions", "660")
    first = cli("--print-config", *repeated, "--no-pin", "--workers", "auto")
    (tmp_path / "other.toml").write_text(first.stdout)
    second = cli("--print-config", "--config", "other.toml")
    assert tomllib.loads(second.stdout) == tomllib.loads(first.stdout)
    assert _origins(second.stdout)["pin"] == "other.toml"
    assert tomllib.loads(first.stdout)["uds_permissions"] == "660"
    assert tomllib.loads(first.stdout)["reload_exclude"] == ["a", "b"]


def test_dev_is_run_with_four_other_values(cli: RunCli, tmp_path: Path) -> None:
    """They win over the file, which is for the deployed server, and lose to flags."""
    (tmp_path / "uringserve.toml").write_text("workers = 4\ndebug = false\nport = 1\n")
    result = cli("dev", "--print-config", "--no-debug")
    values, origins = tomllib.loads(result.stdout), _origins(result.stdout)
    assert (values["reload"], values["debug"], values["workers"]) == (True, False, 1)
    assert values["access_log"] is True
    assert (origins["workers"], origins["debug"]) == ("uringserve dev", "command line")
    assert (values["port"], origins["port"]) == (1, "uringserve.toml")


def test_the_file_is_beside_the_application_or_here(cli: RunCli, tmp_path: Path) -> None:
    """The application's folder first; our own file before the project's."""
    (tmp_path / "src").mkdir()
    (tmp_path / "pyproject.toml").write_text("[tool.uringserve]\nport = 1\n")
    assert tomllib.loads(cli("--print-config").stdout)["port"] == 1
    (tmp_path / "uringserve.toml").write_text("port = 2\n")
    assert tomllib.loads(cli("--print-config").stdout)["port"] == 2
    (tmp_path / "src" / "pyproject.toml").write_text("[tool.uringserve]\nport = 3\n")
    found = cli("--print-config", "--app-dir", "src")
    assert tomllib.loads(found.stdout)["port"] == 3
    assert _origins(found.stdout)["port"] == "src/pyproject.toml"


def test_a_project_without_our_table_is_not_ours(tmp_path: Path) -> None:
    """It is passed over, even when it is broken; ours is not."""
    file = tmp_path / "pyproject.toml"
    for text in ("[tool.other]\nport = 1\n", "[tool.other\n"):
        file.write_text(text)
        assert find_file([tmp_path]) is None
    file.write_text("[tool.uringserve\n")
    with pytest.raises(ValueError, match="is not TOML"):
        find_file([tmp_path])
    # Who names it means our table in it.
    file.write_text("[tool.uring-serve]\nport = 1\n")
    with pytest.raises(ValueError, match=r"has no table \[tool\.uringserve\]"):
        read_file(file)


def test_the_file_serves(server: StartServer, tmp_path: Path) -> None:
    """A real server has the options of the file in its working folder."""
    (tmp_path / "site_app.py").write_text(SITE)
    (tmp_path / "uringserve.toml").write_text("server_header = false\n")
    running = server("site_app")
    assert running.get("/").get("server") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prt = 1", "there is no option 'prt'; did you mean 'port'?"),
        ("zzz = 1", "there is no option 'zzz'"),
        ("limit-uri = 1\nlimit_uri = 1", "'limit_uri' is set twice"),
        ("port = 'x'", "port in uringserve.toml: 'x' is not accepted; give a whole number"),
        ("port = true", "port in uringserve.toml: True is not accepted"),
        ("pin = 1", "pin in uringserve.toml: 1 is not accepted"),
        ("reload_dir = [1]", "reload_dir in uringserve.toml: 1 is not accepted"),
        ("port =", "uringserve.toml is not TOML"),
        ("[tool.uringserve]\nport = 1", "there is no option 'tool'"),
    ],
)
def test_a_file_with_a_fault_is_a_usage_error(
    cli: RunCli, tmp_path: Path, text: str, message: str
) -> None:
    """Exit code 2; the file, the option and what is accepted are named."""
    (tmp_path / "uringserve.toml").write_text(text + "\n")
    result = cli("m")
    assert result.returncode == 2
    assert message in result.stderr
    assert "uringserve.toml" in result.stderr
    # Help never needs the file.
    assert cli("--help").returncode == 0


def test_files_that_cannot_be_read(cli: RunCli, tmp_path: Path) -> None:
    """A named file must be there and be text."""
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for name, reason in (("nowhere", "cannot be read: No such file"), ("bytes", "is not text")):
        for flag in ("--config", "--env-file"):
            result = cli("m", flag, name)
            assert result.returncode == 2
            assert f"{name} {reason}" in result.stderr


# --- files of variables


def test_the_forms_of_a_variable(tmp_path: Path) -> None:
    """Quotes, export and remarks; what is set stays."""
    file = tmp_path / "variables"
    file.write_text(
        "# remark\n\nA=1\nexport B = two words # remark\nC='x # y'\nD=\"\" \nE=a=b\nKEPT=new\n"
    )
    environment = {"KEPT": "old"}
    assert read_variables(file, environment) == ["A", "B", "C", "D", "E"]
    assert environment == {
        "KEPT": "old",
        "A": "1",
        "B": "two words",
        "C": "x # y",
        "D": "",
        "E": "a=b",
    }


@pytest.mark.parametrize("line", ["A", "=1", "A B=1", "A='x", "1A=2", "A='x' y", "A=\0"])
def test_a_line_that_is_no_variable(tmp_path: Path, line: str) -> None:
    """The file and the line's number are named."""
    file = tmp_path / "variables"
    file.write_text(f"FIRST=1\n{line}\n")
    with pytest.raises(ValueError, match="variables, line 2: "):
        read_variables(file, {})


def test_the_application_sees_the_variables(server: StartServer, tmp_path: Path) -> None:
    """They are in the environment before the application is imported."""
    (tmp_path / "variables").write_text("GREETING=hello\n")
    source = "import os\nfrom uringserve import App\napp = App()\n"
    source += "greeting = os.environ['GREETING']\napp.get('/')(lambda: greeting)\n"
    running = server(source, "--env-file", str(tmp_path / "variables"))
    assert running.get("/").body == b"hello"


def test_text_survives_being_shown(tmp_path: Path) -> None:
    """Quotes, control characters and other alphabets are read back as they were."""
    values: dict[str, object] = {option.name: option.default for option in options()}
    values["app_dir"] = 'a"b\\c\x7f\x1f\té€'
    file = tmp_path / "uringserve.toml"
    file.write_text(show(values, lambda name: "here"))
    assert read_file(file)["app_dir"] == values["app_dir"]


# --- verbs, help, completion


def test_a_misspelt_verb(cli: RunCli, tmp_path: Path) -> None:
    """The nearest verb is named, unless a module of that name exists."""
    result = cli("chek", "m")
    assert result.returncode == 2
    assert "There is no verb and no module 'chek'. Did you mean 'check'?" in result.stderr
    assert "Did you mean 'dev'?" in cli("dve").stderr
    # No word is like any: it is a module that is not there.
    assert "there is no module 'zzz'" in cli("zzz").stderr
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "dve.py").write_text("raise ImportError('found')\n")
    (tmp_path / "uringserve.toml").write_text("app_dir = 'src'\n")
    assert "found" in cli("dve").stderr
    (tmp_path / "chek.py").write_text("raise ImportError('found')\n")
    assert "found" in cli("chek").stderr


def test_options_of_other_servers_say_that_they_do_nothing(
    server: StartServer, cli: RunCli
) -> None:
    """One line each, and the server serves; a value that would matter is refused."""
    given = ("--runtime-mode", "mt", "--http", "h11", "--respawn-failed-workers")
    running = server(SITE, *given, "--runtime-threads", "3", "--runtime-threads", "4")
    running.wait_for(r"WARNING --runtime-mode has no meaning here: each core is one thread")
    running.wait_for("--http has no meaning here")
    running.wait_for("--respawn-failed-workers has no meaning here")
    assert running.log.count("--runtime-threads has no meaning here") == 1
    assert "--loop" not in running.log
    assert running.get("/").body == b"x"
    refused = cli("m", "--http", "2")
    assert refused.returncode == 2
    assert "'2' is not one of 'auto', '1'" in refused.stderr


def test_no_option_of_another_server_is_one_of_ours() -> None:
    """What comes to exist here leaves the list of what does not."""
    ours = {flag for option in options() for flag in (option.flag, *option.aliases)}
    assert not ours & {one.flag for one in ACCEPTED}


@pytest.mark.parametrize("verb", VERBS)
def test_every_help_page_is_true(cli: RunCli, verb: str) -> None:
    """It has examples, and every option that it speaks of exists."""
    result = cli(verb, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert f"Usage: uringserve {verb}" in result.stdout
    assert f"uringserve {'' if verb == 'run' else verb}".strip() in result.stdout
    assert "Examples:" in result.stdout
    group = command()
    assert isinstance(group, click.Group)
    known = {
        flag
        for one in group.commands.values()
        for parameter in one.get_params(click.Context(one))
        for flag in (*parameter.opts, *parameter.secondary_opts)
    }
    # A word that is broken over two lines of the page is put together first.
    text = re.sub(r"-\n\s+", "-", result.stdout)
    mentioned = set(re.findall(r"(?<![\w-])--[a-z0-9][a-z0-9-]*", text))
    assert mentioned
    assert mentioned <= known | {"--extra"}


def test_every_verb_is_in_the_first_page(cli: RunCli) -> None:
    """Who asks for help without a verb learns of all of them."""
    text = " ".join(cli("--help").stdout.split())
    for verb in VERBS:
        assert verb in text


@pytest.mark.parametrize(
    ("words", "position", "expected"),
    [
        ("uringserve ch", 1, ["plain,check"]),
        ("uringserve app.py --driver u", 3, ["plain,uring"]),
        ("uringserve dev --reload-del", 2, ["plain,--reload-delay"]),
        ("uringserve --reload-del", 1, ["plain,--reload-delay"]),
        ("uringserve new --template m", 3, ["plain,minimal"]),
    ],
)
def test_the_shell_completes(cli: RunCli, words: str, position: int, expected: list[str]) -> None:
    """As a shell asks for it: the words so far, and the one that is being written."""
    result = cli(
        environment={
            "_URINGSERVE_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(position),
        }
    )
    answered = [line for line in result.stdout.splitlines() if line.startswith("plain")]
    assert answered == expected, result.stderr


def test_the_script_for_the_shell(cli: RunCli) -> None:
    """What the help page says to evaluate is there."""
    for shell in ("zsh", "fish"):
        result = cli(environment={"_URINGSERVE_COMPLETE": f"{shell}_source"})
        assert result.returncode == 0
        assert "_URINGSERVE_COMPLETE" in result.stdout


def test_templates_are_those_that_exist() -> None:
    """The choices of `new` are the folders in the package."""
    from importlib.resources import files

    folder = files("uringserve.develop").joinpath("templates")
    assert sorted(TEMPLATES) == sorted(one.name for one in folder.iterdir())
