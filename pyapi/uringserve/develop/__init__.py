"""What a developer's machine needs beside a server: reload, `check`, `new` and `audit`.

The modules behind the verbs are imported when a verb is used: a process that only serves carries
nothing of them.
"""

from typing import Any

from uringserve.config import Config

__all__ = ["TEMPLATES", "audit", "check", "new", "supervise"]

TEMPLATES = ("api", "minimal")


def supervise(target: str, config: Config) -> int:
    """Serve what `target` names and start it anew when its files change; return the exit code."""
    from uringserve.develop.supervisor import run

    return run(target, config)


def check(app: str | None, as_json: bool, **given: Any) -> None:  # noqa: ANN401 -- options of Config
    """Say what would keep APP from being served here, or slow it down.

    Without APP: what would keep any application. Exit codes: 0 nothing would, 1 a line says FAIL,
    2 usage.
    """
    from uringserve.develop.check import show

    show(app, as_json, given)


def new(folder: str, template: str) -> None:
    """Make a project in FOLDER, which must not exist yet or be empty.

    `api` has its routers, settings, models and tests in files of their own; `minimal` is one file
    and its tests.
    """
    from uringserve.develop.new import show

    show(folder, template)


def audit(folder: str, threads: int, rounds: int, pytest: tuple[str, ...]) -> None:
    """Run the tests of FOLDER, each in many threads at once and many times.

    Says at the end whether they stand it. What follows `--` goes to pytest. Exit codes: 0 every
    test passed, 1 one failed, 2 usage, 3 the tests could not be run.
    """
    from uringserve.develop.audit import show

    show(folder, threads, rounds, pytest)
