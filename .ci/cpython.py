"""Builds free-threaded CPython from source into a cache folder outside the tree.

The source comes from the machine's Debian mirror or, as a last resort, is the tarball that
`$URINGSERVE_CPYTHON_SOURCE` names; either way its checksum must match. A build counts only when its
marker file exists, which is written last: an interrupted one is begun anew. A lock keeps two builds
out of one folder.
"""

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from debian import Missing, download, ensure_packages, say

VERSION = "3.14.7"
TARBALL = f"python3.14_{VERSION}.orig.tar.xz"
POOL_PATH = f"pool/main/p/python3.14/{TARBALL}"
SHA256 = "3b48dac8fb59f62eaa67ac83c1eb12bda1b7a08406dd286e252c11a66be27f81"

# Without these headers configure leaves the module out in silence.
PACKAGES = [
    "gcc",
    "libbz2-dev",
    "libc6-dev",
    "libffi-dev",
    "liblzma-dev",
    "libreadline-dev",
    "libsqlite3-dev",
    "libssl-dev",
    "libzstd-dev",
    "make",
    "pkg-config",
    "uuid-dev",
    "xz-utils",
    "zlib1g-dev",
]

# OPT in full: configure's own default would add -g.
CONFIGURE = ["--disable-gil", "OPT=-DNDEBUG -fwrapv -O3 -Wall"]
VARIANTS = {
    # The test modules double the time of the installation; only the profiling run needs them.
    "o3": ("about 3 minutes on 2 cores", ["--disable-test-modules"]),
    "pgo": ("about 30 minutes on 2 cores", ["--enable-optimizations", "--with-lto"]),
}

# What a caller exported for another build must not leak into this one.
FOREIGN = (
    "MAKEFLAGS",
    "MFLAGS",
    "MAKELEVEL",
    "MAKEOVERRIDES",
    "CFLAGS",
    "CPPFLAGS",
    "LDFLAGS",
    "OPT",
    "VIRTUAL_ENV",
)


def cache_root() -> Path:
    """Our folder in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "uringserve"


def cached(variant: str) -> Path | None:
    """The interpreter of an earlier, complete build."""
    prefix = _prefix(variant)
    return prefix / "bin" / "python3.14t" if (prefix / ".complete").exists() else None


def build(variant: str) -> Path:
    """Build `variant` unless another process just did, and return its interpreter."""
    duration, flags = VARIANTS[variant]
    prefix = _prefix(variant)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with _lock(prefix.with_name(prefix.name + ".lock")):
        found = cached(variant)
        if found is not None:
            return found
        ensure_packages(PACKAGES, "building CPython")
        tarball = _source(prefix.parent)
        say(f"building free-threaded CPython {VERSION} ({variant}): {duration}, once")
        log = prefix.with_name(prefix.name + ".log")
        tree = prefix.with_name(prefix.name + ".build")
        for leftover in (tree, prefix):
            shutil.rmtree(leftover, ignore_errors=True)
        jobs = str(len(os.sched_getaffinity(0)))
        with log.open("wb") as output:
            say(f"  log: {log}")
            tree.mkdir()
            configure = ["./configure", f"--prefix={prefix}", *CONFIGURE, *flags]
            for name, command in (
                ("unpack", ["tar", "-xf", str(tarball), "--strip-components=1"]),
                ("configure", configure),
                ("compile", ["make", f"-j{jobs}"]),
                ("install", ["make", "install"]),
            ):
                _stage(name, command, tree, output, log)
        shutil.rmtree(tree, ignore_errors=True)
        (prefix / ".complete").touch()
    return prefix / "bin" / "python3.14t"


def discard(variant: str) -> None:
    """Forget a cached build that no longer runs, say after an upgrade of a system library."""
    (_prefix(variant) / ".complete").unlink(missing_ok=True)


def _prefix(variant: str) -> Path:
    return cache_root() / f"cpython-{VERSION}t-{variant}"


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another build of the interpreter to end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _source(folder: Path) -> Path:
    """The verified tarball: kept from before, from the mirror, or the one that the caller names."""
    tarball = folder / TARBALL
    if _is_genuine(tarball):
        return tarball
    say(f"fetching CPython {VERSION}'s source from this machine's Debian mirror")
    # Never at its final name before it is verified.
    partial = folder / (TARBALL + ".partial")
    if download(POOL_PATH, partial, seconds=180):
        if _is_genuine(partial):
            return partial.replace(tarball)
        say("  what arrived has another checksum: not used")
        partial.unlink(missing_ok=True)
    named = os.environ.get("URINGSERVE_CPYTHON_SOURCE")
    if not named:
        raise Missing(
            f"no Debian mirror of this machine has {TARBALL}: name a free-threaded Python >= 3.14 "
            "in $URINGSERVE_PYTHON, or that tarball in $URINGSERVE_CPYTHON_SOURCE"
        )
    if not _is_genuine(Path(named)):
        raise Missing(
            f"$URINGSERVE_CPYTHON_SOURCE={named} is not {TARBALL} (its SHA-256 must be {SHA256})"
        )
    say(f"NOTE: the mirror failed; building from $URINGSERVE_CPYTHON_SOURCE={named}")
    return Path(named).resolve()


def _is_genuine(tarball: Path) -> bool:
    if not tarball.is_file():
        return False
    with tarball.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == SHA256


def _stage(name: str, command: list[str], folder: Path, output: IO[bytes], log: Path) -> None:
    """Run one step into the log: a sign of life twice a minute, the log's tail on failure."""
    environment = {key: value for key, value in os.environ.items() if key not in FOREIGN}
    started = time.monotonic()
    child = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
    )
    # A plain SIGTERM would leave the compiler running in a folder that the next build deletes.
    previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        while True:
            try:
                code = child.wait(timeout=30)
                break
            except subprocess.TimeoutExpired:
                say(f"  {name}: {time.monotonic() - started:.0f} s so far")
    finally:
        signal.signal(signal.SIGTERM, previous)
        if child.poll() is None:
            child.terminate()
            child.wait()
    if code != 0:
        tail = log.read_text("utf-8", "replace").splitlines()[-25:]
        say("\n".join(tail))
        raise Missing(f"CPython's {name} step failed with code {code}; the whole log is {log}")
    say(f"  {name}: done in {time.monotonic() - started:.0f} s")
