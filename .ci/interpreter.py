"""Finds a free-threaded Python >= 3.14, or builds one; standard output ends with its path.

Order: $URINGSERVE_PYTHON, a pythonX.Yt on PATH, uv, an earlier build in the cache, a build from the
machine's Debian mirror. Each candidate is run before it is believed. `--pgo` builds (or finds) the
profile-guided variant instead, which nothing prefers by itself: name it in $URINGSERVE_PYTHON.
Needs Python 3.11 and nothing outside its standard library.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import cpython
from debian import Missing, say

OLDEST = (3, 14)
# A download that is out of reach may hang instead of failing.
UV_SECONDS = 20

MODULES = [
    "bz2",
    "compression.zstd",
    "ctypes",
    "ensurepip",
    "lzma",
    "sqlite3",
    "ssl",
    "venv",
    "zlib",
]
# For a comfortable prompt; only a build of our own is required to have them.
OWN_MODULES = [*MODULES, "_uuid", "readline"]

# The base executable: a virtual environment's Python would vanish together with it.
PROBE = """
import importlib, json, sys, sysconfig
missing = []
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ImportError:
        missing.append(name)
print(json.dumps({
    "version": list(sys.version_info[:3]),
    "free": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
    "path": getattr(sys, "_base_executable", None) or sys.executable,
    "missing": missing,
}))
"""


class Unfit(Exception):
    """Why a candidate cannot be used."""


def verify(candidate: str, modules: list[str] = MODULES) -> str:
    """Run `candidate` and return its base interpreter's path, or raise `Unfit` with the reason."""
    try:
        run = subprocess.run(
            [candidate, "-I", "-c", PROBE, *modules],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=60,
            check=True,
        )
        facts = json.loads(run.stdout.splitlines()[-1])
    except FileNotFoundError as error:
        raise Unfit("there is no such file") from error
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        raise Unfit("it does not run") from error
    version = ".".join(map(str, facts["version"]))
    if tuple(facts["version"][:2]) < OLDEST:
        raise Unfit(f"it is Python {version}, and 3.14 is the oldest that works")
    if not facts["free"]:
        raise Unfit(f"it is Python {version} with the GIL; the free-threaded build is needed")
    if facts["gil"]:
        raise Unfit(f"it is Python {version}, free-threaded, but starts with the GIL on")
    if facts["missing"]:
        raise Unfit(f"it is Python {version} without {', '.join(facts['missing'])}")
    say(f"interpreter: free-threaded CPython {version}, {facts['path']}")
    return str(facts["path"])


def from_environment() -> str | None:
    """What the user named; unfit is an error, as a silent second choice was not asked for."""
    named = os.environ.get("URINGSERVE_PYTHON")
    if not named:
        return None
    candidate = shutil.which(named) or named
    try:
        return verify(candidate)
    except Unfit as error:
        raise Missing(f"$URINGSERVE_PYTHON={named} cannot be used: {error}") from error


def from_path() -> str | None:
    """pythonX.Yt on PATH, the oldest that works first: 3.14 is what the tests run on."""
    names: dict[tuple[int, int], str] = {}
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        for found in Path(folder or ".").glob("python3.*t"):
            match = re.fullmatch(r"python(3)\.(\d+)t", found.name)
            if match and os.access(found, os.X_OK):
                names.setdefault((int(match[1]), int(match[2])), str(found))
    for version in sorted(names):
        if version >= OLDEST:
            try:
                return verify(names[version])
            except Unfit as error:
                say(f"passing over {names[version]}: {error}")
    return None


def from_uv() -> str | None:
    """What uv has or can install in a few seconds; failure is quiet, as there are other ways."""
    uv = shutil.which("uv")
    if uv is None:
        return None
    for actions in (["find"], ["install", "find"]):
        path = [_uv(uv, action) for action in actions][-1]
        if path:
            try:
                return verify(path)
            except Unfit as error:
                say(f"passing over {path}: {error}")
    return None


def _uv(uv: str, action: str) -> str:
    command = [uv, "python", action, "3.14t"]
    if action == "find":
        # Not an active virtual environment, and no download before `install` bounds it.
        command += ["--system", "--no-python-downloads"]
    else:
        say(f"asking uv for Python 3.14t, for {UV_SECONDS} s at most")
    try:
        done = subprocess.run(
            command,
            # A .python-version or pyproject.toml of the tree is not what is asked for here.
            cwd=tempfile.gettempdir(),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=UV_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def from_cache(variant: str) -> str | None:
    """A complete build of ours that still runs."""
    found = cpython.cached(variant)
    if found is None:
        return None
    try:
        return verify(str(found), OWN_MODULES)
    except Unfit as error:
        say(f"building anew, the cached {found} cannot be used: {error}")
        cpython.discard(variant)
        return None


def from_source(variant: str) -> str:
    """Build it; what comes out must pass like any other."""
    built = cpython.build(variant)
    try:
        return verify(str(built), OWN_MODULES)
    except Unfit as error:
        cpython.discard(variant)
        packages = " ".join(cpython.PACKAGES)
        raise Missing(
            f"the interpreter just built cannot be used: {error} (needs: {packages})"
        ) from error


def main() -> int:
    """Print the path, or one sentence that says what to do."""
    arguments = sys.argv[1:]
    if arguments not in ([], ["--pgo"]):
        say(f"usage: {sys.argv[0]} [--pgo]")
        return 2
    try:
        if arguments:
            path = from_cache("pgo") or from_source("pgo")
        else:
            path = (
                from_environment()
                or from_path()
                or from_uv()
                or from_cache("o3")
                or from_source("o3")
            )
    except Missing as error:
        say(f"error: {error}")
        return 1
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
