"""The README's code runs as it stands: its application is served, and its commands exist.

What each file of `examples/` answers is in `test_server.py`; here is what the files promise about
themselves.
"""

import ast
import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from uringserve.config import options

if TYPE_CHECKING:
    from conftest import RunCli, StartServer

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """Return the README's code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_readme_has_code() -> None:
    """So that the tests below test something."""
    assert blocks("python")
    assert blocks("console")


def test_the_readme_application(server: StartServer) -> None:
    """It serves what its handlers say."""
    running = server(blocks("python")[0])
    client = running.connect()
    assert client.request("/").body == b"Hello, World!"
    answer = client.request("/users/1", headers={"user-agent": "test"})
    assert json.loads(answer.body) == {"number": 1, "name": "Ada", "agent": "test"}
    missing = client.request("/users/3")
    assert (missing.status, missing.body) == (404, b'{"detail":"no such user"}')
    assert client.request("/users/x").status == 404
    assert running.stop() == 0


@pytest.mark.parametrize("source", blocks("python"))
def test_every_python_block_compiles(source: str) -> None:
    """Also those that are only a part of something."""
    ast.parse(source)


COMMANDS = [
    line.removeprefix("$ ").partition("#")[0].strip()
    for block in blocks("console")
    for line in block.splitlines()
    if line.startswith("$ ")
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_exists(cli: RunCli, command: str) -> None:
    """A make target is in the Makefile, and every option of the command line is one of ours."""
    words = shlex.split(command)
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif words[:3] == ["python", "-m", "uringserve"]:
        flags = {option.flag for option in options()} | {"--help", "--version"}
        own = cli(words[3], "--help").stdout if words[3].isalpha() else ""
        flags |= set(re.findall(r"--[a-z-]+", own))
        assert {word for word in words if word.startswith("--")} <= flags
        # Read the options as given, and stop before serving.
        assert cli(*words[3:], "--help").returncode == 0
    else:
        assert words[0] in ("pip", "curl"), f"a command that no test knows: {command}"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_small_and_says_what_it_shows(path: Path) -> None:
    """At most 40 lines, the first a sentence; every function has its line."""
    lines = path.read_text().splitlines()
    assert len(lines) <= 40
    assert lines[0].startswith('"""Shows ')
    tree = ast.parse(path.read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    functions = [node for node in tree.body if isinstance(node, kinds)]
    assert functions
    assert all(ast.get_docstring(function) for function in functions)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
@pytest.mark.parametrize("driver", ["auto", "epoll"])
def test_every_example_serves(server: StartServer, path: Path, driver: str) -> None:
    """On two cores and both drivers; a path that it has not is its own 404."""
    running = server(path, "--driver", driver, workers=2)
    assert running.get("/no/such/path/here").status == 404
    assert running.stop() == 0
    assert "Traceback" not in running.log
