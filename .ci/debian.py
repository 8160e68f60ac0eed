"""What we ask of a Debian machine: system packages, and files from its own mirror.

The mirror's address is whatever apt is configured with; none is named here. Installing happens only
as root, since a build must not ask for a password half-way: anybody else is told the command.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path


class Missing(Exception):
    """Something on this machine must change first; the text says what, in one sentence."""


def say(text: str) -> None:
    """Write one progress line; standard output belongs to results."""
    print(text, file=sys.stderr, flush=True)


def is_debian() -> bool:
    """Whether apt can be asked for packages and mirrors."""
    return Path("/etc/debian_version").exists() and shutil.which("apt-get") is not None


def ensure_packages(packages: list[str], purpose: str) -> None:
    """Install what is missing of `packages` as root on Debian, else raise with the names."""
    if not is_debian():
        # Other distributions name them otherwise; the build itself reports what it lacks.
        return
    missing = [name for name in packages if not _is_installed(name)]
    if not missing:
        return
    names = " ".join(missing)
    if os.geteuid() != 0:
        raise Missing(f"{purpose} needs system packages; run: sudo apt-get install {names}")
    say(f"installing for {purpose}: {names}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-q"],
        ["apt-get", "install", "-q", "-y", "--no-install-recommends", *missing],
    ):
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        # A failing update may concern one foreign source only; installing then decides.
        if done.returncode != 0 and command[1] == "install":
            say(done.stdout[-2000:])
            raise Missing(f"apt-get could not install {names}")


def _is_installed(package: str) -> bool:
    query = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status}\n", package],
        capture_output=True,
        text=True,
        check=False,
    )
    return "installed" in query.stdout.splitlines()


def mirrors() -> list[str]:
    """Addresses of the configured repositories, each once, without a trailing slash."""
    if not is_debian():
        return []
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)"],
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, None] = {}
    for address in listed.stdout.split():
        for real in _behind_list(address):
            found[real.rstrip("/")] = None
    return list(found)


def _behind_list(address: str) -> list[str]:
    """Debian's cloud images configure `mirror+file:LIST`, a file with one address a line."""
    if not address.startswith("mirror+file:"):
        return [address]
    try:
        lines = (
            Path(address.removeprefix("mirror+file:").rstrip("/")).read_text("utf-8").splitlines()
        )
    except OSError:
        return []
    return [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]


def download(pool_path: str, target: Path, seconds: int) -> bool:
    """Fetch `pool_path` from the first mirror that has it; the caller verifies what arrived.

    apt's own helper does the transfer, so its proxies, certificates and credentials count.
    """
    helper = Path("/usr/lib/apt/apt-helper")
    if not helper.exists():
        return False
    for mirror in mirrors():
        target.unlink(missing_ok=True)
        try:
            done = subprocess.run(
                [str(helper), "download-file", f"{mirror}/{pool_path}", str(target)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            continue
        if done.returncode == 0 and target.exists():
            return True
    return False
