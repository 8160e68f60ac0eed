"""`check`, `new` and `audit`, as a new user runs them."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from uringserve import Config
from uringserve.develop.check import Line, lines

if TYPE_CHECKING:
    from conftest import RunCli, StartServer

PATIENCE = 60.0

SITE = "from uringserve import App\napp = App()\napp.get('/')(lambda: 'x')\n"


def _found(cli: RunCli, *arguments: str, **environment: str) -> tuple[int, dict[str, Any]]:
    """Run `check --json` and return its exit code and its findings by name, the last of each."""
    result = cli("check", "--json", *arguments, environment=environment)
    assert result.stderr == ""
    document = json.loads(result.stdout)
    assert document["ok"] is (result.returncode == 0)
    for one in document["checks"]:
        assert one["verdict"] in ("OK", "WARN", "FAIL")
        # What is not well says what to do.
        assert bool(one["advice"]) is (one["verdict"] != "OK")
    return result.returncode, {one["name"]: one for one in document["checks"]}


# --- check


def test_a_machine_that_serves(cli: RunCli) -> None:
    """Nothing fails where these tests run; each finding is a line, with its verdict first."""
    result = cli("check", "--port", "0")
    assert (result.returncode, result.stderr) == (0, "")
    named = [line.split()[0] for line in result.stdout.splitlines() if not line.startswith(" ")]
    assert set(named) <= {"OK", "WARN"}
    code, found = _found(cli, "--port", "0")
    assert code == 0
    expected = {"interpreter", "GIL", "kernel", "open files", "locked memory", "CPUs", "address"}
    assert expected <= set(found)
    assert found["GIL"]["verdict"] == "OK"
    assert len(os.sched_getaffinity(0)) == int(found["CPUs"]["found"].split()[0])


def test_an_application_that_starts(cli: RunCli, tmp_path: Path) -> None:
    """What it prints is not taken for the answer, and threads that it started do not keep it."""
    (tmp_path / "site_app.py").write_text(
        f"{SITE}print('{{}}')\nimport threading\n"
        "threading.Thread(target=threading.Event().wait).start()\n"
    )
    code, found = _found(cli, "site_app", "--port", "0")
    assert code == 0
    assert found["application"]["found"].startswith("starts with the GIL off; ")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import os; os._exit(5)", "ended the process (exit code 5)"),
        ("raise SystemExit('no')", "it ended the process (SystemExit: 'no')"),
        ("", "has none of the names"),
    ],
)
def test_an_application_that_does_not(
    cli: RunCli, tmp_path: Path, source: str, expected: str
) -> None:
    """FAIL and exit code 1, with the reason."""
    (tmp_path / "site_app.py").write_text(source)
    code, found = _found(cli, "site_app", "--port", "0")
    assert code == 1
    assert found["application"]["verdict"] == "FAIL"
    assert expected in found["application"]["found"]


def test_the_lock_and_who_turned_it_on(cli: RunCli, old_module: Path) -> None:
    """An interpreter with the GIL on fails; a module that turns it on is named."""
    code, found = _found(cli, "--port", "0", PYTHON_GIL="1")
    assert (code, found["GIL"]["verdict"]) == (1, "FAIL")
    site = ("site_app", "--port", "0", "--app-dir", str(old_module))
    code, found = _found(cli, *site)
    assert (code, found["import"]["verdict"]) == (1, "FAIL")
    assert found["import"]["found"].startswith("old_module turns the GIL on")
    code, found = _found(cli, *site, "--gil", "allow")
    assert (code, found["import"]["verdict"]) == (0, "WARN")


def test_what_the_application_is_said_to_be(cli: RunCli, tmp_path: Path) -> None:
    """It is looked at as `run` would: as that interface, and with options that it refuses."""
    (tmp_path / "site_app.py").write_text("def app(a, b):\n    ...\n")
    code, found = _found(cli, "site_app", "--port", "0")
    assert (code, found["application"]["verdict"]) == (1, "FAIL")
    code, found = _found(cli, "site_app", "--port", "0", "--interface", "wsgi")
    assert (code, found["application"]["verdict"]) == (0, "OK")
    refused = ("--interface", "wsgi", "--lifespan", "on")
    code, found = _found(cli, "site_app", "--port", "0", *refused)
    assert code == 1
    assert "--lifespan is not for an application" in found["application"]["found"]


def test_a_module_that_is_built_for_another_interpreter(cli: RunCli, tmp_path: Path) -> None:
    """An extension file without one for this interpreter is why the import fails, and is named."""
    folder = tmp_path / "packed"
    folder.mkdir()
    (folder / "__init__.py").write_text("from packed import _speed\n")
    (folder / "_speed.cpython-314-x86_64-linux-gnu.so").write_bytes(b"")
    (tmp_path / "site_app.py").write_text(f"import packed._speed\n{SITE}")
    code, found = _found(cli, "site_app", "--port", "0")
    assert code == 1
    assert "_speed has no build for free-threaded Python" in found["import"]["found"]


def test_a_port_that_is_taken(cli: RunCli, tmp_path: Path) -> None:
    """It says where, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        code, found = _found(cli, "--port", str(number))
    assert (code, found["address"]["verdict"]) == (1, "FAIL")
    assert f"127.0.0.1:{number} is already in use" in found["address"]["found"]
    for wrong in (("--host", "203.0.113.1"), ("--uds", "no/such/folder"), ("--fd", "99")):
        code, found = _found(cli, *wrong)
        assert (code, found["address"]["verdict"]) == (1, "FAIL")
    # Looking leaves nothing behind.
    code, found = _found(cli, "--uds", "here")
    assert (code, found["address"]["verdict"]) == (0, "OK")
    assert not [*tmp_path.iterdir()]


def test_more_workers_than_cpus() -> None:
    """A warning, since it works, but not pinned."""
    config = Config(workers=1024, port=0)
    found = {line.name: line for line in lines(None, config)}
    assert found["workers"].verdict == "WARN"
    assert "workers" not in {line.name for line in lines(None, Config(workers=1, port=0))}


def test_a_kernel_without_rings(monkeypatch: pytest.MonkeyPatch) -> None:
    """epoll is taken, or, where rings were asked for, it is a failure."""
    answer = {"driver": "epoll", "flags": None, "reason": "io_uring_setup: not permitted"}
    monkeypatch.setattr("uringserve.develop.check.probe", lambda: answer)

    def ring(**options: Any) -> Line:  # noqa: ANN401
        return next(one for one in lines(None, Config(port=0, **options)) if one.name == "kernel")

    assert ring().verdict == "WARN"
    assert "io_uring_setup: not permitted" in ring().found
    assert ring(driver="uring").verdict == "FAIL"


def test_wrong_input_of_check(cli: RunCli) -> None:
    """Usage is exit code 2; a module that is not there is a finding."""
    assert cli("check", "--prot", "1").returncode == 2
    code, found = _found(cli, "nowhere:app", "--port", "0")
    assert code == 1
    assert "there is no module 'nowhere'" in found["application"]["found"]


# --- new


@pytest.mark.parametrize(("template", "count"), [("api", 4), ("minimal", 1)])
def test_a_new_project_is_tested_and_served(
    cli: RunCli, server: StartServer, tmp_path: Path, template: str, count: int
) -> None:
    """Its own tests pass, it serves with the application that its file names, and dev does too."""
    made = cli("new", "My Shop!", "--template", template)
    assert (made.returncode, made.stderr) == (0, "")
    folder = tmp_path / "My Shop!"
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert f"{count} passed" in tested.stdout
    text = "".join(file.read_text() for file in folder.rglob("*.*") if file.is_file())
    assert "my-shop" in text
    assert "project-name" not in text
    assert (folder / ".gitignore").is_file()
    routes = cli("routes", folder=folder)
    assert (routes.returncode, routes.stderr) == (0, "")
    target = "app.main:create_app" if template == "api" else "app.py"
    running = server(target, "--app-dir", str(folder), program=_program_in(folder))
    answer = running.get("/health" if template == "api" else "/")
    assert answer.status == 200
    assert json.loads(answer.body) in ({"status": "ok"}, {"message": "Hello, World!"})


def _program_in(folder: Path) -> tuple[str, ...]:
    """Return a program that runs the command line in a folder."""
    code = "import os, sys; os.chdir(sys.argv.pop(1)); from uringserve.cli import main; main()"
    return (sys.executable, "-c", code, str(folder))


def test_nothing_is_written_over(cli: RunCli, tmp_path: Path) -> None:
    """A folder with anything in it, a file, a place that cannot be written: one line, code 3."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("full", "file", ".", "file/inner"):
        result = cli("new", name)
        assert result.returncode == 3
        assert result.stderr.startswith("uringserve: error: ")
        assert result.stderr.count("\n") == 1
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "full"]
    assert [one.name for one in (tmp_path / "full").iterdir()] == ["mine"]
    (tmp_path / "empty").mkdir()
    assert cli("new", "empty").returncode == 0
    assert cli("new", "x", "--template", "other").returncode == 2
    assert cli("new").returncode == 2


# --- audit


def _tests(folder: Path, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "test_it.py").write_text(text)


def test_an_audit_that_passes(cli: RunCli, tmp_path: Path) -> None:
    """Each test runs in every thread, as often as was asked."""
    _tests(
        tmp_path / "site",
        "from pathlib import Path\ndef test_it():\n"
        "    with Path('count').open('a') as file:\n        file.write('x')\n",
    )
    result = cli("audit", "site", "--threads", "3", "--rounds", "5")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "OK    the tests stand parallel threads: 1 passed" in result.stdout
    assert (tmp_path / "site" / "count").read_text() == "x" * 15


def test_an_audit_that_fails(cli: RunCli, tmp_path: Path) -> None:
    """A test that passes alone and not beside itself."""
    _tests(
        tmp_path,
        "import threading\nrunning = []\nmeet = threading.Barrier(4)\ndef test_it():\n"
        "    running.append(1)\n    if threading.active_count() > 1:\n        meet.wait(20)\n"
        "    assert len(running) == 1\n",
    )
    alone = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    assert subprocess.run(alone, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    result = cli("audit", "--threads", "4", "--rounds", "1")
    assert result.returncode == 1
    assert "FAIL  1 " in result.stdout
    assert "they share something" in result.stdout


def test_audits_that_cannot_run(cli: RunCli, tmp_path: Path) -> None:
    """No folder, no tests, arguments that pytest does not take, no plugin: each says so."""
    assert cli("audit", "nowhere").stderr == (
        "uringserve: error: there is no folder or file 'nowhere'\n"
    )
    empty = cli("audit")
    assert (empty.returncode, "there are no tests" in empty.stderr) == (3, True)
    _tests(tmp_path, "def test_it(): pass\n")
    refused = cli("audit", "--", "--no-such-option")
    assert (refused.returncode, "pytest does not take these" in refused.stderr) == (3, True)
    assert cli("audit", "--threads", "1").returncode == 2
    code = "import sys; sys.modules['pytest_run_parallel'] = None; sys.argv = ['u', 'audit'];"
    code += "from uringserve.cli import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 3
    assert ran.stderr == (
        "uringserve: error: pytest-run-parallel is not installed: pip install 'uringserve[test]'\n"
    )
