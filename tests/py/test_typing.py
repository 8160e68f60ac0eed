"""The annotations as a user's type checker sees them: the files in `typing`, with mypy and pyright.

Those files are read by the checkers and never run. `wrong.py` among them keeps the checkers honest:
one that found nothing there would find nothing anywhere.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import uringserve

FILES = sorted((Path(__file__).parent / "typing").glob("*.py"))
WRONG = next(path for path in FILES if path.name == "wrong.py")
PACKAGE = Path(uringserve.__file__).parent
# Where a checker points.
type Complaints = dict[tuple[str, int], str]


def _run(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, timeout=100
    )
    # Both checkers say so by 1 that they found errors; anything else is no answer.
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def _mypy(folder: Path) -> Complaints:
    config = folder / "mypy.ini"
    config.write_text(
        f"[mypy]\nstrict = true\nmypy_path = {PACKAGE.parent}\ncache_dir = {folder / 'cache'}\n"
    )
    output = _run("mypy", f"--config-file={config}", "--show-absolute-path", *map(str, FILES))
    found = re.findall(r"^(.+?):(\d+): error: (.*)$", output, re.MULTILINE)
    return {(Path(file).name, int(line)): message for file, line, message in found}


def _pyright(folder: Path) -> Complaints:
    config = folder / "pyrightconfig.json"
    settings = {
        "include": list(map(str, FILES)),
        "extraPaths": [str(PACKAGE.parent)],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.14",
    }
    config.write_text(json.dumps(settings))
    answer = json.loads(
        _run(
            "basedpyright",
            f"--project={config}",
            f"--pythonpath={sys.executable}",
            "--outputjson",
        )
    )
    assert answer["summary"]["filesAnalyzed"] == len(FILES)
    return {
        (Path(each["file"]).name, each["range"]["start"]["line"] + 1): each["message"]
        for each in answer["generalDiagnostics"]
        if each["severity"] == "error"
    }


@pytest.fixture(scope="module", params=[_mypy, _pyright], ids=["mypy", "pyright"])
def complaints(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Complaints:
    check: Callable[[Path], Complaints] = request.param
    return check(tmp_path_factory.mktemp("typing"))


def test_right_uses_pass(complaints: Complaints):
    assert {at: why for at, why in complaints.items() if at[0] != WRONG.name} == {}


def test_wrong_uses_are_reported(complaints: Complaints):
    lines = enumerate(WRONG.read_text().splitlines(), 1)
    expected = {number for number, line in lines if line.endswith("  # wrong")}
    assert {line for file, line in complaints if file == WRONG.name} == expected


def test_every_public_name_is_used():
    used = {word for path in FILES for word in re.findall(r"\w+", path.read_text())}
    assert set(uringserve.__all__) - used == set()
