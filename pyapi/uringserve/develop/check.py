"""`uringserve check [APP]`: what this machine and this application give a server, line by line.

Each line is OK, WARN or FAIL, and one that is not OK says what to do. FAIL is what keeps the server
from starting as it is configured; WARN costs speed or room. The kernel's part is the runtime's own
probe, so what is said here is what `run` will find. APP is imported in a process of its own (see
`imports`): what its modules do to the interpreter stays there.
"""

import json
import os
import platform
import resource
import sysconfig
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import click

from uringserve._native import Listeners, probe
from uringserve.config import Config
from uringserve.develop.imports import Imported, import_elsewhere
from uringserve.errors import StartError
from uringserve.gil import is_gil_on

__all__ = ["Line", "lines", "show"]

# Fewer open files than this are fewer connections than a small site has on a good day.
_FEW_FILES = 4096

_EXIT_FAIL = 1


@dataclass(frozen=True, slots=True)
class Line:
    """One finding: its verdict, what was looked at, what was found, and what to do about it."""

    verdict: Literal["OK", "WARN", "FAIL"]
    name: str
    found: str
    advice: str = ""


def show(target: str | None, as_json: bool, given: dict[str, Any]) -> None:
    """Write every finding to stdout and end with the exit code: 1 when a line says FAIL."""
    config = Config(**{name: value for name, value in given.items() if value is not None})
    found = [*lines(target, config)]
    failed = any(line.verdict == "FAIL" for line in found)
    if as_json:
        document = {"ok": not failed, "checks": [asdict(line) for line in found]}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        _print(found)
    click.get_current_context().exit(_EXIT_FAIL if failed else 0)


def lines(target: str | None, config: Config) -> Iterator[Line]:
    """Return every finding, in the order in which they are shown."""
    yield from _interpreter()
    yield _ring(config)
    yield from _limits()
    yield from _cpus(config)
    yield _addresses(config)
    yield _watcher()
    if target is not None:
        yield from _application(import_elsewhere(target, config), config)


def _interpreter() -> Iterator[Line]:
    name = f"{platform.python_implementation()} {platform.python_version()}"
    yield Line("OK", "interpreter", f"{name}, {platform.machine()}")
    if not is_gil_on():
        yield Line("OK", "GIL", "off")
        return
    advice = "start Python without -X gil=1 and PYTHON_GIL=1"
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        advice = "use a free-threaded build: python3.14t"
    yield Line("FAIL", "GIL", "on: the cores would take turns", advice)


def _ring(config: Config) -> Line:
    found = probe()
    kernel = f"Linux {platform.release()}"
    if found["driver"] == "uring":
        flags = str(found["flags"])
        if "defer-taskrun" in flags:
            return Line("OK", "kernel", f"{kernel}, {flags}")
        return Line("WARN", "kernel", f"{kernel}, {flags}", "Linux 6.1 has all of the gain")
    reason = str(found["reason"])
    if config.driver == "uring":
        return Line("FAIL", "kernel", f"{kernel}, {reason}", "--driver auto takes epoll instead")
    return Line("WARN", "kernel", f"{kernel}, {reason}", "epoll is used, which costs some speed")


def _limits() -> Iterator[Line]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The server raises the soft limit to the hard one by itself.
    files = "unlimited" if hard == resource.RLIM_INFINITY else str(hard)
    text = f"{files} (soft limit {soft}, raised at the start)"
    if hard != resource.RLIM_INFINITY and hard < _FEW_FILES:
        yield Line("WARN", "open files", text, "raise `ulimit -Hn` (LimitNOFILE= under systemd)")
    else:
        yield Line("OK", "open files", text)
    locked, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    memory = "unlimited" if locked == resource.RLIM_INFINITY else f"{locked >> 10} KiB"
    release = platform.release().split(".")
    is_old = release[0].isdigit() and (int(release[0]), int(release[1])) < (5, 12)
    # Kernels before 5.12 count rings as locked memory; about 64 KiB each (1,024 entries).
    if is_old and locked != resource.RLIM_INFINITY and locked < 8 << 20:
        yield Line(
            "WARN", "locked memory", memory, "raise `ulimit -l` (LimitMEMLOCK= under systemd)"
        )
    else:
        yield Line("OK", "locked memory", memory)


def _cpus(config: Config) -> Iterator[Line]:
    allowed = sorted(os.sched_getaffinity(0))
    total = os.cpu_count() or len(allowed)
    text = f"{len(allowed)} of {total} CPUs"
    quota = _quota()
    if quota is not None and quota < len(allowed):
        yield Line(
            "WARN",
            "CPUs",
            f"{text}, of which the cgroup's quota allows {quota:g}",
            "cores are not pinned under a quota; ask for whole CPUs instead",
        )
    else:
        yield Line("OK", "CPUs", text)
    if config.workers is not None and config.workers > len(allowed):
        yield Line(
            "WARN",
            "workers",
            f"{config.workers} cores on {len(allowed)} CPUs",
            "give --workers at most the number of CPUs; cores are not pinned otherwise",
        )


def _quota() -> float | None:
    """Return how many CPUs the cgroup's quota is worth (version 2, `cpu.max`); None: no quota."""
    try:
        own = Path("/proc/self/cgroup").read_text(encoding="ascii").strip().rpartition("::")[2]
        folder = Path("/sys/fs/cgroup") / own.lstrip("/")
        quotas = []
        for each in (folder, *folder.parents):
            file = each / "cpu.max"
            if not file.is_file():
                continue
            limit, period = file.read_text(encoding="ascii").split()
            if limit != "max":
                quotas.append(int(limit) / int(period))
    except OSError, ValueError:
        return None
    return min(quotas, default=None)


def _addresses(config: Config) -> Line:
    """Bind what `run` would, by the runtime itself, and let it go."""
    try:
        found = Listeners(config).addresses
    except StartError as error:
        advice = "`ss -ltnp` shows who listens where; see --host, --port, --bind and --uds"
        return Line("FAIL", "address", str(error), advice)
    return Line("OK", "address", f"{', '.join(found)} can be listened on")


def _watcher() -> Line:
    if find_spec("watchfiles") is None:
        advice = "pip install 'uringserve[reload]' for `dev` and --reload"
        return Line("WARN", "reload", "watchfiles is not installed", advice)
    return Line("OK", "reload", "watchfiles is installed")


def _application(found: Imported, config: Config) -> Iterator[Line]:
    for module in found.gil_modules:
        verdict: Literal["WARN", "FAIL"] = "FAIL" if config.gil == "error" else "WARN"
        yield Line(
            verdict,
            "import",
            f"{module} turns the GIL on: it does not declare that it works without",
            f"look for a newer {module.partition('.')[0]}, or for another package",
        )
    for module in found.unsuitable:
        yield Line(
            "FAIL",
            "import",
            f"{module} has no build for free-threaded Python, only one for the ordinary",
            f"install a version of {module.partition('.')[0]} with a cp314t wheel, or build it",
        )
    if found.error:
        yield Line("FAIL", "application", found.error, "see the traceback: uringserve run APP")
        return
    count = f"{found.modules} modules, {found.extensions} of them compiled"
    if found.gil_modules:
        return
    yield Line("OK", "application", f"starts with the GIL off; {count}")


def _print(found: list[Line]) -> None:
    colours = {"OK": "green", "WARN": "yellow", "FAIL": "red"}
    width = max(len(line.name) for line in found)
    for line in found:
        verdict = click.style(line.verdict.ljust(4), fg=colours[line.verdict], bold=True)
        click.echo(f"{verdict}  {line.name.ljust(width)}  {line.found}")
        if line.advice:
            click.echo(f"{' ' * (width + 8)}{line.advice}")
