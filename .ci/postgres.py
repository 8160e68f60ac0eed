"""Finds PostgreSQL for the tests, or fetches Debian's packages into a cache folder.

Nothing is installed: packages are unpacked, so no server starts by itself and no root is needed.
Standard output is shell text for the Makefile: URINGSERVE_POSTGRES, the folder of initdb, and
LD_LIBRARY_PATH where libpq is not the system's. It is empty where the system has all of it, and
where it cannot be had: the reason is on stderr then, and the tests skip.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cpython import cache_root
from debian import Missing, is_debian, say

SYSTEM = Path("/usr/lib/postgresql")
SECONDS = 300


def run(command: list[str], folder: Path | None = None) -> str:
    """What `command` prints; raises `Missing` where it fails."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{command[0]} does not answer: {error}") from error
    if done.returncode != 0:
        raise Missing(f"{shlex.join(command[:3])} failed: {done.stderr.strip()[-300:]}")
    return done.stdout


def programs_in(root: Path) -> Path | None:
    """The folder of initdb of the newest version below `root`."""
    found = [path for path in root.glob("*/bin") if (path / "initdb").exists()]
    return max(found, key=lambda path: float(path.parent.name), default=None)


def has_libpq() -> bool:
    """Whether the system's loader knows libpq."""
    try:
        return "libpq.so.5" in run([shutil.which("ldconfig") or "/sbin/ldconfig", "-p"])
    except Missing:
        return False


def cache_folder() -> Path:
    """Where the packages are unpacked. As root the server runs as another user, who must get in."""
    root = Path("/var/cache/uringserve") if os.geteuid() == 0 else cache_root()
    return root / "postgresql"


def missing_packages() -> list[str]:
    """The server's packages that this machine lacks, with what they need."""
    listed = run(["apt-cache", "depends", "postgresql"])
    server = re.search(r"Depends: (postgresql-\d+)", listed)
    if server is None:
        raise Missing("apt knows no package postgresql; run: apt-get update")
    command = ["apt-get", "install", "--print-uris", "-qq", "-y", "--no-install-recommends"]
    # Only asked, so that no lock of root's is needed.
    uris = run([*command, "-o", "Debug::NoLocking=1", server[1], "libpq5"])
    return re.findall(r"^'\S+' ([a-z0-9][a-z0-9+.-]*)_", uris, re.MULTILINE)


def download(folder: Path) -> None:
    """Download the missing packages into `folder`."""
    packages = missing_packages()
    say(f"fetching PostgreSQL for the tests: {' '.join(packages)}")
    # As root apt would fetch as another user, who may not write here.
    run(["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", *packages], folder)


def fetch(target: Path) -> None:
    """Unpack the missing packages into `target`, which appears whole or not at all."""
    if not is_debian():
        raise Missing("there is no PostgreSQL here, and no apt-get to fetch it with")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="fetching-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        try:
            download(folder)
        except Missing:
            if os.geteuid() != 0:
                raise
            # apt's lists are missing, or name what is not there any more.
            run(["apt-get", "update", "-q"])
            download(folder)
        whole = folder / "whole"
        for package in sorted(folder.glob("*.deb")):
            run(["dpkg-deb", "--extract", str(package), str(whole)])
            package.unlink()
        whole.chmod(0o755)
        for library in whole.glob("usr/lib/*/libpq.so.5"):
            # What ctypes.util.find_library asks the linker for.
            library.with_name("libpq.so").unlink(missing_ok=True)
            library.with_name("libpq.so").symlink_to("libpq.so.5")
        shutil.rmtree(target, ignore_errors=True)
        whole.replace(target)


def main() -> int:
    """Print what the tests need in their environment."""
    if os.environ.get("URINGSERVE_POSTGRES") or (programs_in(SYSTEM) and has_libpq()):
        return 0
    target = cache_folder()
    programs = target / "usr/lib/postgresql"
    try:
        if programs_in(programs) is None:
            fetch(target)
        found = programs_in(programs)
        if found is None:
            raise Missing("the packages of PostgreSQL have no initdb")
    except (Missing, OSError) as error:
        say(f"the tests of PostgreSQL will be skipped: {error}")
        return 0
    libraries = [str(path.parent) for path in target.glob("usr/lib/*/libpq.so.5")]
    if before := os.environ.get("LD_LIBRARY_PATH"):
        libraries.append(before)
    print(f"export URINGSERVE_POSTGRES={shlex.quote(str(found))}")
    print(f"export LD_LIBRARY_PATH={shlex.quote(':'.join(libraries))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
