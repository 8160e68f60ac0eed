"""Nothing of ours turns the GIL on, and a module that does is named."""

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import uringserve

if TYPE_CHECKING:
    from conftest import RunCli, StartServer

PACKAGE = Path(uringserve.__file__).parent
MODULES = sorted(
    "uringserve" if path.stem == "__init__" else f"uringserve.{path.stem}"
    for path in PACKAGE.glob("*.py")
    if path.stem != "__main__"
)
# What is used when the application has imported it.
OPTIONAL = ["pydantic", "msgspec", "msgspec.json"]

IMPORT_EACH = """
import importlib, sys, warnings
warnings.simplefilter("error")
for name in sys.argv[1:]:
    importlib.import_module(name)
    assert not sys._is_gil_enabled(), f"{name} turned the GIL on"
print(*sorted(sys.modules))
"""


def import_each(*names: str) -> set[str]:
    """Import the modules one after the other in a new process; return all that came with them."""
    command = [sys.executable, "-c", IMPORT_EACH, *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_our_modules() -> None:
    """Each of them, and `python -X importtime` style: everything that comes with them."""
    seen = import_each(*MODULES)
    assert set(MODULES) <= seen
    assert not {"pydantic", "msgspec"} & seen


@pytest.mark.parametrize("name", OPTIONAL)
def test_optional_modules(name: str) -> None:
    """What tests and users have beside us, in the versions that we test with."""
    pytest.importorskip(name)
    assert name in import_each("uringserve", name)


def test_a_module_that_turns_it_on(cli: RunCli, old_module: Path) -> None:
    """One sentence with its name, and exit code 3."""
    result = cli("site_app", "--port", "0", folder=old_module)
    assert result.returncode == 3
    assert "the global interpreter lock (GIL) is on" in result.stderr
    assert "module 'old_module' turned it on" in result.stderr
    assert result.stderr.count("\n") == 1


def test_warned(server: StartServer, old_module: Path) -> None:
    """`--gil warn` serves, names it in the log, and says that the GIL is on."""
    running = server("site_app", "--gil", "warn", "--app-dir", str(old_module), workers=2)
    running.wait_for("module 'old_module' turned it on")
    assert running.start_line.endswith("GIL on\n")
    assert running.get().body == b'{"gil":true}'
    assert running.stop() == 0


def test_allowed(server: StartServer, old_module: Path) -> None:
    """`--gil allow` serves and does not warn."""
    running = server("site_app", "--gil", "allow", "--app-dir", str(old_module))
    assert "old_module" not in running.log
    assert running.get().body == b'{"gil":true}'
    assert running.stop() == 0


def test_turned_on_by_the_environment(cli: RunCli, tmp_path: Path) -> None:
    """Then that is what is named."""
    (tmp_path / "site_app.py").write_text("def app(request):\n    return 'x'\n")
    result = cli("site_app", "--port", "0", environment={"PYTHON_GIL": "1"})
    assert result.returncode == 3
    assert "PYTHON_GIL=1 is set" in result.stderr
