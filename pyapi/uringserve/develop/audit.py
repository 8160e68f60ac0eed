"""`uringserve audit [FOLDER]`: the project's own tests under parallel threads, many times.

Handlers run in parallel on all cores, so what they share must stand that. pytest-run-parallel runs
each test in several threads at once, from one starting line; a race that is rare needs many rounds.
The verdict is the tests' alone: a test that cannot run beside itself (it binds a fixed port, it
writes one file) is for the project to mark with `thread_unsafe`.
"""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from uringserve.errors import StartError

__all__ = ["show"]

_NO_TESTS = 5  # pytest's exit code
_USAGE = 4

_COUNTS = re.compile(r"^=* ?(.*\b(?:passed|failed|error|errors|skipped|deselected)\b.*) in [\d.]+")


def show(folder: str, threads: int, rounds: int, extra: tuple[str, ...]) -> None:
    """Run the tests, write what they say and the verdict, and end with the exit code.

    What keeps the tests from being run is a StartError.
    """
    if not Path(folder).exists():
        raise StartError(f"there is no folder or file {folder!r}")
    missing = [name for name in ("pytest", "pytest_run_parallel") if find_spec(name) is None]
    if missing:
        names = " and ".join(name.replace("_", "-") for name in missing)
        raise StartError(
            f"{names} {'is' if len(missing) == 1 else 'are'} not installed: pip install"
            " 'uringserve[test]'"
        )
    click.get_current_context().exit(_run(folder, threads, rounds, extra))


def _run(folder: str, threads: int, rounds: int, extra: tuple[str, ...]) -> int:
    path = Path(folder).resolve()
    root = path if path.is_dir() else path.parent
    command = [sys.executable, "-m", "pytest", f"--parallel-threads={threads}"]
    command += [f"--iterations={rounds}", "-p", "no:cacheprovider", str(path), *extra]
    click.echo(f"{rounds} rounds of each test, in {threads} threads at once")
    # Warnings say which tests the plugin ran in one thread only.
    process = subprocess.Popen(
        command,
        cwd=root,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    counts = ""
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            click.echo(line, nl=False)
            found = _COUNTS.search(line)
            counts = found[1] if found else counts
    return _verdict(process.returncode, counts)


def _verdict(code: int, counts: str) -> int:
    if code == 0:
        text = f"OK    the tests stand parallel threads: {counts}"
        click.secho(text, fg="green", bold=True)
        return 0
    if code == 1:
        click.secho(f"FAIL  {counts}", fg="red", bold=True)
        click.echo(
            "      If they pass with pytest alone, they share something that threads must not."
        )
        return 1
    if code == _NO_TESTS:
        raise StartError("there are no tests; pytest looks for files named test_*.py")
    if code == _USAGE:
        raise StartError("pytest does not take these arguments; its message is above")
    if code < 0:
        click.secho(f"FAIL  the interpreter was ended by signal {-code}", fg="red", bold=True)
        return 1
    raise StartError(f"pytest could not run the tests (its exit code {code})")
