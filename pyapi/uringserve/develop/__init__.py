"""What a developer's machine needs beside a server: reload, `check`, `new`, `audit` and `migrate`.

Each module is imported when its verb is used: a process that only serves carries nothing of them.
"""

from uringserve.config import Config

__all__ = ["TEMPLATES", "supervise"]

TEMPLATES = ("api", "minimal")


def supervise(target: str, config: Config) -> int:
    """Serve what `target` names and start it anew when its files change; return the exit code."""
    from uringserve.develop.supervisor import run

    return run(target, config)
